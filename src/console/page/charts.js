// @ts-check
// Small drawings beside numbers. The numbers are there as text, so the drawings are hidden from screen readers.

import { h, s } from "./dom.js";

const WIDTH = 120;
const HEIGHT = 28;

/** The course of a number. @param {number[]} values */
export function sparkline(values) {
  const most = Math.max(...values, 1e-9);
  const step = WIDTH / Math.max(values.length - 1, 1);
  const y = (/** @type {number} */ value) => (HEIGHT - 2 - (value / most) * (HEIGHT - 4)).toFixed(1);
  const points = values.map((value, at) => `${(at * step).toFixed(1)},${y(value)}`);
  const props = { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" };
  const area = s("polygon", { points: `0,${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}` });
  return s("svg", props, points.length > 1 && area, s("polyline", { points: points.join(" ") }));
}

/** A number with a bar that says how much it is of the most. @param {string} text @param {number} value @param {number} most */
export function bar(text, value, most) {
  const share = most > 0 ? Math.max(value / most, value > 0 ? 0.02 : 0) : 0;
  const track = h("span", { class: "track", "aria-hidden": "true" }, h("span", { class: "fill", vars: { share: `${(share * 100).toFixed(1)}%` } }));
  return h("span", { class: "bar" }, h("span", { class: "amount" }, text), track);
}

/** From 10 µs to 100 s, by powers of ten. */
const DECADES = { from: -2, to: 5 };

/** Where times lie on a scale of powers of ten. @param {(number | null)[]} ms */
export function strip(ms) {
  const place = (/** @type {number} */ time) => {
    const log = Math.log10(Math.max(time, 1e-9));
    return (Math.min(Math.max((log - DECADES.from) / (DECADES.to - DECADES.from), 0), 1) * 200).toFixed(1);
  };
  const known = /** @type {number[]} */ (ms.filter((time) => time !== null));
  const svg = s("svg", { class: "strip", viewBox: "0 0 200 16", "aria-hidden": "true" });
  for (let power = DECADES.from; power <= DECADES.to; power += 1) {
    const x = place(10 ** power);
    svg.append(s("line", { class: "grid", x1: x, x2: x, y1: 2, y2: 14 }));
  }
  if (known.length === 0) return svg;
  svg.append(s("line", { class: "reach", x1: place(known[0]), x2: place(known[known.length - 1]), y1: 8, y2: 8 }));
  known.forEach((time, at) => svg.append(s("circle", { class: `q${at}`, cx: place(time), cy: 8, r: at === 0 ? 4 : 3 })));
  return svg;
}
