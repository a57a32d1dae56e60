// @ts-check
// The drawing of a ladder: parties side by side, time downwards, one arrow for each frame.

import { h, s, visible } from "./dom.js";
import { micros } from "./format.js";

/** Left of the first column, for the times; less where there is little room. */
const GUTTER = { usual: 92, narrow: 62, narrowBelow: 560 };
const HEADER = 32;
const ROW = 30;
const HEAD = { half: 4, length: 9 };
const COLUMN_MIN = 92;
const COLUMN_MAX = 420;
/** Pixels of a letter, about; labels are cut to what fits. */
const LETTER = 7;

/** The column of the exchange. */
const MIDDLE = 1;

/** What stands on an arrow. @param {any} rung */
export function labelOf(rung) {
  const gap = rung.left_out > 0 ? `[${rung.left_out} frames left out]` : "";
  const parts = [gap, rung.frame, rung.peer, rung.words].filter(Boolean).join(" ");
  if (rung.payload !== undefined) return `${parts}: ${rung.payload}`;
  return rung.bytes > 0 ? `${parts} (${rung.bytes} B)` : parts;
}

/** @param {string} text @param {number} width */
function fitted(text, width) {
  const most = Math.max(Math.floor(width / LETTER), 4);
  const letters = [...visible(text)];
  return letters.length <= most ? letters.join("") : `${letters.slice(0, most - 1).join("")}…`;
}

/**
 * @param {any} ladder @param {any[]} rungs those that are drawn @param {number} room the width there is
 * @returns {HTMLElement}
 */
export function draw(ladder, rungs, room) {
  const { parties } = ladder;
  const gutter = room < GUTTER.narrowBelow ? GUTTER.narrow : GUTTER.usual;
  const column = Math.min(Math.max(Math.floor((room - gutter) / Math.max(parties.length, 1)), COLUMN_MIN), COLUMN_MAX);
  const [width, height] = [gutter + column * parties.length, ROW * (rungs.length + 0.7)];
  const x = (/** @type {number} */ at) => gutter + column * at + column / 2;
  const label = `Ladder of ${ladder.subject}: ${rungs.length} frames between ${parties.length} parties. The table below tells the same.`;
  const svg = s("svg", { class: "ladder", role: "img", "aria-label": label, width, height, viewBox: `0 0 ${width} ${height}` });
  // Apart, so that the names stay in sight while the frames are scrolled.
  const names = s("svg", { class: "ladder", "aria-hidden": "true", width, height: HEADER, viewBox: `0 0 ${width} ${HEADER}` });
  parties.forEach((/** @type {string} */ party, /** @type {number} */ at) => {
    svg.append(s("line", { class: "life", x1: x(at), x2: x(at), y1: 0, y2: height }));
    names.append(s("text", { class: "party", x: x(at), y: 21, "text-anchor": "middle" }, fitted(party, column - 8), s("title", {}, visible(party))));
  });
  rungs.forEach((rung, row) => svg.append(...arrow(rung, ROW * (row + 0.7), x, column)));
  return h("div", { class: "drawing" }, h("div", { class: "names" }, names), svg);
}

/**
 * @param {any} rung @param {number} y @param {(at: number) => number} x @param {number} column
 */
function arrow(rung, y, x, column) {
  const [start, end] = [x(rung.from), x(rung.to)];
  const tail = start < end ? end - HEAD.length : end + HEAD.length;
  const head = `M${end} ${y}L${tail} ${y - HEAD.half}L${tail} ${y + HEAD.half}Z`;
  const text = labelOf(rung);
  // Beside the party's own column, so that a label of a far party crosses nobody else's.
  const party = rung.to === MIDDLE ? rung.from : rung.to;
  const beside = party === 0 ? (x(0) + x(1)) / 2 : x(party) - column / 2;
  return [
    s("text", { class: "time", x: 4, y: y + 4 }, `+${micros(rung.since_last_us)}`),
    s(
      "g",
      { class: rung.to === MIDDLE ? "in" : "out" },
      s("line", { x1: start, x2: tail, y1: y, y2: y }),
      s("path", { d: head }),
      s("text", { class: "label", x: beside, y: y - 5, "text-anchor": "middle" }, fitted(text, column - 10), s("title", {}, visible(text))),
    ),
  ];
}
