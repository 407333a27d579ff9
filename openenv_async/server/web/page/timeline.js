// The calls of an episode as a list, and the slider over it.

import { figure } from "./chart.js";
import { byId, h, put } from "./dom.js";
import { brief, write } from "./json.js";
import { isObject } from "./schema.js";

const WINDOW = 200;

export class Timeline {
  /** `choose(index)` is called for every choice. */
  constructor(choose) {
    this._choose = choose;
    this._list = byId("timeline");
    this._slider = byId("scrub");
    this._slider.oninput = () => choose(Number(this._slider.value));
  }

  show(episode, selected) {
    const { entries } = episode;
    this._slider.max = String(Math.max(0, entries.length - 1));
    this._slider.value = String(Math.max(0, selected));
    this._slider.disabled = entries.length < 2;
    this._slider.setAttribute("aria-valuetext", entries[selected] ? titleOf(entries[selected]) : "nothing yet");
    // Of a long episode the part around the selected entry; the slider reaches the rest.
    const from = Math.max(0, Math.min(selected - WINDOW / 2, entries.length - WINDOW));
    put(this._list, entries.slice(from, from + WINDOW).map((entry, at) => this._row(entry, from + at, selected)));
    this._scroll();
  }

  _scroll() {
    const current = this._list.querySelector("[aria-current]");
    if (!current) return;
    const top = current.offsetTop - this._list.offsetTop;
    if (top < this._list.scrollTop) this._list.scrollTop = top;
    else if (top + current.offsetHeight > this._list.scrollTop + this._list.clientHeight) {
      this._list.scrollTop = top + current.offsetHeight - this._list.clientHeight;
    }
  }

  _row(entry, index, selected) {
    const asked = summary(entry);
    return h("li", {}, h("button", {
      type: "button", class: "call", "data-type": entry.type, "data-error": entry.error ? true : null,
      "aria-current": index === selected ? "step" : null, onclick: () => this._choose(index),
    },
      h("span", { class: "number" }, entry.type === "step" ? String(entry.number) : entry.type),
      h("span", { class: "asked" }, asked),
      entry.differs ? h("span", { class: "tag bad" }, "differs") : null,
      entry.error ? h("span", { class: "tag bad" }, entry.error.code) : null,
      entry.done ? h("span", { class: "tag" }, entry.truncated ? "truncated" : "done") : null,
      h("span", { class: "reward", title: "reward" }, entry.type === "step" && !entry.error ? figure(entry.reward) : ""),
      h("span", { class: "latency", title: "time to the answer" }, milliseconds(entry.latency_ms))));
  }
}

/** The request on one line: an action of one field is that field. */
function summary({ type, request }) {
  if (!isObject(request)) return request === undefined ? "" : brief(request, 120);
  const fields = Object.entries(request);
  if (type === "step" && fields.length === 1 && typeof fields[0][1] !== "object") return brief(fields[0][1], 120);
  return brief(fields.map(([name, value]) => `${name} ${typeof value === "string" ? value : write(value)}`).join(", "), 120);
}

/** The name of an entry. */
export function titleOf(entry) {
  if (entry.type === "reset") return "Reset";
  if (entry.type === "state") return "State";
  return `Step ${entry.number}`;
}

/** A time as people read it. */
export function milliseconds(value) {
  if (!Number.isFinite(value)) return "";
  if (value < 10) return `${value.toFixed(1)} ms`;
  return value < 1000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`;
}
