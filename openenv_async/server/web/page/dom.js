// Elements are made here, and text only ever becomes text: nothing on this page parses markup.

/** Make an element. `on...` attributes are listeners; null, undefined and false leave an attribute out. */
export function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

const SVG = "http://www.w3.org/2000/svg";

/** Make an element of a drawing. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  add(element, children);
  return element;
}

function add(element, children) {
  for (const child of children) {
    if (Array.isArray(child)) add(element, child);
    else if (child !== null && child !== undefined) element.append(child);
  }
}

/** Replace what an element holds. */
export function put(element, ...children) {
  element.replaceChildren();
  add(element, children);
}

export const byId = (id) => document.getElementById(id);

let names = 0;

/** A unique id, for labels. */
export const fresh = (what) => `${what}-${++names}`;

/** Show a message to the user. `kind` is error, warning or info; `action` is [label, function]. */
export function notice(kind, text, { key, action } = {}) {
  const shown = h("div", { class: "notice", "data-kind": kind, "data-key": key, role: kind === "error" ? "alert" : null },
    h("p", {}, text),
    action ? h("button", { type: "button", class: "plain", onclick: () => { shown.remove(); action[1](); } }, action[0]) : null,
    h("button", { type: "button", class: "plain close", "aria-label": "Dismiss", onclick: () => shown.remove() }, "×"));
  if (key) dismiss(key);
  const place = byId("notices");
  while (place.children.length > 3) place.firstChild.remove();
  place.append(shown);
}

/** Remove the message of a key. */
export function dismiss(key) {
  for (const shown of [...byId("notices").children]) if (shown.dataset.key === key) shown.remove();
}
