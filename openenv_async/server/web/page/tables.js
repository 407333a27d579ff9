// Lists of objects with the same keys, as tables.

import { h } from "./dom.js";
import { isObject } from "./schema.js";

const MOST_ROWS = 200;
const MOST_COLUMNS = 30;

/** Whether a list is rows of one table. */
export function isTable(rows) {
  if (!rows.every(isObject)) return false;
  const names = columnsOf(rows);
  return names.length > 0 && names.length <= MOST_COLUMNS && rows.every((row) => Object.keys(row).length * 2 >= names.length);
}

const columnsOf = (rows) => [...new Set(rows.slice(0, MOST_ROWS).flatMap((row) => Object.keys(row).slice(0, MOST_COLUMNS + 1)))];

/** Draw the table; `cell(value, name)` draws a cell. */
export function drawTable(rows, cell) {
  const names = columnsOf(rows);
  const left = rows.length - MOST_ROWS;
  return h("div", { class: "wide", tabindex: "0" }, h("table", {},
    h("thead", {}, h("tr", {}, names.map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, rows.slice(0, MOST_ROWS).map((row) =>
      h("tr", {}, names.map((name) => h("td", {}, Object.hasOwn(row, name) ? cell(row[name], name) : "")))))),
    left > 0 ? h("p", { class: "quiet" }, `and ${left.toLocaleString("en")} rows more`) : null);
}
