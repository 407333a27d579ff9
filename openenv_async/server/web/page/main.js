// Puts the page together: connects its parts, and decides what is shown.

import { showAbout, showMetadata } from "./about.js";
import { Locked, ask, hasToken, useToken } from "./access.js";
import { byId, dismiss, notice } from "./dom.js";
import { write } from "./json.js";
import { keys } from "./keys.js";
import { Link } from "./link.js";
import { Play } from "./play.js";
import { Capacity, showLink } from "./status.js";
import { tabs } from "./tabs.js";
import { theme } from "./theme.js";

const capacity = new Capacity();
let play = null;
let about = null;
let seen = 0;

const link = new Link((state, why) => {
  showLink(state);
  if (state === "locked") lock(why);
  if (state === "ready" && link.sessions > seen) {
    seen = link.sessions;
    dismiss("link");
    showMetadata(link.metadata, about);
    if (seen > 1) renew();
  }
  play?.linkChanged(state, why);
  if (state !== "busy") capacity.look();
});

/** After a reconnect the server may serve another environment: its author may have changed it. */
async function renew() {
  const found = await ask("about.json").catch(() => about);
  if (write(found) === write(about)) return;
  about = found;
  showAbout(about);
  showMetadata(link.metadata, about);
  play.renew(about);
}

function lock(why) {
  const form = byId("token");
  byId("token-problem").textContent = hasToken() ? why : "";
  document.body.classList.add("waiting");
  form.hidden = false;
  byId("token-value").focus();
}

byId("token").addEventListener("submit", (event) => {
  event.preventDefault();
  useToken(byId("token-value").value.trim());
  byId("token-value").value = "";
  begin();
});

async function begin() {
  try {
    about = await ask("about.json");
  } catch (error) {
    if (error instanceof Locked) {
      showLink("locked");
      lock(error.message);
    } else {
      showLink("lost");
      notice("error", `The server cannot be reached: ${error.message}`, { key: "link", action: ["Try again", begin] });
    }
    return;
  }
  dismiss("link");
  byId("token").hidden = true;
  document.body.classList.remove("waiting");
  showAbout(about);
  play ??= new Play(link, about);
  await link.connect();
}

tabs(document.querySelector("[role=tablist]"));
theme(byId("theme"), () => play?.repaint());
keys({ step: () => play?.step(), reset: () => play?.reset(), look: (by) => play?.look(by) });
showLink("connecting");
begin();
