// The selected entry: its observation or state, the environment's rendering of it, and errors.

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
    this._troubles = byId("troubles");
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
      put(this._troubles);
      put(this._place, h("p", { class: "quiet" }, "Reset begins an episode."));
      this._sandbox.show(null);
      return;
    }
    put(this._title, titleOf(entry));
    put(this._facts, ...this._figures(entry, index, episode));
    // After a failed call the user sees what came before it.
    const before = entry.error ? lastSeen(episode.entries, index) : null;
    const { html } = before ?? entry;
    this._sandbox.show(!this.raw && typeof html === "string" && html !== "" ? html : null);
    put(this._troubles, this._wrong(entry));
    put(this._place, this.raw ? h("pre", { tabindex: "0" }, write(rawOf(entry), 2)) : before ? this._still(before) : this._drawn(entry));
  }

  _figures(entry, index, episode) {
    const made = [];
    if (entry.type === "step" && !entry.error) made.push(h("span", { class: "fact" }, "reward ", h("b", {}, figure(entry.reward))));
    if (entry.done) made.push(h("span", { class: "fact tag" }, entry.truncated ? "truncated" : "done"));
    if (Number.isFinite(entry.latency_ms)) made.push(h("span", { class: "fact quiet" }, milliseconds(entry.latency_ms)));
    if (index < episode.entries.length - 1) made.push(h("span", { class: "fact quiet" }, "an earlier moment"));
    return made;
  }

  _wrong(entry) {
    return [
      entry.error ? h("div", { class: "failed", role: "alert" }, h("strong", {}, entry.error.code), h("p", {}, entry.error.message)) : null,
      (entry.warnings ?? []).map((warning) => h("p", { class: "warned" }, warning)),
      entry.differs ? h("p", { class: "warned" }, `Not as recorded: ${entry.differs}`) : null,
    ];
  }

  _still(before) {
    return h("div", { class: "still" }, h("p", { class: "quiet" }, "As it was before:"), this._drawn({ observation: before.observation }));
  }

  _drawn(entry) {
    const made = [];
    if (entry.observation !== undefined) {
      const { observation } = this.schemas;
      const at = { schema: observation, root: observation, name: "observation", depth: 0 };
      made.push(typeof entry.observation === "object" && entry.observation !== null && !Array.isArray(entry.observation)
        ? drawObject(entry.observation, at, leftOut(entry)) : draw(entry.observation, at));
    }
    if (entry.state !== undefined) made.push(draw(entry.state, { schema: this.schemas.state, root: this.schemas.state, name: "state", depth: 0 }));
    if (entry.metadata && Object.keys(entry.metadata).length) {
      made.push(h("details", { class: "beside" }, h("summary", {}, "Metadata"), draw(entry.metadata, { schema: null, root: null, name: "metadata", depth: 1 })));
    }
    return made;
  }
}

function lastSeen(entries, index) {
  for (let at = index - 1; at >= 0 && entries[index].type !== "reset"; at -= 1) {
    if (entries[at].observation !== undefined) return entries[at];
    if (entries[at].type === "reset") return null;
  }
  return null;
}

/** Fields that are shown elsewhere or are empty. */
const leftOut = ({ observation, metadata }) =>
  BESIDE.filter((name) => name !== "metadata" || metadata !== undefined || Object.keys(observation.metadata ?? {}).length === 0);

function rawOf(entry) {
  const { html, actions, differs, number, ...rest } = entry;
  return rest;
}
