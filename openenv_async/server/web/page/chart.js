// The rewards of an episode's steps, as a small chart. A click on a step shows it.

import { h, put, svg } from "./dom.js";

const HEIGHT = 96;
const MARGIN = { top: 10, right: 10, bottom: 18, left: 48 };
const MOST_DOTS = 120;

/** Draw `points` ({number, reward, index, selected}) into a place. */
export function drawChart(place, points, choose) {
  const known = points.filter((point) => Number.isFinite(Number(point.reward ?? NaN)));
  if (known.length === 0) {
    put(place, h("p", { class: "quiet" }, points.length ? "No rewards so far." : "Rewards show here, step by step."));
    return;
  }
  const width = Math.max(220, place.clientWidth || 480);
  const rewards = known.map((point) => Number(point.reward));
  const flat = rewards.every((reward) => reward === 0);
  const low = flat ? -1 : Math.min(0, ...rewards), high = flat ? 1 : Math.max(0, ...rewards);
  const last = Math.max(points.length, 2);
  const x = (at) => MARGIN.left + ((width - MARGIN.left - MARGIN.right) * at) / (last - 1 || 1);
  const y = (value) => MARGIN.top + (HEIGHT - MARGIN.top - MARGIN.bottom) * (1 - (value - low) / (high - low));
  const line = known.map((point, index) => `${index ? "L" : "M"}${x(point.at).toFixed(1)} ${y(Number(point.reward)).toFixed(1)}`).join("");
  const words = `Rewards of ${known.length} steps, from ${figure(Math.min(...rewards))} to ${figure(Math.max(...rewards))}`;
  const dots = known.filter((point) => known.length <= MOST_DOTS || point.selected).map((point) =>
    svg("circle", { cx: x(point.at), cy: y(Number(point.reward)), r: point.selected ? 5 : 3, class: point.selected ? "dot now" : "dot" },
      svg("title", {}, `step ${point.number}: ${figure(Number(point.reward))}`)));
  const edges = flat ? [0] : [low, high];
  put(place, svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": words, onclick: (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const at = ((event.clientX - box.left) * (width / box.width));
    choose(known.reduce((best, point) => (Math.abs(x(point.at) - at) < Math.abs(x(best.at) - at) ? point : best)).index);
  } },
    svg("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: y(0), y2: y(0), class: "zero" }),
    edges.map((value) => svg("text", { x: MARGIN.left - 8, y: y(value) + 4, class: "label end" }, figure(value))),
    svg("text", { x: MARGIN.left, y: HEIGHT - 3, class: "label" }, `step ${points[0].number}`),
    points.length > 1 ? svg("text", { x: width - MARGIN.right, y: HEIGHT - 3, class: "label end" }, String(points.at(-1).number)) : null,
    svg("path", { d: line, class: "line" }), dots));
}

/** A number as people read it. */
export function figure(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "boolean") return value ? "1" : "0";
  const number = Number(value);
  return Number.isFinite(number) ? String(Number(Math.abs(number) < 1000 ? number.toPrecision(3) : number.toPrecision(6))) : String(value);
}
