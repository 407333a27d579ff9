// The page's session: one WebSocket, requests answered in order, and the state of the connection.

import { Locked, socket } from "./access.js";
import { read, write } from "./json.js";

/** A refusal, with the server's message. */
export class ServerError extends Error {
  constructor(data) {
    super(data.message || data.code || "the server refused without a word");
    this.code = data.code ?? "ERROR";
    this.details = data;
  }
}

/** The connection was lost before the answer came. */
export class Gone extends Error {}

const REFUSALS = ["CAPACITY_REACHED", "FACTORY_ERROR", "SERVER_CLOSING"];
const LONGEST_PAUSE_MS = 10_000;

export class Link {
  /**
   * States: connecting, ready, busy, lost (it reconnects by itself), refused (likewise), asleep (until the user acts),
   * locked (until there is a token). `changed(state, why)` is called for each change.
   */
  constructor(changed) {
    this.state = "connecting";
    this.metadata = null;
    this.sessions = 0;
    this._changed = changed;
    this._waiting = [];
    this._socket = null;
    this._attempt = 0;
    this._timer = 0;
    this._refusal = null;
  }

  get usable() {
    return this.state === "ready";
  }

  /** Connect now, without waiting for the next attempt. */
  async connect() {
    clearTimeout(this._timer);
    if (this._socket || this._opening) return;
    this._opening = true;
    this._refusal = null;
    this._become("connecting");
    try {
      this._listen(await socket());
    } catch (error) {
      if (error instanceof Locked) this._become("locked", error.message);
      else this._comeBack("lost", error instanceof TypeError ? "The server cannot be reached." : error.message);
    } finally {
      this._opening = false;
    }
  }

  _listen(ws) {
    this._socket = ws;
    ws.onopen = async () => {
      try {
        // The first answer says that there is an environment, or why there is none.
        this.metadata = (await this._send("metadata")).data;
      } catch (error) {
        if (error instanceof Gone) return;
        if (REFUSALS.includes(error.code)) {
          this._refusal = error;
          return;
        }
        this.metadata = null; // describing itself failed; playing may still work
      }
      this._attempt = 0;
      this.sessions += 1;
      this._become("ready");
    };
    ws.onmessage = (event) => this._take(event.data);
    ws.onclose = (event) => this._closed(event);
  }

  _take(text) {
    const message = read(text);
    const waiting = this._waiting.shift();
    if (message.type === "error") {
      const error = new ServerError(message.data ?? {});
      if (waiting) waiting.fail(error);
      else this._refusal = error;
    } else if (waiting) {
      waiting.done({ data: message.data, warnings: message.warnings ?? [] });
    }
  }

  _closed(event) {
    const opened = this.state === "ready" || this.state === "busy";
    this._socket = null;
    const waiting = this._waiting.splice(0);
    for (const one of waiting) one.fail(new Gone("The connection was lost before the answer came."));
    if (this._refusal?.code === "SESSION_LOST") this._become("asleep", this._refusal.message); // an operator ended it
    else if (this._refusal) this._comeBack(this._refusal.code === "SERVER_CLOSING" ? "lost" : "refused", this._refusal.message);
    else if (opened && event.code === 1000 && waiting.length === 0) this._become("asleep", event.reason);
    else this._comeBack("lost", opened ? "The connection to the server was lost." : "The server cannot be reached.");
  }

  _comeBack(state, why) {
    const pause = Math.min(LONGEST_PAUSE_MS, 500 * 2 ** this._attempt++);
    this._become(state, why);
    this._timer = setTimeout(() => this.connect(), pause);
  }

  _become(state, why = "") {
    this.state = state;
    this._changed(state, why);
  }

  _send(type, data) {
    return new Promise((done, fail) => {
      if (this._socket?.readyState !== WebSocket.OPEN) {
        fail(new Gone("There is no connection to the server."));
        return;
      }
      this._waiting.push({ done, fail });
      this._socket.send(write(data === undefined ? { type } : { type, data }));
    });
  }

  /** Stop waiting for the answer: the session ends with its connection, and another one is opened. */
  giveUp() {
    this._socket?.close();
  }

  /** Send one request and wait for the answer. Throws ServerError or Gone. */
  async request(type, data) {
    if (this.state === "ready") this._become("busy");
    try {
      return await this._send(type, data);
    } finally {
      if (this.state === "busy" && this._waiting.length === 0) this._become("ready");
    }
  }
}
