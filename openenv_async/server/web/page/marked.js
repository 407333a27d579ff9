// Values of a recording that JSON cannot express: objects with one key, `$bytes` and the like, as the server writes them.

import { isObject } from "./schema.js";

const READERS = {
  u1: "getUint8", b1: "getUint8", i1: "getInt8", u2: "getUint16", i2: "getInt16", u4: "getUint32", i4: "getInt32",
  u8: "getBigUint64", i8: "getBigInt64", f4: "getFloat32", f8: "getFloat64",
};
const FLOATS = { nan: NaN, inf: Infinity, "-inf": -Infinity };

const MARKS = {
  $bytes: (text) => text, // as on the JSON wire
  $float: (name) => FLOATS[name],
  $int: (text) => BigInt(text),
  $time: (text) => text,
  $complex: ([real, imaginary]) => `${real} + ${imaginary}i`,
  $array: array,
  $map: (pairs) => Object.fromEntries(pairs.map(([key, value]) => [typeof key === "string" ? key : JSON.stringify(key), unmarked(value)])),
};

/** Return a value with the marked objects in it replaced by their values; unreadable ones stay as they are. */
export function unmarked(value) {
  if (Array.isArray(value)) return value.map(unmarked);
  if (!isObject(value)) return value;
  const names = Object.keys(value);
  if (names.length === 1 && Object.hasOwn(MARKS, names[0])) {
    try {
      return MARKS[names[0]](value[names[0]]) ?? value;
    } catch {
      return value;
    }
  }
  return Object.fromEntries(names.map((name) => [name, unmarked(value[name])]));
}

function array({ dtype, shape, order, data, scalar }) {
  const [, end, kind] = /^([<>|=])(\w\d)$/.exec(dtype);
  const size = Number(kind[1]);
  const bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const read = (index) => {
    const found = view[READERS[kind]](index * size, end !== ">");
    if (kind === "b1") return found !== 0;
    return typeof found === "bigint" && BigInt(Number(found)) === found && Number.isSafeInteger(Number(found)) ? Number(found) : found;
  };
  if (scalar) return read(0);
  const strides = shape.map((_, axis) => (order === "F" ? shape.slice(0, axis) : shape.slice(axis + 1)).reduce((a, b) => a * b, 1));
  const build = (axis, from) =>
    axis === shape.length ? read(from) : Array.from({ length: shape[axis] }, (_, at) => build(axis + 1, from + at * strides[axis]));
  return build(0, 0);
}
