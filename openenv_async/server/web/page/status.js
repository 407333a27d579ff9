// The server's status: the connection, and how full the server is. Always visible.

import { Locked, ask } from "./access.js";
import { byId } from "./dom.js";

const EVERY_MS = 4000;

const WORDS = {
  connecting: "Connecting", ready: "Connected", busy: "Working", lost: "Disconnected", refused: "No session", asleep: "Session ended",
  locked: "Locked",
};

/** Show the state of the link. */
export function showLink(state) {
  const pill = byId("link");
  pill.dataset.state = state;
  pill.querySelector(".words").textContent = WORDS[state];
}

/** Show how full the server is, now and from time to time while the page is visible. */
export class Capacity {
  constructor() {
    this._timer = 0;
    document.addEventListener("visibilitychange", () => this.look());
  }

  async look() {
    clearTimeout(this._timer);
    if (document.hidden) return;
    const shown = byId("capacity");
    try {
      const told = await ask("capacity.json");
      shown.textContent = `${told.active} of ${told.max} sessions`;
      shown.classList.toggle("full", told.available === 0);
      shown.title = told.waiting ? `${told.waiting} more wait for one` : "sessions in use on this server";
    } catch (error) {
      shown.textContent = error instanceof Locked ? "" : "capacity unknown";
    }
    this._timer = setTimeout(() => this.look(), EVERY_MS);
  }
}
