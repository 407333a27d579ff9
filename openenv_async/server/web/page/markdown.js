// Markdown as elements: headings, lists, tables, code, quotes, emphasis, links. HTML in it stays the text that it is.

import { h } from "./dom.js";

const MOST = 200_000;
const DEEPEST = 6;

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const QUOTE = /^ {0,3}>\s?(.*)$/;
const TABLE = /^\s*\|?\s*:?-{2,}:?\s*(?:\|\s*:?-{2,}:?\s*)*\|?\s*$/;

/** Draw a text. */
export function markdown(text) {
  if (text.length > MOST) return h("pre", {}, text);
  return h("div", { class: "markdown" }, blocks(text.replace(/\r\n?/g, "\n").split("\n"), 0));
}

/** Whether a text looks as if its author meant Markdown. */
export function looksLikeMarkdown(text) {
  if (text.length > MOST) return false;
  return /^#{1,6} \S/m.test(text) || /^\s*```/m.test(text) || /\*\*[^*\n]+\*\*/.test(text) || /^[-*] \S.*\n[-*] \S/m.test(text)
    || /\[[^\]\n]+\]\(https?:[^)\s]+\)/.test(text) || /^\|.*\|\n\|[\s:|-]+\|$/m.test(text);
}

function blocks(lines, depth) {
  const made = [];
  let at = 0;
  while (at < lines.length) {
    const [element, next] = block(lines, at, depth);
    if (element) made.push(element);
    at = next;
  }
  return made;
}

function block(lines, at, depth) {
  const line = lines[at];
  if (line.trim() === "") return [null, at + 1];
  const fence = FENCE.exec(line);
  if (fence) return fenced(lines, at, fence);
  const heading = HEADING.exec(line);
  // One level down: the page's own title is the first.
  if (heading) return [h(`h${Math.min(6, heading[1].length + 1)}`, {}, inline(heading[2])), at + 1];
  if (RULE.test(line)) return [h("hr"), at + 1];
  if (QUOTE.test(line) && depth < DEEPEST) return quoted(lines, at, depth);
  if (ITEM.test(line) && depth < DEEPEST) return listed(lines, at, depth);
  if (line.includes("|") && TABLE.test(lines[at + 1] ?? "")) return tabled(lines, at);
  return paragraph(lines, at);
}

function fenced(lines, at, [, mark]) {
  let end = at + 1;
  while (end < lines.length && !lines[end].trim().startsWith(mark)) end += 1;
  return [h("pre", { tabindex: "0" }, h("code", {}, lines.slice(at + 1, end).join("\n"))), end + 1];
}

function quoted(lines, at, depth) {
  const inside = [];
  while (at < lines.length && QUOTE.test(lines[at])) inside.push(QUOTE.exec(lines[at++])[1]);
  return [h("blockquote", {}, blocks(inside, depth + 1)), at];
}

function listed(lines, at, depth) {
  const [, indent, mark] = ITEM.exec(lines[at]);
  const ordered = /\d/.test(mark);
  const items = [];
  while (at < lines.length) {
    const item = ITEM.exec(lines[at]);
    if (!item || item[1].length < indent.length || (item[1].length <= indent.length + 1 && /\d/.test(item[2]) !== ordered)) break;
    const inside = [item[3]];
    const width = item[1].length + item[2].length + 1;
    at += 1;
    while (at < lines.length && (lines[at].trim() === "" ? /^\s+\S/.test(lines[at + 1] ?? "") : belongs(lines[at], item[1].length))) {
      inside.push(lines[at].slice(Math.min(width, lines[at].length - lines[at].trimStart().length)));
      at += 1;
    }
    items.push(h("li", {}, tight(blocks(inside, depth + 1))));
  }
  return [h(ordered ? "ol" : "ul", {}, items), at];
}

function belongs(line, indent) {
  const own = line.length - line.trimStart().length;
  return own > indent || !(ITEM.test(line) || HEADING.test(line) || FENCE.test(line) || QUOTE.test(line));
}

/** An item of one paragraph is its text. */
const tight = (made) => (made[0]?.localName === "p" ? [...made[0].childNodes, ...made.slice(1)] : made);

function tabled(lines, at) {
  const head = cells(lines[at]);
  const rows = [];
  at += 2;
  while (at < lines.length && lines[at].includes("|")) rows.push(cells(lines[at++]));
  return [h("div", { class: "wide", tabindex: "0" }, h("table", {},
    h("thead", {}, h("tr", {}, head.map((cell) => h("th", { scope: "col" }, inline(cell))))),
    h("tbody", {}, rows.map((row) => h("tr", {}, head.map((_, index) => h("td", {}, inline(row[index] ?? "")))))))), at];
}

const cells = (line) => line.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((cell) => cell.trim().replace(/\\\|/g, "|"));

function paragraph(lines, at) {
  const inside = [lines[at].trim()];
  for (at += 1; at < lines.length && lines[at].trim() !== ""; at += 1) {
    if (FENCE.test(lines[at]) || HEADING.test(lines[at]) || QUOTE.test(lines[at]) || ITEM.test(lines[at])) break;
    inside.push(lines[at].trim());
  }
  return [h("p", {}, inline(inside.join("\n"))), at];
}

const INLINE = /(`+)([^`]|[^`][\s\S]{0,2000}?[^`])\1(?!`)|\*\*(?=\S)([^\n]{1,2000}?\S)\*\*|(?<![\w*])[*_](?=\S)([^*_\n]{1,2000}?)[*_](?!\w)|!\[([^\]\n]{0,300})\]\([^)\n]{0,2000}\)|\[([^\]\n]{1,500})\]\(([^)\s]{1,2000})[^)\n]{0,300}\)|<(https?:\/\/[^\s<>]{1,2000})>/g;

function inline(text, depth = 0) {
  const made = [];
  let from = 0;
  for (const found of text.matchAll(INLINE)) {
    if (found.index > from) made.push(text.slice(from, found.index));
    made.push(span(found, depth));
    from = found.index + found[0].length;
  }
  if (from < text.length) made.push(text.slice(from));
  return made;
}

function span([whole, , code, strong, emphasis, alt, label, address, bare], depth) {
  const inside = (text) => (depth < DEEPEST ? inline(text, depth + 1) : text);
  if (code !== undefined) return h("code", {}, code.trim() || code);
  if (strong !== undefined) return h("strong", {}, inside(strong));
  if (emphasis !== undefined) return h("em", {}, inside(emphasis));
  if (alt !== undefined) return h("span", { class: "quiet" }, alt || "image");
  if (label !== undefined) return link(address, inside(label));
  return bare !== undefined ? link(bare, bare) : whole;
}

function link(address, label) {
  // Nothing but the web: no javascript:, no data:.
  if (!/^(?:https?:\/\/|mailto:)/i.test(address)) return h("span", {}, label);
  return h("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, label);
}
