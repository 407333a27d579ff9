// Inputs for values made of others: objects, lists, maps, unions. The contract is that of `fields`; values
// equal to the environment's defaults are left out, unless `read(whole)` asks for everything.

import { fresh, h, put } from "./dom.js";
import { Problem, mark } from "./fields.js";
import { control } from "./form.js";
import { write as writeJson } from "./json.js";
import { discriminator, fits, isObject, resolve, shape, variantName } from "./schema.js";

const hintOf = (asked) => (asked.schema.description && asked.depth > 0 ? h("p", { class: "hint" }, asked.schema.description) : null);

function framed(asked, ...inside) {
  if (asked.depth === 0) return h("div", {}, ...inside);
  return h("fieldset", {}, h("legend", {}, asked.label, mark(asked)), hintOf(asked), ...inside);
}

/** An optional value: its inputs are made when the user adds it. */
export function optionalGroup(asked, make) {
  const box = h("input", { type: "checkbox", id: fresh("field") });
  const place = h("div", { class: "inside" });
  let inner = null;
  const set = (on) => {
    box.checked = on;
    inner = on ? make({ ...asked, required: true, nullable: false }) : null;
    put(place, inner?.node);
  };
  box.onchange = () => { set(box.checked); inner?.focus?.(); };
  if (asked.schema.default !== null && asked.schema.default !== undefined) {
    set(true);
    inner.write(asked.schema.default);
  }
  return {
    node: h("div", { class: "field" }, h("label", { class: "check" }, box, " ", asked.label, mark(asked)), place),
    focus: () => box.focus(),
    write(value) {
      set(value !== undefined && value !== null);
      inner?.write(value);
    },
    read: () => inner?.read() ?? (asked.required && asked.nullable ? null : undefined),
  };
}

export function objectField(asked) {
  const { schema, root, depth } = asked;
  const required = new Set(schema.required ?? []);
  // All of OpenEnv's actions may have `metadata`; to set it, write the action as JSON.
  const fields = Object.entries(schema.properties).filter(([name, property]) => name !== "metadata" || required.has(name) || shape(property, root).kind !== "any");
  const parts = fields.map(([name, property]) =>
    [name, control({ schema: property, root, name, label: name, required: required.has(name), depth: depth + 1 })]);
  let beside = {};
  return {
    node: framed(asked, parts.map(([, part]) => part.node)),
    focus: parts.find(([, part]) => part.focus)?.[1].focus,
    write(value) {
      if (!isObject(value)) return;
      for (const [name, part] of parts) part.write(value[name]);
      // Values without a field in the form are kept, so that nothing is lost between the form and JSON.
      const shown = new Set(parts.map(([name]) => name));
      beside = Object.fromEntries(Object.entries(value).filter(([name]) => !shown.has(name)));
    },
    read(whole) {
      const value = { ...beside };
      for (const [name, part] of parts) {
        const given = part.read();
        if (given !== undefined && (whole || depth > 0 || required.has(name) || !isDefault(given, schema.properties[name], root))) value[name] = given;
      }
      return value;
    },
  };
}

/** Whether a value is the environment's default. */
function isDefault(value, property, root) {
  const { default: taken } = resolve(property, root);
  return taken !== undefined && writeJson(taken) === writeJson(value);
}

const MOST_ITEMS = 500;

export function arrayField(asked) {
  const { schema, root, depth } = asked;
  const list = h("div", { class: "items" });
  let items = [];
  const adding = h("button", { type: "button", class: "plain", onclick: () => { append(); items.at(-1)?.focus?.(); } }, `Add to ${asked.label}`);
  function append(value) {
    if (items.length >= (schema.maxItems ?? MOST_ITEMS)) return;
    const item = control({ schema: schema.items ?? {}, root, name: asked.name, label: `${asked.label} ${items.length + 1}`, required: true, depth: depth + 1 });
    if (value !== undefined) item.write(value);
    const row = h("div", { class: "item" }, item.node, h("button", {
      type: "button", class: "plain close", "aria-label": `Remove ${asked.label} ${items.length + 1}`,
      onclick: () => { items = items.filter((one) => one !== item); row.remove(); adding.focus(); update(); },
    }, "×"));
    items.push(item);
    list.append(row);
    update();
  }
  const update = () => { adding.disabled = items.length >= (schema.maxItems ?? MOST_ITEMS); };
  function write(value) {
    items = [];
    put(list);
    for (const one of Array.isArray(value) ? value : []) append(one);
    while (items.length < (schema.minItems ?? 0)) append();
    update();
  }
  write(schema.default);
  return { node: framed({ ...asked, depth: depth || 1 }, list, adding), focus: () => (items[0]?.focus ?? (() => adding.focus()))(), write, read: () => items.map((item) => item.read()) };
}

export function tupleField(asked) {
  const { schema, root, depth } = asked;
  const items = schema.prefixItems.map((item, index) =>
    control({ schema: item, root, name: asked.name, label: `${asked.label} ${index + 1}`, required: true, depth: depth + 1 }));
  return {
    node: framed({ ...asked, depth: depth || 1 }, items.map((item) => item.node)),
    focus: items[0]?.focus,
    write: (value) => items.forEach((item, index) => item.write(value?.[index])),
    read: () => items.map((item) => item.read()),
  };
}

export function mapField(asked) {
  const { schema, root, depth } = asked;
  const list = h("div", { class: "items" });
  let rows = [];
  function append(name = "", value) {
    const key = h("input", { type: "text", value: name, "aria-label": `Key in ${asked.label}`, placeholder: "key" });
    key.value = name;
    const item = control({ schema: schema.additionalProperties, root, name: asked.name, label: "value", required: true, depth: depth + 1 });
    if (value !== undefined) item.write(value);
    const row = { key, item };
    const node = h("div", { class: "item" }, h("div", { class: "field" }, key), item.node, h("button", {
      type: "button", class: "plain close", "aria-label": `Remove an entry of ${asked.label}`,
      onclick: () => { rows = rows.filter((one) => one !== row); node.remove(); },
    }, "×"));
    rows.push(row);
    list.append(node);
    return key;
  }
  const write = (value) => {
    rows = [];
    put(list);
    for (const [name, one] of Object.entries(isObject(value) ? value : {})) append(name, one);
  };
  write(schema.default);
  const adding = h("button", { type: "button", class: "plain", onclick: () => append().focus() }, `Add to ${asked.label}`);
  return {
    node: framed({ ...asked, depth: depth || 1 }, list, adding),
    focus: () => adding.focus(),
    write,
    read() {
      const names = rows.map((row) => row.key.value);
      const twice = rows.find((row, index) => names.indexOf(row.key.value) !== index);
      if (twice) throw new Problem(`${asked.label} has the key ${twice.key.value || "(empty)"} twice.`, twice.key);
      return Object.fromEntries(rows.map((row) => [row.key.value, row.item.read()]));
    },
  };
}

export function unionField(asked) {
  const { schema, variants, root, depth } = asked;
  const key = discriminator(schema, variants);
  const place = h("div", { class: "inside" });
  const choice = h("select", { id: fresh("field") },
    variants.map((variant, index) => h("option", { value: index }, variantName(variant, key, index))));
  let inner;
  const choose = (index) => {
    choice.value = String(index);
    inner = control({ schema: variants[index], root, name: asked.name, label: asked.label, required: true, depth: Math.max(depth, 1), bare: true });
    put(place, inner.node);
  };
  choice.onchange = () => choose(Number(choice.value));
  const write = (value) => {
    const index = variants.findIndex((variant) => fits(value, variant, root));
    choose(Math.max(0, index));
    if (index >= 0) inner.write(value);
  };
  if (schema.default !== undefined && schema.default !== null) write(schema.default);
  else choose(0);
  return {
    node: h("div", { class: "field union" }, h("label", { for: choice.id }, asked.depth === 0 ? "Kind of action" : `${asked.label}: kind`, mark(asked)), hintOf(asked), choice, place),
    focus: () => choice.focus(),
    write,
    read: () => inner.read(),
  };
}
