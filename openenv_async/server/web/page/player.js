// Plays: reset, step, state and replay, each an entry of the episode. Uses the link and the record, and no elements.

import { Episode, difference, observed } from "./episode.js";
import { brief } from "./json.js";
import { Gone, ServerError } from "./link.js";

export class Player {
  /** `changed()` is called for every change of the episode. */
  constructor(link, about, changed) {
    this._link = link;
    this.about = about;
    this._changed = changed;
    this.episode = this._fresh();
    this.began = false;
    this.busy = false;
    this.replaying = false;
  }

  _fresh() {
    const random = crypto.getRandomValues(new Uint32Array(2));
    return new Episode({ session_id: `web-${random[0].toString(16)}${random[1].toString(16)}`, environment: this.about.name, started_at: Date.now() / 1000 });
  }

  /** The episode was lost with its session. */
  lose(why) {
    if (this.began) this.episode.ended = why;
    const lost = this.began;
    this.began = false;
    return lost;
  }

  async reset(request) {
    this.episode = this._fresh();
    return this._call("reset", request);
  }

  step(request) {
    return this._call("step", request);
  }

  state() {
    return this._call("state");
  }

  async _call(type, request) {
    const entry = { type, at: Date.now() / 1000, latency_ms: null };
    if (request !== undefined) entry.request = request;
    const before = performance.now();
    this.busy = true;
    this._changed();
    try {
      const { data, warnings } = await this._link.request(type, request);
      entry.latency_ms = Math.round((performance.now() - before) * 1000) / 1000;
      if (type === "state") entry.state = data;
      else observed(entry, data);
      if (warnings.length) entry.warnings = warnings;
      if (type !== "state") await this.draw(entry);
    } catch (error) {
      if (!(error instanceof ServerError || error instanceof Gone)) throw error;
      entry.latency_ms ??= Math.round((performance.now() - before) * 1000) / 1000;
      entry.error = { code: error.code ?? "CONNECTION_LOST", message: error.message };
    }
    this.busy = false;
    if (type === "reset") this.began = !entry.error;
    this.episode.add(entry);
    this._changed();
    return entry;
  }

  /** Let the environment draw an observation and offer actions. */
  async draw(entry) {
    if (!this.about.draws || entry.html !== undefined || entry.observation === undefined) return;
    entry.html = null;
    entry.actions = [];
    try {
      const { data } = await this._link.request("web", { ...entry.observation, reward: entry.reward, done: entry.done });
      entry.html = data.html;
      entry.actions = data.actions;
    } catch (error) {
      // The call itself succeeded; the error of drawing is shown beside it.
      entry.warnings = [...(entry.warnings ?? []), `render_web or web_actions: ${error.message}`];
    }
  }

  /** Play the calls of a recording again. Returns a sentence about the result. */
  async replay(recording) {
    const calls = recording.entries.filter((entry) => entry.type !== "state");
    this.replaying = true;
    let different = 0, first = null, done = 0;
    try {
      for (const [index, call] of calls.entries()) {
        if (!this.replaying || !this._link.usable) break;
        if (index === 0) this.episode = this._fresh();
        const entry = await this._call(call.type, call.request ?? {});
        done += 1;
        const found = difference(call, entry);
        if (found) {
          different += 1;
          entry.differs = `${found.path} is ${brief(found.other, 60)}, and was ${brief(found.one, 60)}`;
          first ??= `${call.type} ${index}: ${entry.differs}`;
        }
      }
    } finally {
      this.replaying = false;
      this._changed();
    }
    const count = `${done} of ${calls.length} calls replayed`;
    return { same: different === 0 && done === calls.length, text: first ? `${count}; ${different} differ, first ${first}.` : `${count}, each answered as recorded.` };
  }

}
