// Inputs for single values. Each is `{node, read, write, focus}`: `read` returns the value, undefined where it is left
// out, and throws Problem for an invalid one; `write` shows a value.

import { fresh, h } from "./dom.js";
import { read as readJson, write as writeJson } from "./json.js";
import { bytesIn, pictureOf } from "./pictures.js";

/** What is wrong with a field, and where. */
export class Problem extends Error {
  constructor(text, node) {
    super(text);
    this.node = node;
  }
}

/** A label, the schema's description, and the input or its container. `asked`: {schema, label, required, nullable}. */
export function labelled(asked, input, ...shown) {
  input.id ||= fresh("field");
  const hint = asked.schema.description ? h("p", { class: "hint", id: `${input.id}-hint` }, asked.schema.description) : null;
  if (hint) input.setAttribute("aria-describedby", hint.id);
  if (asked.required && !asked.nullable) input.setAttribute("aria-required", "true");
  return h("div", { class: "field" }, h("label", { for: input.id }, asked.label, mark(asked)), hint, shown.length ? shown : input);
}

/** The text behind a label. */
export const mark = (asked) => (asked.required ? null : h("span", { class: "quiet" }, " optional"));

const optional = (asked) => !asked.required || asked.nullable;

const absent = (asked) => (asked.required && asked.nullable ? null : undefined);

export function textField(asked, long) {
  const { schema } = asked;
  const input = h("textarea", {
    rows: long ? 5 : 1, maxlength: schema.maxLength, spellcheck: "false", "data-long": long, class: long ? "long" : "short",
    placeholder: schema.examples?.[0],
  });
  const untouched = typeof schema.default === "string" ? schema.default : "";
  input.value = untouched;
  return {
    node: labelled(asked, input),
    focus: () => { input.focus(); input.select(); },
    write: (value) => { input.value = typeof value === "string" ? value : ""; },
    read() {
      if (input.value === "" && optional(asked) && untouched === "") return absent(asked);
      if (input.value.length < (schema.minLength ?? 0)) throw new Problem(`${asked.label} needs ${schema.minLength} characters or more.`, input);
      return input.value;
    },
  };
}

const lowest = (schema) => schema.minimum ?? schema.exclusiveMinimum;
const highest = (schema) => schema.maximum ?? schema.exclusiveMaximum;

export function numberField(asked, whole) {
  const { schema } = asked;
  const low = lowest(schema), high = highest(schema);
  const step = schema.multipleOf ?? (whole ? 1 : "any");
  const input = h("input", { type: "number", min: low, max: high, step, inputmode: whole ? "numeric" : "decimal" });
  const bounded = low !== undefined && high !== undefined && high - low <= 10_000;
  const slider = bounded
    ? h("input", { type: "range", min: low, max: high, step: whole ? 1 : schema.multipleOf ?? (high - low) / 200, "aria-label": `${asked.label}, as a slider` })
    : null;
  const write = (value) => {
    input.value = value === null || value === undefined ? "" : String(value);
    if (slider && input.value !== "") slider.value = input.value;
  };
  if (slider) {
    slider.oninput = () => { input.value = String(Number(Number(slider.value).toPrecision(12))); };
    input.oninput = () => { if (input.value !== "") slider.value = input.value; };
  }
  write(schema.default ?? (asked.required && !asked.nullable ? (low ?? 0) : ""));
  return {
    node: labelled(asked, input, ...(slider ? [h("div", { class: "row" }, input, slider)] : [])),
    focus: () => { input.focus(); input.select(); },
    write,
    read() {
      const text = input.value.trim();
      if (text === "" && !input.validity.badInput && optional(asked)) return absent(asked);
      const value = Number(text);
      if (text === "" || Number.isNaN(value)) throw new Problem(`${asked.label} must be a number.`, input);
      if (whole && !Number.isInteger(value)) throw new Problem(`${asked.label} must be a whole number.`, input);
      checkBounds(asked, value, input);
      return whole && !Number.isSafeInteger(value) && /^-?\d+$/.test(text) ? BigInt(text) : value;
    },
  };
}

function checkBounds({ schema, label }, value, input) {
  if (value < schema.minimum) throw new Problem(`${label} must be ${schema.minimum} or more.`, input);
  if (value > schema.maximum) throw new Problem(`${label} must be ${schema.maximum} or less.`, input);
  if (value <= schema.exclusiveMinimum) throw new Problem(`${label} must be more than ${schema.exclusiveMinimum}.`, input);
  if (value >= schema.exclusiveMaximum) throw new Problem(`${label} must be less than ${schema.exclusiveMaximum}.`, input);
}

export function booleanField(asked) {
  if (optional(asked) && typeof asked.schema.default !== "boolean") {
    return choiceField({ ...asked, schema: { ...asked.schema, enum: [true, false] } });
  }
  const input = h("input", { type: "checkbox", id: fresh("field") });
  input.checked = asked.schema.default === true;
  const hint = asked.schema.description ? h("p", { class: "hint" }, asked.schema.description) : null;
  return {
    node: h("div", { class: "field" }, h("label", { class: "check" }, input, " ", asked.label), hint),
    focus: () => input.focus(),
    write: (value) => { input.checked = value === true; },
    read: () => input.checked,
  };
}

export function choiceField(asked) {
  const { schema } = asked;
  const none = optional(asked) && !schema.enum.includes(schema.default);
  const input = h("select", {}, none ? h("option", { value: "" }, "not set") : null,
    schema.enum.map((value, index) => h("option", { value: String(index) }, value === null ? "null" : String(value))));
  const write = (value) => {
    const index = schema.enum.indexOf(value);
    input.value = index < 0 ? (none ? "" : "0") : String(index);
  };
  write(schema.default);
  return {
    node: labelled(asked, input),
    focus: () => input.focus(),
    write,
    read: () => (input.value === "" ? absent(asked) : schema.enum[Number(input.value)]),
  };
}

/** A value that the schema fixes: shown, not an input. */
export function fixedField(value) {
  return { node: document.createDocumentFragment(), focus: null, write() {}, read: () => value };
}

export function jsonField(asked, rows = 3) {
  const input = h("textarea", { rows, spellcheck: "false", class: "long code", "data-long": true });
  const write = (value) => { input.value = value === undefined ? "" : writeJson(value, 2); };
  write(asked.schema.default ?? (asked.required ? (asked.schema.type === "object" ? {} : null) : undefined));
  return {
    node: labelled(asked, input, input, asked.bare ? null : h("p", { class: "hint" }, "As JSON")),
    focus: () => input.focus(),
    write,
    read() {
      if (input.value.trim() === "") {
        if (asked.required) throw new Problem(`${asked.label} is needed, as JSON.`, input);
        return undefined;
      }
      try {
        return readJson(input.value);
      } catch (error) {
        throw new Problem(`${asked.label} is no JSON: ${error.message}`, input);
      }
    },
  };
}

export function bytesField(asked) {
  const input = h("input", { type: "file", accept: asked.schema.contentMediaType });
  const shown = h("div", { class: "chosen" });
  let value;
  const show = () => {
    shown.replaceChildren();
    if (value === undefined) return;
    const picture = pictureOf(value);
    shown.append(picture ?? h("span", { class: "quiet" }, `${bytesIn(value).toLocaleString("en")} bytes`));
  };
  input.onchange = async () => {
    const file = input.files[0];
    value = file ? await base64(file) : undefined;
    show();
  };
  return {
    node: labelled(asked, input, input, shown),
    focus: () => input.focus(),
    write: (given) => { value = typeof given === "string" ? given : undefined; show(); },
    read() {
      if (value === undefined && !optional(asked)) throw new Problem(`${asked.label} needs a file.`, input);
      return value === undefined ? absent(asked) : value;
    },
  };
}

/** Bytes that are sent as text: typed, or read from a file. */
export function fileTextField(asked) {
  const text = textField(asked, true);
  const input = h("input", { type: "file", "aria-label": `${asked.label} from a file` });
  let problem = null;
  input.onchange = async () => {
    const [file] = input.files;
    problem = null;
    try {
      if (file) text.write(new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer()));
    } catch {
      problem = `${file.name} is no text: ${asked.label} takes bytes as UTF-8 only.`;
    }
  };
  text.node.append(input);
  return {
    ...text,
    read() {
      if (problem) throw new Problem(problem, input);
      return text.read();
    },
  };
}

function base64(file) {
  return new Promise((done, fail) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => fail(reader.error);
    reader.readAsDataURL(file);
  });
}
