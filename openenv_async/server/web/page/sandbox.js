// The author's HTML of an observation, in a frame of another origin that can reach neither this page nor the network.

import { h } from "./dom.js";

const HIGHEST = 900;

export class Sandbox {
  constructor(place) {
    this._place = place;
    this._frame = null;
    this._html = null;
    this._ready = false;
    addEventListener("message", (event) => this._hear(event));
  }

  /** Show HTML; null shows nothing. */
  show(html) {
    this._html = html;
    this._place.hidden = html === null;
    if (html === null) return;
    if (this._frame === null) {
      // No allow-same-origin: what runs in it has an origin of its own. The one script that runs is `frame.html`'s.
      this._frame = h("iframe", { src: "frame.html", sandbox: "allow-scripts", title: "The environment's own drawing", class: "drawing" });
      this._place.append(this._frame);
    } else this._send();
  }

  _send() {
    if (!this._ready || this._html === null) return;
    const { theme } = document.documentElement.dataset;
    const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    this._frame.contentWindow.postMessage({ html: this._html, theme: dark ? "dark" : "light" }, "*");
  }

  /** The page changed to light or dark. */
  repaint() {
    this._send();
  }

  _hear(event) {
    if (this._frame === null || event.source !== this._frame.contentWindow) return;
    if (event.data?.ready === true) {
      this._ready = true;
      this._send();
    } else if (Number.isFinite(event.data?.height)) {
      this._frame.style.height = `${Math.min(HIGHEST, Math.max(24, event.data.height + 2))}px`;
    }
  }
}
