// Access to the server: addresses relative to the page's own, so that it works under any prefix, and the token.

import { read } from "./json.js";

const KEY = "openenv token";

/** The server needs a token, or another one. */
export class Locked extends Error {}

let token = remembered();

function remembered() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return ""; // in a frame without storage
  }
}

export const hasToken = () => token !== "";

/** Use a token from now on, in this tab. */
export function useToken(value) {
  token = value;
  try {
    sessionStorage.setItem(KEY, value);
  } catch {
    // The user is asked for it again after a reload.
  }
}

/** Ask the server for JSON. Throws Locked, or Error with a sentence. */
export async function ask(path, options = {}) {
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const answer = await fetch(new URL(path, location.href), { ...options, headers, cache: "no-store", credentials: "same-origin" });
  const text = await answer.text();
  let value = null;
  try {
    value = read(text);
  } catch {
    // Probably a proxy's page.
  }
  if (answer.status === 401) throw new Locked(value?.detail ?? "this server needs a token");
  if (!answer.ok || value === null) throw new Error(value?.detail ?? `the server answered ${answer.status} to ${path}`);
  return value;
}

/**
 * Open the WebSocket. Browsers cannot send a token with one, so a ticket, valid for half a minute, replaces it. The
 * page requests one without a token too: if the server refuses the page, this request returns the reason, which a
 * WebSocket does not.
 */
export async function socket() {
  const { ticket } = await ask("ticket", { method: "POST" });
  const offered = ["openenv-web.v1"];
  if (ticket) offered.push(`openenv-ticket.${ticket}`);
  const address = new URL("../ws", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  address.search = address.hash = "";
  return new WebSocket(address, offered);
}
