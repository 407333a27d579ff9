// Images: bytes in base64, and arrays of numbers, drawn as what they are.

import { h } from "./dom.js";

const MAGIC = [["iVBORw0KGgo", "image/png"], ["/9j/", "image/jpeg"], ["R0lGOD", "image/gif"], ["UklGR", "image/webp"], ["Qk", "image/bmp"]];
const DATA_URL = /^data:image\/(?:png|jpeg|gif|webp|bmp|avif|svg\+xml)[;,]/i;
const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/;
const SMALLEST = 48;

/** Whether a text looks like bytes in base64. */
export const isBase64 = (text, least = SMALLEST) => text.length >= least && text.length % 4 === 0 && BASE64.test(text);

/** How many bytes a base64 text holds. */
export const bytesIn = (text) => Math.floor((text.length * 3) / 4) - (text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0);

/** An `<img>` of a text that is an image, or null. An image cannot run scripts. */
export function pictureOf(text, name = "image") {
  let source = null;
  if (DATA_URL.test(text)) source = text;
  else if (isBase64(text)) {
    const known = MAGIC.find(([magic]) => text.startsWith(magic));
    if (known) source = `data:${known[1]};base64,${text.replace(/-/g, "+").replace(/_/g, "/")}`;
  }
  if (source === null) return null;
  const picture = h("img", { src: source, alt: name, class: "picture" });
  // A small one is shown larger, its pixels as they are.
  picture.onload = () => enlarge(picture, picture.naturalWidth, picture.naturalHeight);
  return picture;
}

const WANTED = 240;
const LARGEST = 420;

function enlarge(element, width, height) {
  const factor = Math.max(1, Math.floor(WANTED / Math.max(width, height, 1)));
  if (factor > 1) element.classList.add("pixels");
  element.style.width = `${Math.min(LARGEST * 2, width * factor)}px`;
}

const isNumber = (value) => typeof value === "number";

/** The sizes of a regular array of numbers, or null. */
export function dimensions(value) {
  const sizes = [];
  let at = value;
  while (Array.isArray(at)) {
    if (at.length === 0) return null;
    sizes.push(at.length);
    at = at[0];
  }
  return isNumber(at) && sizes.length > 0 && regular(value, sizes, 0) ? sizes : null;
}

function regular(value, sizes, depth) {
  if (depth === sizes.length) return isNumber(value) || value === null;
  return Array.isArray(value) && value.length === sizes[depth] && value.every((item) => regular(item, sizes, depth + 1));
}

const MOST_PIXELS = 4_000_000;

/** A canvas of an array that is an image (height, width, and 1, 3 or 4 channels) or a matrix; null for what is neither. */
export function canvasOf(value, sizes, name) {
  const [height, width, channels] = sizes;
  const isImage = sizes.length === 3 && [1, 3, 4].includes(channels);
  if (!isImage && sizes.length !== 2) return null;
  if (height * width > MOST_PIXELS || height * width < 64 || Math.min(height, width) < 4) return null;
  const flat = value.flat(2);
  const shown = isImage ? scaleOf(flat) : spanOf(flat);
  if (shown === null) return null;
  const canvas = h("canvas", { width, height, role: "img", "aria-label": `${name}: ${sizes.join(" × ")}`, class: "picture" });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const step = isImage ? channels : 1;
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    const at = pixel * step, to = pixel * 4;
    const level = (offset) => ((flat[at + offset] ?? 0) - shown.low) * shown.factor;
    image.data[to] = level(0);
    image.data[to + 1] = level(step > 2 ? 1 : 0);
    image.data[to + 2] = level(step > 2 ? 2 : 0);
    image.data[to + 3] = step === 4 ? level(3) : 255;
  }
  context.putImageData(image, 0, 0);
  enlarge(canvas, width, height);
  return canvas;
}

/** Levels of 0 to 255, or of 0 to 1. */
function scaleOf(flat) {
  const { low, high } = ends(flat);
  if (low < 0 || high > 255) return null;
  const fractions = high <= 1 && flat.some((value) => !Number.isInteger(value));
  return { low: 0, factor: fractions ? 255 : 1 };
}

function spanOf(flat) {
  const { low, high } = ends(flat);
  return { low, factor: high > low ? 255 / (high - low) : 0 };
}

function ends(flat) {
  let low = Infinity, high = -Infinity;
  for (const value of flat) {
    if (value === null) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return { low, high };
}
