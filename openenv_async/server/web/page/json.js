// JSON that keeps integers above 2^53: they become BigInt where the browser says how a number was written.

const keepLarge = (_, value, context) =>
  typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "")
    ? BigInt(context.source)
    : value;

// Constants that Python writes and JSON does not have. Only outside of strings, which the first alternative skips.
const BEYOND = /"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g;
const lenient = (text) => text.replace(BEYOND, (found) => (found.startsWith('"') ? found : "null"));

/** Read JSON. Throws SyntaxError. */
export function read(text) {
  try {
    return JSON.parse(text, keepLarge);
  } catch (error) {
    const repaired = lenient(text);
    if (repaired === text) throw error;
    return JSON.parse(repaired, keepLarge);
  }
}

const writable = (_, value) => (typeof value === "bigint" ? (JSON.rawJSON?.(String(value)) ?? Number(value)) : value);

/** Write JSON on one line, or with an indent. */
export const write = (value, indent) => JSON.stringify(value, writable, indent);

/** Write a value shortly, for a line of a list. */
export function brief(value, most = 80) {
  let text;
  try {
    text = typeof value === "string" ? value : write(value) ?? "";
  } catch {
    text = String(value);
  }
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}
