// The environment's description: its name, its README, its schemas.

import { byId, h, put } from "./dom.js";
import { write } from "./json.js";
import { markdown } from "./markdown.js";

const NAMES = { action: "Action", observation: "Observation", state: "State", reset: "Arguments of reset" };

/** Show what is known before a session is open. */
export function showAbout(about) {
  document.title = about.title;
  put(byId("title"), about.title);
  showReadme(about.readme, null);
  put(byId("panel-schemas"), Object.entries(about.schemas).map(([name, schema]) =>
    h("section", {}, h("h2", {}, NAMES[name] ?? name), schema.description ? h("p", {}, schema.description) : null,
      h("pre", { tabindex: "0" }, write(schema, 2)))));
}

/** Show the environment's metadata, received in a session. */
export function showMetadata(metadata, about) {
  if (!metadata) return;
  put(byId("about"), metadata.description ?? "");
  showReadme(metadata.readme_content || about.readme, metadata);
}

function showReadme(text, metadata) {
  const facts = ["version", "author", "documentation_url"].filter((name) => typeof metadata?.[name] === "string" && metadata[name]);
  put(byId("panel-readme"),
    text ? markdown(text) : h("p", { class: "quiet" }, "This environment has no README."),
    facts.length ? h("dl", { class: "fields" }, facts.map((name) =>
      h("div", { class: "pair" }, h("dt", {}, name.replace("_", " ")), h("dd", {}, metadata[name])))) : null);
}
