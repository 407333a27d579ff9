// The Play tab: forms and buttons on one side, the selected entry and the episode on the other.

import { drawChart, figure } from "./chart.js";
import { byId, h, notice, put } from "./dom.js";
import { Episode } from "./episode.js";
import { Form } from "./form.js";
import { brief } from "./json.js";
import { Player } from "./player.js";
import { Stage } from "./stage.js";
import { Timeline } from "./timeline.js";

const PATIENCE_MS = 3000;

/** A sentence with its full stop. */
const ended = (sentence) => (/[.!?]$/.test(sentence) ? sentence : `${sentence}.`);

export class Play {
  constructor(link, about) {
    this._link = link;
    this._player = new Player(link, about, () => this._played());
    this._recording = null;
    this._selected = -1;
    this._action = new Form(byId("fields"), about.schemas.action, "Action");
    this._arguments = new Form(byId("reset-fields"), about.schemas.reset, "Arguments");
    this._stage = new Stage();
    this._stage.schemas = about.schemas;
    this._timeline = new Timeline((index) => this.choose(index));
    this._listen();
    this._show();
    new ResizeObserver(() => this._chart()).observe(byId("chart"));
  }

  _listen() {
    byId("action").addEventListener("submit", (event) => { event.preventDefault(); this.step(); });
    byId("arguments").addEventListener("submit", (event) => { event.preventDefault(); this.reset(); });
    byId("reset").onclick = () => this.reset();
    byId("state").onclick = () => this._do(() => this._player.state());
    byId("replay").onclick = () => this._replay();
    byId("export").onclick = () => this._export();
    byId("open").onchange = (event) => this._open(event.target);
    byId("give-up").onclick = () => this._link.giveUp();
    byId("raw").onclick = () => {
      this._action.toggle();
      byId("raw").setAttribute("aria-pressed", String(this._action.raw));
    };
  }

  get _episode() {
    return this._recording ?? this._player.episode;
  }

  get _canPlay() {
    return this._link.usable && !this._player.busy && !this._player.replaying;
  }

  async reset() {
    if (this._link.state === "asleep" || this._link.state === "lost" || this._link.state === "refused") {
      this._wanted = true;
      await this._link.connect();
      return;
    }
    const request = this._arguments.read();
    if (request === null || !this._canPlay) return;
    const entry = await this._do(() => this._player.reset(request));
    if (!entry.error) this._focusOnAction();
  }

  async step(given) {
    if (!this._canPlay || !this._player.began) return;
    const action = given ?? this._action.read();
    if (action === null) return;
    const entry = await this._do(() => this._player.step(action));
    // At the end of an episode no field has the keyboard, so that R begins the next one.
    if (entry.done) byId("reset").focus({ preventScroll: true });
    else if (given === undefined) this._focusOnAction();
  }

  _focusOnAction() {
    // A phone's keyboard would cover the observation.
    if (!matchMedia("(pointer: coarse)").matches) this._action.focus();
  }

  async _do(call) {
    if (!this._link.usable) return { error: true };
    this._recording = null;
    return await call();
  }

  /** After a reconnect the server has another environment, or another version of it. */
  renew(about) {
    this._player.about = about;
    this._action = new Form(byId("fields"), about.schemas.action, "Action");
    this._arguments = new Form(byId("reset-fields"), about.schemas.reset, "Arguments");
    byId("raw").setAttribute("aria-pressed", "false");
    this._stage.schemas = about.schemas;
    this._show();
  }

  _waiting(state) {
    clearTimeout(this._patience);
    byId("waiting").hidden = true;
    if (state === "busy") this._patience = setTimeout(() => { byId("waiting").hidden = false; }, PATIENCE_MS);
  }

  /** The link's state changed. */
  linkChanged(state, why) {
    this._waiting(state);
    const gone = state === "lost" || state === "refused" || state === "asleep";
    if (gone && this._player.lose(why)) {
      notice("warning", `${ended(why || "The session was closed, as it was not used")} The episode is over: Reset begins another.`, { key: "episode" });
    } else if (gone && state !== "asleep") {
      const words = state === "refused" ? `${ended(why)} It is tried again from time to time.` : why;
      notice(state === "refused" ? "error" : "warning", words, { key: "link", action: ["Try now", () => this._link.connect()] });
    } else if (state === "asleep") {
      notice("info", `${ended(why || "The session was closed, as it was not used")} Reset begins another.`, { key: "link" });
    }
    if (state === "ready" && this._wanted) {
      this._wanted = false;
      this.reset();
    }
    this._buttons();
  }

  _played() {
    this._selected = this._player.episode.entries.length - 1;
    this._show();
  }

  choose(index) {
    this._selected = Math.max(0, Math.min(index, this._episode.entries.length - 1));
    this._show();
    const entry = this._episode.entries[this._selected];
    // The environment draws again what a recording does not hold.
    if (this._recording && this._canPlay && entry?.observation !== undefined && entry.html === undefined) {
      this._player.draw(entry).then(() => this._show());
    }
  }

  look(by) {
    if (this._episode.entries.length) this.choose(this._selected + by);
  }

  repaint() {
    this._stage.repaint();
    this._chart();
  }

  _show() {
    const episode = this._episode;
    this._timeline.show(episode, this._selected);
    this._stage.show(episode, this._selected);
    const { steps } = episode;
    put(byId("episode-facts"), steps.length ? h("span", { class: "fact" }, `${steps.length} ${steps.length === 1 ? "step" : "steps"}, total reward `, h("b", {}, figure(episode.total))) : null,
      this._recording ? h("span", { class: "fact tag" }, `recording ${episode.source}`) : null);
    this._chart();
    this._offers();
    this._buttons();
  }

  _chart() {
    const points = this._episode.entries.map((entry, index) => ({ entry, index })).filter(({ entry }) => entry.type === "step")
      .map(({ entry, index }, at) => ({ at, index, number: entry.number, reward: entry.error ? null : entry.reward, selected: index === this._selected }));
    drawChart(byId("chart"), points, (index) => this.choose(index));
  }

  _offers() {
    const offered = this._recording ? [] : this._player.episode.entries.findLast((entry) => entry.type !== "state")?.actions ?? [];
    byId("offers").hidden = offered.length === 0;
    put(byId("offers"), offered.map(({ label, action }) =>
      h("button", { type: "button", title: brief(action, 200), onclick: () => this.step(action) }, label)));
  }

  _buttons() {
    // Not while a call is under way: a button that is disabled for a moment loses the keyboard.
    const { began, replaying } = this._player;
    const can = (this._link.usable || this._link.state === "busy") && !replaying;
    byId("step").disabled = !can || !began;
    byId("state").disabled = !can;
    byId("reset").disabled = replaying || this._link.state === "connecting" || this._link.state === "locked";
    for (const offer of byId("offers").children) offer.disabled = !can || !began;
    const over = !began || this._player.episode.entries.findLast((entry) => entry.type !== "state")?.done === true;
    byId("reset").classList.toggle("main", over);
    byId("step").classList.toggle("main", !over);
    const empty = this._episode.entries.length === 0;
    byId("export").disabled = empty;
    byId("replay").disabled = !replaying && (empty || !can);
    put(byId("replay"), replaying ? "Stop" : "Replay");
    byId("arguments").hidden = this._arguments.isEmpty;
  }

  async _replay() {
    if (this._player.replaying) {
      this._player.replaying = false;
      return;
    }
    const recording = this._episode;
    this._recording = null;
    const told = await this._player.replay(recording);
    notice(told.same ? "info" : "warning", told.text, { key: "replay" });
  }

  _export() {
    const episode = this._episode;
    const address = URL.createObjectURL(new Blob([episode.text()], { type: "application/x-ndjson" }));
    const name = `${episode.header.environment ?? "episode"}-${episode.header.session_id ?? "session"}.jsonl`.replace(/[^\w.-]+/g, "_");
    h("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  }

  async _open(input) {
    const file = input.files[0];
    input.value = "";
    if (!file) return;
    try {
      this._recording = Episode.parse(await file.text(), file.name);
    } catch (error) {
      notice("error", error.message, { key: "open" });
      return;
    }
    this.choose(0);
    notice("info", `${file.name}: a recording with ${this._recording.entries.length} calls. Reset leaves it.`, { key: "open" });
  }
}
