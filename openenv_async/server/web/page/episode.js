// A record of the episode: one entry per call, written as and read from JSONL. The server records in the same format.

import { read, write } from "./json.js";
import { unmarked } from "./marked.js";
import { isObject } from "./schema.js";

const CALLS = ["reset", "step", "state"];

export class Episode {
  /** `source` is null for what is played here, else the name of a file. */
  constructor(header = {}, source = null) {
    this.header = header;
    this.source = source;
    this.entries = [];
    this.ended = null;
  }

  /** Add a call; a step gets its number in the episode. */
  add(entry) {
    const last = this.entries.at(-1)?.number ?? 0;
    entry.number = entry.type === "reset" ? 0 : entry.type === "step" ? last + 1 : last;
    this.entries.push(entry);
    return entry;
  }

  get steps() {
    return this.entries.filter((entry) => entry.type === "step");
  }

  /** The sum of the rewards of the steps. */
  get total() {
    return this.steps.reduce((sum, entry) => sum + Number(entry.reward ?? 0), 0);
  }

  /** The text of a recording. */
  text() {
    const lines = [{ type: "session", version: 1, ...this.header }];
    for (const entry of this.entries) lines.push(recorded(entry));
    lines.push({ type: "end", at: this.entries.at(-1)?.at ?? this.header.started_at, ...(this.ended ? { reason: this.ended } : {}) });
    return `${lines.map((line) => write(line)).join("\n")}\n`;
  }

  /** Read a recording; lines of unknown types are ignored. Throws Error with a sentence. */
  static parse(text, source) {
    let episode = null;
    text.split("\n").forEach((line, index) => {
      if (line.trim() === "") return;
      const value = parsed(line, index + 1, source);
      if (episode === null) {
        if (value.type !== "session") throw new Error(`${source} is no recording: its first line is not of the type "session".`);
        if (value.version !== 1) throw new Error(`${source} is a recording of version ${value.version}; this page reads version 1.`);
        const { type, version, ...header } = value;
        episode = new Episode(header, source);
      } else if (CALLS.includes(value.type)) episode.add(unmarked(value));
      else if (value.type === "end") episode.ended = value.reason ?? null;
    });
    if (episode === null) throw new Error(`${source} is empty.`);
    return episode;
  }
}

function parsed(line, number, source) {
  let value;
  try {
    value = read(line);
  } catch (error) {
    throw new Error(`${source}, line ${number}, is no JSON: ${error.message}`);
  }
  if (!isObject(value)) throw new Error(`${source}, line ${number}, is no JSON object.`);
  return value;
}

const KEPT = ["type", "at", "latency_ms", "request", "observation", "reward", "done", "truncated", "metadata", "state", "warnings", "error"];

const recorded = (entry) => Object.fromEntries(KEPT.filter((name) => entry[name] !== undefined).map((name) => [name, entry[name]]));

/** An entry of a call that was answered with an observation. */
export function observed(entry, data) {
  const { observation = {}, reward = null, done = false, metadata } = data;
  Object.assign(entry, { observation, reward, done });
  if (observation?.truncated === true || data.truncated === true) entry.truncated = true;
  if (metadata !== undefined && metadata !== null) entry.metadata = metadata;
}

/** Where two entries differ first: a path and both values, or null. Times do not count. */
export function difference(one, other) {
  for (const name of ["observation", "reward", "done"]) {
    const found = differing(one[name] ?? null, other[name] ?? null, name);
    if (found) return found;
  }
  const codes = [one.error?.code ?? null, other.error?.code ?? null];
  return codes[0] === codes[1] ? null : { path: "error", one: codes[0], other: codes[1] };
}

function differing(one, other, path) {
  if (Array.isArray(one) && Array.isArray(other) && one.length === other.length) {
    for (let index = 0; index < one.length; index += 1) {
      const found = differing(one[index], other[index], `${path}[${index}]`);
      if (found) return found;
    }
    return null;
  }
  if (isObject(one) && isObject(other)) {
    for (const name of new Set([...Object.keys(one), ...Object.keys(other)])) {
      const found = differing(one[name] ?? null, other[name] ?? null, `${path}.${name}`);
      if (found) return found;
    }
    return null;
  }
  return one === other ? null : { path, one, other };
}
