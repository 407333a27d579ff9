// A form made from a JSON Schema, with the same value as plain JSON beside it.

import { h, put } from "./dom.js";
import { Problem, booleanField, bytesField, choiceField, fileTextField, fixedField, jsonField, numberField, textField } from "./fields.js";
import { arrayField, mapField, objectField, optionalGroup, tupleField, unionField } from "./groups.js";
import { constant, shape } from "./schema.js";

const GROUPS = { object: objectField, array: arrayField, tuple: tupleField, map: mapField, union: unionField };
const DEEPEST = 8;

/** Make the input of one value. `asked`: {schema, root, name, label, required, depth}. */
export function control(asked) {
  const found = shape(asked.schema, asked.root, asked.name);
  const all = { ...asked, ...found, schema: found.schema };
  const group = GROUPS[found.kind];
  if (group === undefined) return single(found.kind, all);
  if (asked.depth > DEEPEST) return jsonField(all);
  // A recursive schema ends at optional values: their inputs are made when the user adds them.
  const spared = (!asked.required || found.nullable) && asked.depth > 0;
  if (!spared || (found.kind === "array" && !found.nullable) || (found.kind === "map" && !found.nullable)) return group(all);
  return optionalGroup(all, group);
}

function single(kind, asked) {
  switch (kind) {
    case "const":
      return fixedField(constant(asked.schema));
    case "enum":
      return choiceField(asked);
    case "boolean":
      return booleanField(asked);
    case "integer":
    case "number":
      return numberField(asked, kind === "integer");
    case "string":
    case "text":
      return textField(asked, kind === "text");
    case "bytes":
      return bytesField(asked);
    case "binary":
      return fileTextField(asked);
    default:
      return jsonField(asked);
  }
}

export class Form {
  /** A form in `place` for `schema`, whose `$defs` are its own. */
  constructor(place, schema, label) {
    this._place = place;
    this._schema = schema;
    this._label = label;
    this.raw = false;
    this._draw();
  }

  _draw(value) {
    const { kind } = shape(this._schema, this._schema);
    const schema = kind === "any" ? { type: "object" } : this._schema; // an action is always an object
    const asked = { schema, root: this._schema, name: "", label: this._label, required: true, depth: 0 };
    this._control = this.raw ? jsonField({ ...asked, schema: { type: "object" }, bare: true }, 10) : control(asked);
    put(this._place, this._control.node);
    if (value !== undefined) this._control.write(value);
  }

  /** Whether there are inputs. */
  get isEmpty() {
    return this._place.querySelector("input, textarea, select, button") === null;
  }

  /** Return the value, or null after showing what is wrong with it; `whole`: default values included. */
  read(whole = false) {
    this._place.querySelectorAll(".problem").forEach((shown) => shown.remove());
    this._place.querySelectorAll("[aria-invalid]").forEach((input) => input.removeAttribute("aria-invalid"));
    try {
      return this._control.read(whole);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      error.node.closest("details:not([open])")?.setAttribute("open", "");
      error.node.setAttribute("aria-invalid", "true");
      error.node.after(h("p", { class: "problem", role: "alert" }, error.message));
      error.node.focus();
      return null;
    }
  }

  /** Show a value. */
  write(value) {
    this._control.write(value);
  }

  /** Switch to JSON or back, keeping the value. Return false if the value is invalid. */
  toggle() {
    let value = this.read(true);
    if (value === null) {
      if (this.raw) return false;
      value = undefined; // what is missing can be added in the JSON
    }
    this.raw = !this.raw;
    this._draw(value);
    return true;
  }

  focus() {
    this._control.focus?.();
  }
}
