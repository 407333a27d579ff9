// The moment that is looked at: its observation or state, what the environment draws of it, and what went wrong.

import { figure } from "./chart.js";
import { byId, h, put } from "./dom.js";
import { write } from "./json.js";
import { Sandbox } from "./sandbox.js";
import { milliseconds, titleOf } from "./timeline.js";
import { draw, drawObject } from "./values.js";

const BESIDE = ["reward", "done", "truncated", "metadata"];

export class Stage {
  constructor() {
    this._place = byId("observation");
    this._facts = byId("stage-facts");
    this._title = byId("stage-title");
    this._sandbox = new Sandbox(byId("drawing"));
    this._raw = byId("stage-raw");
    this._raw.onclick = () => {
      this.raw = !this.raw;
      this._raw.setAttribute("aria-pressed", String(this.raw));
      this._again?.();
    };
    this.raw = false;
    this.schemas = {};
  }

  repaint() {
    this._sandbox.repaint();
  }

  /** Show one entry of an episode, or that there is none. */
  show(episode, index) {
    this._again = () => this.show(episode, index);
    const entry = episode.entries[index];
    if (!entry) {
      put(this._title, "Observation");
      put(this._facts);
      put(this._place, h("p", { class: "quiet" }, "Reset begins an episode."));
      this._sandbox.show(null);
      return;
    }
    put(this._title, titleOf(episode, index));
    put(this._facts, ...this._figures(entry, index, episode));
    this._sandbox.show(!this.raw && typeof entry.html === "string" && entry.html !== "" ? entry.html : null);
    put(this._place, this.raw ? h("pre", { tabindex: "0" }, write(rawOf(entry), 2)) : this._drawn(entry));
  }

  _figures(entry, index, episode) {
    const made = [];
    if (entry.type === "step" && !entry.error) made.push(h("span", { class: "fact" }, "reward ", h("b", {}, figure(entry.reward))));
    if (entry.done) made.push(h("span", { class: "fact tag" }, entry.truncated ? "truncated" : "done"));
    if (Number.isFinite(entry.latency_ms)) made.push(h("span", { class: "fact quiet" }, milliseconds(entry.latency_ms)));
    if (index < episode.entries.length - 1) made.push(h("span", { class: "fact quiet" }, "an earlier moment"));
    return made;
  }

  _drawn(entry) {
    const made = [];
    if (entry.error) made.push(h("div", { class: "failed", role: "alert" }, h("strong", {}, entry.error.code), h("p", {}, entry.error.message)));
    for (const warning of entry.warnings ?? []) made.push(h("p", { class: "warned" }, warning));
    if (entry.differs) made.push(h("p", { class: "warned" }, `Not as recorded: ${entry.differs}`));
    if (entry.observation !== undefined) {
      const { observation } = this.schemas;
      const at = { schema: observation, root: observation, name: "observation", depth: 0 };
      made.push(typeof entry.observation === "object" && entry.observation !== null && !Array.isArray(entry.observation)
        ? drawObject(entry.observation, at, BESIDE.filter((name) => name !== "metadata" || entry.metadata !== undefined)) : draw(entry.observation, at));
    }
    if (entry.state !== undefined) made.push(draw(entry.state, { schema: this.schemas.state, root: this.schemas.state, name: "state", depth: 0 }));
    if (entry.metadata && Object.keys(entry.metadata).length) {
      made.push(h("details", { class: "beside" }, h("summary", {}, "Metadata"), draw(entry.metadata, { schema: null, root: null, name: "metadata", depth: 1 })));
    }
    return made;
  }
}

function rawOf(entry) {
  const { html, actions, differs, ...rest } = entry;
  return rest;
}
