// @ts-check
// The exchange at a glance.

import { get, readiness } from "./api.js";
import { bar, sparkline, strip } from "./charts.js";
import { h, replace, section, setText, tag } from "./dom.js";
import { Drain } from "./drain.js";
import { bytes, count, millis, moment, rate, span, words } from "./format.js";
import { Table } from "./table.js";

const EVERY_MS = 2000;
/** Points of a sparkline: four minutes. */
const COURSE_LEN = 120;

/** Names of rates, and what they count. @type {[string, string, (n: number) => string][]} */
const RATES = [
  ["dials", "Dials", (n) => `${rate(n)}/s`],
  ["answers", "Answers", (n) => `${rate(n)}/s`],
  ["hangups", "Hang-ups", (n) => `${rate(n)}/s`],
  ["messages_in", "Messages in", (n) => `${rate(n)}/s`],
  ["messages_out", "Messages out", (n) => `${rate(n)}/s`],
  ["bytes_in", "Bytes in", (n) => `${bytes(n)}/s`],
  ["bytes_out", "Bytes out", (n) => `${bytes(n)}/s`],
  ["connections", "New connections", (n) => `${rate(n)}/s`],
  ["registrations", "Registrations", (n) => `${rate(n)}/s`],
  ["refusals", "Refusals", (n) => `${rate(n)}/s`],
];

/** @type {[string, string, (shard: any) => number, (n: number) => string][]} */
const SHARD_COLUMNS = [
  ["connections", "Connections", (shard) => shard.connections, count],
  ["connected", "Calls", (shard) => shard.calls_connected, count],
  ["ringing", "Ringing", (shard) => shard.calls_ringing, count],
  ["messages", "Messages in", (shard) => shard.messages_per_s ?? 0, (n) => `${rate(n)}/s`],
  ["input", "Held input", (shard) => shard.input_bytes, bytes],
  ["output", "Held output", (shard) => shard.output_bytes, bytes],
  ["outbox", "Trunk outbox", (shard) => shard.trunk_outbox, count],
];

const SPANS = [
  ["dial_to_ring", "Dial to ring"],
  ["ring_to_connected", "Ring to connected"],
  ["wake", "Wake"],
  ["queue_wait", "Wait between shards"],
];

/** @typedef {{ value: HTMLElement, note?: HTMLElement, chart?: HTMLElement }} Card */

/** @param {string} label @param {boolean} hasChart @returns {[Element, Card]} */
function card(label, hasChart) {
  const value = h("dd", { class: "figure" }, "–");
  const extra = hasChart ? h("dd", { class: "chart" }) : h("dd", { class: "quiet" });
  const element = h("div", { class: "card" }, h("dt", {}, label), value, extra);
  return [element, hasChart ? { value, chart: extra } : { value, note: extra }];
}

class Overview {
  /** @type {Map<string, number[]>} */
  #courses = new Map();
  /** @type {{ atMs: number, messages: number[] } | null} */
  #before = null;

  constructor() {
    this.lead = h("p", { class: "lead" }, "Asking the hub …");
    const figures = ["Connections", "Calls", "Parties", "Links", "Asleep", "Slow"].map((label) => card(label, false));
    this.figures = figures.map(([, parts]) => parts);
    const rates = RATES.map(([, label]) => card(label, true));
    this.rates = rates.map(([, parts]) => parts);
    this.ratesNote = h("p", { class: "quiet" });
    this.dials = new Table("Dials by outcome", shares("Outcome", (entry) => words(entry.outcome)), (entry) => entry.outcome, "Nobody has dialled since the start.");
    this.causes = new Table("Most frequent causes", causeColumns(), (entry) => `${entry.what} ${entry.cause}`, "Nothing has ended or been refused since the start.");
    this.spans = new Table("Latency", spanColumns(), (entry) => entry.name, "");
    this.shards = new Table("Shards side by side", shardColumns(), (entry) => entry.shard, "");
    this.spread = h("p", { class: "quiet" });
    this.parts = new Table("Readiness", partColumns(), (entry) => entry.part, "");
    this.drain = new Drain();
    const beside = h("div", { class: "beside" }, section("Dials since the start", h("div", { class: "pairs" }, this.dials.element)), section("Top causes since the start", h("div", { class: "pairs" }, this.causes.element)));
    this.element = h(
      "div",
      {},
      this.lead,
      h("dl", { class: "cards" }, ...figures.map(([element]) => element)),
      section("Rates", h("dl", { class: "cards narrow" }, ...rates.map(([element]) => element)), this.ratesNote),
      beside,
      section("Latency since the start", this.spans.element),
      section("Shards", h("div", { class: "shards" }, this.shards.element), this.spread),
      section("Readiness", this.drain.element, this.parts.element),
    );
  }

  /** @param {AbortSignal} signal */
  async refresh(signal) {
    const [seen, ready] = await Promise.all([get("overview", signal), readiness(signal), this.drain.refresh(signal)]);
    setText(this.lead, `Version ${seen.version}, up for ${span(seen.uptime_s * 1000)} (since ${moment(seen.started_ms)}).`);
    this.#showFigures(seen);
    this.#showRates(seen);
    const outcomes = Object.entries(seen.dials).map(([outcome, number]) => ({ outcome, count: number }));
    this.dials.show(withMost(outcomes.filter((entry) => entry.count > 0).sort((a, b) => b.count - a.count)));
    this.causes.show(withMost(seen.top_causes));
    this.spans.show(SPANS.map(([name, label]) => ({ name, label, ...seen.latency[name] })));
    this.#showShards(seen);
    this.parts.show(ready.parts);
  }

  /** @param {any} seen */
  #showFigures({ totals }) {
    const { waiting, ringing, connected } = totals.calls;
    const shown = [
      [count(totals.connections), `${count(totals.registered)} addresses registered`],
      [count(connected), `connected; ${count(ringing)} ringing, ${count(waiting)} waiting for a wake`],
      [count(totals.parties), `${count(totals.listeners)} listening to broadcasts`],
      [count(totals.links), "to other exchanges"],
      [count(totals.sleeping), `agents that can be woken; ${count(totals.wakes_in_flight)} waking`],
      [count(totals.congested), "connections behind with what they are sent"],
    ];
    shown.forEach(([value, note], at) => {
      setText(this.figures[at].value, value);
      if (this.figures[at].note) setText(this.figures[at].note, note);
    });
  }

  /** @param {any} seen */
  #showRates(seen) {
    RATES.forEach(([name, , text], at) => {
      const now = seen.rates_per_s[name];
      const course = [...(this.#courses.get(name) ?? []), now].slice(-COURSE_LEN);
      this.#courses.set(name, course);
      setText(this.rates[at].value, text(now));
      if (this.rates[at].chart) replace(this.rates[at].chart, sparkline(course));
    });
    setText(this.ratesNote, `Means of the last ${Math.round(seen.rates_over_ms / 1000)} s; the curves show what this page has seen, up to four minutes.`);
  }

  /** @param {any} seen */
  #showShards(seen) {
    const messages = seen.shards.map((/** @type {any} */ shard) => shard.messages_in);
    const spanS = this.#before ? (seen.now_ms - this.#before.atMs) / 1000 : 0;
    const shards = seen.shards.map((/** @type {any} */ shard, /** @type {number} */ at) => ({
      ...shard,
      messages_per_s: spanS > 0 ? (messages[at] - (this.#before?.messages[at] ?? 0)) / spanS : 0,
    }));
    this.#before = { atMs: seen.now_ms, messages };
    const most = Object.fromEntries(SHARD_COLUMNS.map(([name, , of]) => [name, Math.max(...shards.map(of))]));
    this.shards.show(shards.map((/** @type {any} */ shard) => ({ ...shard, most })));
    setText(this.spread, spreadOf(shards));
  }
}

/** How unevenly the work lies. @param {any[]} shards */
function spreadOf(shards) {
  if (shards.length < 2) return "There is one shard, so there is nothing to compare.";
  const uneven = (/** @type {(shard: any) => number} */ of) => {
    const values = shards.map(of);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    return mean > 0 ? `${(Math.max(...values) / mean).toFixed(2)} times` : "no more than";
  };
  return `The fullest shard has ${uneven((shard) => shard.connections)} the mean in connections and ${uneven((shard) => shard.messages_per_s)} the mean in messages.`;
}

/** @param {any[]} entries */
function withMost(entries) {
  const most = Math.max(...entries.map((entry) => entry.count), 0);
  return entries.map((entry) => ({ ...entry, most }));
}

/** @param {string} label @param {(entry: any) => string} name @returns {import("./table.js").Column[]} */
function shares(label, name) {
  return [
    { label, kind: "main", cell: name },
    { label: "Count", cell: ({ count: number, most }) => bar(count(number), number, most), key: (entry) => `${entry.count} ${entry.most}` },
  ];
}

/** @returns {import("./table.js").Column[]} */
function causeColumns() {
  const [cause, number] = shares("Cause", (entry) => words(entry.cause));
  return [cause, { label: "Of a", cell: (entry) => entry.what }, number];
}

/** @returns {import("./table.js").Column[]} */
function spanColumns() {
  const parts = ["p50_ms", "p90_ms", "p99_ms", "p999_ms"];
  const labels = ["Half within", "90 %", "99 %", "99.9 %"];
  return [
    { label: "From – to", kind: "main", cell: (entry) => entry.label },
    ...parts.map((name, at) => /** @type {const} */ ({ label: labels[at], kind: "number", cell: (/** @type {any} */ entry) => millis(entry[name]) })),
    { label: "10 µs to 100 s", cell: (entry) => strip(parts.map((name) => entry[name])), key: (entry) => parts.map((name) => entry[name]).join(" ") },
    { label: "Measured", kind: "number", cell: (entry) => count(entry.count) },
  ];
}

/** @returns {import("./table.js").Column[]} */
function shardColumns() {
  const bars = SHARD_COLUMNS.map(([name, label, of, text]) => ({
    label,
    cell: (/** @type {any} */ shard) => bar(text(of(shard)), of(shard), shard.most[name]),
    key: (/** @type {any} */ shard) => `${of(shard)} ${shard.most[name]}`,
  }));
  return [
    { label: "Shard", kind: "main", cell: (shard) => String(shard.shard) },
    ...bars,
    { label: "Reported", kind: "number", cell: (shard) => `${millis(shard.reported_ms_ago)} ago` },
  ];
}

/** @returns {import("./table.js").Column[]} */
function partColumns() {
  return [
    { label: "Part", kind: "main", cell: (part) => part.part },
    { label: "State", cell: (part) => tag(part.ready ? "up" : "down", part.ready ? "good" : "bad") },
    { label: "Why", cell: (part) => part.why ?? "–" },
  ];
}

/** @returns {import("./main.js").View} */
export function overviewView() {
  const overview = new Overview();
  return { title: "Overview", element: overview.element, everyMs: EVERY_MS, refresh: (signal) => overview.refresh(signal) };
}
