// @ts-check
// Call records: why a call of the past ended as it did. What is searched for stands in the address of the page, as in the lists.

import { Refusal, get, hubNow } from "./api.js";
import { facts, h, replace, said, setText, tag, visible } from "./dom.js";
import { bytes, count, micros, moment, span, words } from "./format.js";
import { go, lineLink, pager, queryOf } from "./lists.js";
import { Table } from "./table.js";

/** The past changes slowly, and each look reads a file. */
const EVERY_MS = 20_000;
const PAGE_LEN = 50;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** What the exchange itself says; parties and other exchanges may give reasons of their own. */
const CAUSES = [
  "no_such_address", "already_in_call", "dnd", "away", "busy", "max_sessions_reached", "max_listeners_reached", "timeout", "wake_failed",
  "unavailable", "forbidden", "loop_detected", "unsupported", "normal", "cancelled", "peer_disconnected", "client_requested", "sleep",
  "error", "reconfigured", "shutdown", "restarting", "service_shutdown", "slow_consumer", "replaced", "auth_expired", "admin",
];
/** By what one text is searched: the API's names. @type {[string, string][]} */
const KINDS = [
  ["address", "Address, on either side"],
  ["from", "Caller"],
  ["to", "Who was dialled"],
  ["domain", "Domain, on either side"],
  ["call_id", "Call id"],
];
/** @type {[string, string][]} */
const SPANS = [
  ["", "At any time"],
  ["hour", "In the last hour"],
  ["day", "In the last 24 hours"],
  ["yesterday", "Yesterday"],
  ["week", "In the last 7 days"],
  ["between", "Between …"],
];

/** @typedef {import("./main.js").View} View @typedef {import("./main.js").Visit} Visit @typedef {import("./table.js").Column} Column */

/** The span that a word means, as the API has it. @param {URLSearchParams} query @returns {Record<string, string | number | null>} */
function spanOf(query) {
  const now = hubNow();
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  switch (query.get("when")) {
    case "hour":
      return { since_ms: Math.floor(now - HOUR_MS) };
    case "day":
      return { since_ms: Math.floor(now - DAY_MS) };
    case "week":
      return { since_ms: Math.floor(now - 7 * DAY_MS) };
    case "yesterday":
      return { since_ms: new Date(midnight - DAY_MS / 2).setHours(0, 0, 0, 0), until_ms: midnight };
    default:
      return { since_ms: query.get("since_ms"), until_ms: query.get("until_ms") };
  }
}

/** What a field for a moment takes. @param {string | null} ms */
function local(ms) {
  if (!ms || !Number.isFinite(Number(ms))) return "";
  const at = new Date(Number(ms));
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** @param {string} label @param {HTMLElement} field */
const labelled = (label, field) => h("label", { class: "field", for: field.id }, h("span", {}, label), field);

/** @param {string} id @param {[string, string][]} options @param {string} value */
function choice(id, options, value) {
  const element = h("select", { id }, ...options.map(([name, text]) => h("option", { value: name }, text)));
  element.value = value;
  return element;
}

/** What is searched for. @param {URLSearchParams} query */
function searchForm(query) {
  const [known] = KINDS.filter(([name]) => query.get(name));
  const kind = choice("r-kind", KINDS, known?.[0] ?? "address");
  const text = h("input", { id: "r-text", type: "search", value: query.get(kind.value) ?? "", autocomplete: "off", spellcheck: "false", maxlength: 255 });
  const cause = h("input", { id: "r-cause", type: "search", list: "r-causes", value: query.get("cause") ?? "", autocomplete: "off", spellcheck: "false", maxlength: 255 });
  const causes = h("datalist", { id: "r-causes" }, ...CAUSES.map((name) => h("option", { value: name })));
  const isBetween = Boolean(query.get("since_ms") || query.get("until_ms"));
  const when = choice("r-when", SPANS, isBetween ? "between" : query.get("when") ?? "");
  const since = h("input", { id: "r-since", type: "datetime-local", value: local(query.get("since_ms")) });
  const until = h("input", { id: "r-until", type: "datetime-local", value: local(query.get("until_ms")) });
  const between = [labelled("Ended from", since), labelled("Ended before", until)];
  const showBetween = () => between.forEach((field) => (field.hidden = when.value !== "between"));
  when.addEventListener("change", showBetween);
  showBetween();
  const failed = h("input", { id: "r-failed", type: "checkbox" });
  failed.checked = query.get("failed") === "true";
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    const moments = when.value === "between" ? { since_ms: epoch(since.value), until_ms: epoch(until.value) } : { when: when.value };
    go("records", { [kind.value]: text.value.trim(), cause: cause.value.trim(), ...moments, failed: failed.checked ? "true" : "" });
  };
  return h(
    "form",
    { class: "fields", role: "search", on: { submit } },
    labelled("Search by", kind),
    labelled("Search for", text),
    labelled("Cause", cause),
    causes,
    labelled("When it ended", when),
    ...between,
    h("label", { class: "option", for: "r-failed" }, failed, "Only what nobody answered"),
    h("button", { type: "submit", class: "strong" }, "Search"),
  );
}

/** @param {string} text */
const epoch = (text) => (text ? String(new Date(text).getTime()) : "");

/** Times of a record. @param {number | null} us */
const lasted = (us) => (us === null ? "–" : us < 60_000_000 ? micros(us) : span(us / 1000));

/** @param {any} record */
const outcome = (record) => (record.answered_at === null ? tag("not answered", "warn") : tag("answered", "good"));

/** Whether it was answered, why it ended and who ended it. @param {any} record */
const ending = (record) => h("span", { class: "ending" }, outcome(record), said(record.end_reason), h("span", { class: "quiet" }, `by ${article(record.ended_by)}`));

/** @param {string} who */
const article = (who) => `the ${words(who)}`;

/** @param {number} messages @param {number} size */
const volume = (messages, size) => `${count(messages)} msg, ${bytes(size)}`;

/** @param {any} record */
function recordLink({ call_id: id }) {
  const shown = id.length > 9 ? `…${[...id].slice(-8).join("")}` : id;
  return h("a", { class: "short", href: `#/record/${encodeURIComponent(id)}`, "aria-label": `Record of call ${visible(id)}`, title: visible(id) }, shown);
}

/** @returns {Column[]} */
function recordColumns() {
  return [
    { label: "From", kind: "main", cell: (record) => lineLink(record.from), key: (record) => record.from },
    { label: "To", cell: (record) => lineLink(record.to), key: (record) => record.to },
    { label: "Ended", cell: (record) => moment(record.ended_at) },
    { label: "Outcome", cell: ending, key: (record) => `${record.answered_at} ${record.end_reason} ${record.ended_by}` },
    { label: "Ring", kind: "number", cell: (record) => lasted(record.ring_us) },
    { label: "Answer", kind: "number", cell: (record) => lasted(record.answer_us) },
    { label: "Talk", kind: "number", cell: (record) => lasted(record.talk_us) },
    { label: "Said", cell: (record) => volume(record.messages, record.bytes_to_callee + record.bytes_to_caller) },
    { label: "Call", cell: recordLink, key: (record) => record.call_id },
  ];
}

/** What the hub says of its records, if it keeps any. @param {Element} place @param {any} page */
function showTrouble(place, page) {
  const late = page.trouble ? `The latest calls may be missing: the file cannot be written now (${page.trouble}). ` : "";
  const damaged = page.unreadable ? `${page.unreadable} records are damaged and left out.` : "";
  const text = late + damaged;
  if (place.textContent !== text) replace(place, text && h("span", { class: "tag warn" }, text));
}

/**
 * Records of the API, or `null` if none are kept.
 * @param {Record<string, string | number | null>} values @param {AbortSignal} signal
 */
async function ask(values, signal) {
  try {
    return await get(`records?${queryOf(values)}`, signal);
  } catch (error) {
    if (error instanceof Refusal && error.code === "no_records") return null;
    throw error;
  }
}

/** @param {Visit} visit @returns {View} */
export function recordsView(visit) {
  const pages = pager("records", visit);
  const table = new Table("Call records", recordColumns(), (record) => `${record.call_id} ${record.ended_at}`, "No call that is kept fits.");
  const lead = h("p", { class: "lead" }, "Calls that have ended and dials that came to nothing, the latest first. Ring and answer count from the dial, talk from the answer.");
  const trouble = h("p", { class: "note" });
  const { query } = visit;
  const values = Object.fromEntries([...KINDS.map(([name]) => name), "cause", "failed", "cursor"].map((name) => [name, query.get(name)]));
  const element = h("div", {}, lead, searchForm(query), trouble, table.element, pages.element);
  const refresh = async (/** @type {AbortSignal} */ signal) => {
    const page = await ask({ ...values, ...spanOf(query), limit: PAGE_LEN }, signal);
    table.show(page?.records ?? []);
    pages.show(page?.next ?? null);
    showTrouble(trouble, page ?? {});
    if (!page) setText(table.empty, "This hub keeps no call records. SYSTEMX_CALL_RECORDS names a file that they are kept in from its next start on.");
  };
  return { title: "Call records", element, everyMs: EVERY_MS, refresh };
}

/** One call: it may have more than one record, if it came by here twice. @param {Visit} visit @param {string} name @returns {View} */
export function recordView(visit, name) {
  const about = h("div", {}, h("p", { class: "empty" }, "Asking the hub …"));
  let shown = "";
  const refresh = async (/** @type {AbortSignal} */ signal) => {
    const page = await ask({ call_id: name, limit: PAGE_LEN }, signal);
    const now = JSON.stringify(page);
    if (now === shown) return;
    shown = now;
    const none = page ? "No record of this call is kept. It may still be in progress, or have been too long ago." : "This hub keeps no call records.";
    const found = (page?.records ?? []).map(recordFacts);
    replace(about, ...(found.length ? found : [h("p", { class: "empty" }, none)]));
  };
  const live = h("a", { class: "button", href: `#/call/${encodeURIComponent(name)}` }, "Look for it among calls in progress");
  const element = h("div", {}, h("p", { class: "subject" }, said(name)), h("div", { class: "buttons" }, live), about);
  return { title: "Call record", element, everyMs: EVERY_MS, refresh };
}

/** @param {any} record */
function recordFacts(record) {
  return facts([
    ["From", lineLink(record.from)],
    ["To", lineLink(record.to)],
    ["Outcome", outcome(record)],
    ["Cause", said(record.end_reason)],
    ["Ended by", article(record.ended_by)],
    ["Kind", words(record.mode)],
    ["Dialled", moment(record.started_at)],
    ["Answered", moment(record.answered_at)],
    ["Ended", moment(record.ended_at)],
    ["Rang after", lasted(record.ring_us)],
    ["Answered after", lasted(record.answer_us)],
    ["Talked for", lasted(record.talk_us)],
    ["To the callee", volume(record.messages_to_callee, record.bytes_to_callee)],
    ["To the caller", volume(record.messages_to_caller, record.bytes_to_caller)],
    ["Other exchange", record.forwarded ? h("span", {}, words(record.forwarded), " ", record.link && said(record.link)) : "–"],
    ["Kept by", said(record.node)],
  ]);
}
