// Observations and states, each value drawn by its kind. Text stays text: nothing in a value becomes markup.

import { h } from "./dom.js";
import { brief } from "./json.js";
import { looksLikeMarkdown, markdown } from "./markdown.js";
import { bytesIn, canvasOf, dimensions, isBase64, pictureOf } from "./pictures.js";
import { isObject, resolve, shape } from "./schema.js";
import { drawTable, isTable } from "./tables.js";

const MOST_ITEMS = 200;
const DEEPEST = 12;

/** Draw a value. `at`: {schema, root, name, depth}. */
export function draw(value, at) {
  if (at.depth > DEEPEST) return h("code", {}, brief(value, 400));
  if (value === null || value === undefined) return h("span", { class: "quiet" }, "none");
  if (typeof value === "string") return drawText(value, at);
  if (Array.isArray(value)) return drawList(value, at);
  if (isObject(value)) return drawObject(value, at);
  if (typeof value === "boolean") return h("span", { class: "scalar" }, value ? "yes" : "no");
  return h("span", { class: "scalar" }, String(value));
}

/** Draw an object's fields, one below the other. */
export function drawObject(value, at, leaveOut = []) {
  const names = Object.keys(value).filter((name) => !leaveOut.includes(name));
  if (names.length === 0) return h("span", { class: "quiet" }, at.depth === 0 ? "Nothing in it." : "empty");
  const rows = names.slice(0, MOST_ITEMS).map((name) => h("div", { class: "pair" }, h("dt", {}, name),
    h("dd", {}, draw(value[name], { ...below(at, name), name, depth: at.depth + 1 }))));
  return h("dl", { class: at.depth === 0 ? "fields whole" : "fields" }, rows, more(names.length));
}

function below(at, name) {
  const found = at.schema ? shape(at.schema, at.root) : null;
  const schema = found?.schema.properties?.[name];
  return { root: at.root, schema: schema ? resolve(schema, at.root) : null };
}

const more = (count) => (count > MOST_ITEMS ? h("p", { class: "quiet" }, `and ${(count - MOST_ITEMS).toLocaleString("en")} more`) : null);

const MARKDOWN_NAMES = /(^|_)(markdown|md|readme)$/i;
const LONGEST = 100_000;

function drawText(text, at) {
  if (text === "") return h("span", { class: "quiet" }, "empty text");
  const picture = pictureOf(text, at.name);
  if (picture) return picture;
  const kind = at.schema ? shape(at.schema, at.root) : null;
  if ((["bytes", "binary"].includes(kind?.kind) && isBase64(text, 4)) || (text.length > 300 && isBase64(text))) return drawBytes(text);
  const shown = text.length > LONGEST ? text.slice(0, LONGEST) : text;
  const rest = text.length - shown.length;
  const media = kind?.schema.contentMediaType ?? "";
  if (media === "text/markdown" || MARKDOWN_NAMES.test(at.name ?? "") || (!media && looksLikeMarkdown(text))) return eitherWay(shown);
  const cut = rest > 0 ? h("p", { class: "quiet" }, `and ${rest.toLocaleString("en")} characters more: see JSON`) : null;
  // Boards and code need a fixed-width font; a sentence does not.
  if (/[\n\t]| {3}/.test(text)) return h("div", {}, h("pre", { tabindex: "0" }, shown), cut);
  return h("div", { class: "sentence" }, shown, cut);
}

function eitherWay(text) {
  const place = h("div", {}, markdown(text));
  let plain = false;
  const toggle = h("button", { type: "button", class: "plain tiny", "aria-pressed": "false", onclick() {
    plain = !plain;
    toggle.setAttribute("aria-pressed", String(plain));
    place.replaceChildren(plain ? h("pre", { tabindex: "0" }, text) : markdown(text));
  } }, "As written");
  return h("div", { class: "either" }, place, toggle);
}

function drawBytes(text) {
  const size = bytesIn(text);
  return h("span", {}, h("a", { href: `data:application/octet-stream;base64,${text}`, download: "bytes" }, `${size.toLocaleString("en")} bytes`),
    h("span", { class: "quiet" }, ` ${text.slice(0, 24)}…`));
}

function drawList(value, at) {
  if (value.length === 0) return h("span", { class: "quiet" }, "empty list");
  const sizes = dimensions(value);
  if (sizes) return drawArray(value, sizes, at);
  if (isTable(value)) return drawTable(value, (cell, name) => draw(cell, { name, root: at.root, schema: null, depth: at.depth + 2 }));
  const items = value.slice(0, MOST_ITEMS);
  const inner = { name: at.name, root: at.root, schema: itemOf(at), depth: at.depth + 1 };
  if (value.every((item) => typeof item !== "object" && brief(item).length < 40)) {
    return h("ul", { class: "chips" }, items.map((item) => h("li", {}, String(item))), more(value.length));
  }
  return h("ol", { class: "list" }, items.map((item) => h("li", {}, draw(item, inner))), more(value.length));
}

function itemOf(at) {
  const items = at.schema ? shape(at.schema, at.root).schema.items : null;
  return items ? resolve(items, at.root) : null;
}

function drawArray(value, sizes, at) {
  const canvas = canvasOf(value, sizes, at.name ?? "array");
  const label = h("p", { class: "quiet" }, sizes.length > 1 ? sizes.join(" × ") : `${sizes[0]} numbers`);
  if (canvas) return h("figure", {}, canvas, h("figcaption", { class: "quiet" }, sizes.join(" × ")));
  if (sizes.length === 1) return h("div", {}, h("ul", { class: "chips numbers" }, value.slice(0, MOST_ITEMS).map((item) => h("li", {}, short(item)))), more(value.length));
  if (sizes.length === 2) return h("div", { class: "wide", tabindex: "0" }, h("table", { class: "matrix" }, h("tbody", {}, value.slice(0, MOST_ITEMS).map((row) =>
    h("tr", {}, row.slice(0, MOST_ITEMS).map((item) => h("td", {}, short(item))))))), more(value.length));
  return h("div", {}, label, h("code", {}, brief(value, 2000)));
}

const short = (value) => (value === null ? "–" : Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6))));
