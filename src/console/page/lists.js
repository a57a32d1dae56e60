// @ts-check
// The lists: lines, calls, parties, links, slow consumers, warnings, deeds. What is searched for stands in the address of the page,
// so that every search and page of it can be linked.

import { get, hubNow, part } from "./api.js";
import { confirm, perform } from "./dialogs.js";
import { h, replace, said, setText, tag, visible } from "./dom.js";
import { bytes, count, counted, moment, span, words } from "./format.js";
import { Table } from "./table.js";

const EVERY_MS = 3000;
const PAGE_LEN = 50;

/** @typedef {import("./main.js").View} View @typedef {import("./main.js").Visit} Visit @typedef {import("./table.js").Column} Column */

/** @param {Record<string, string | number | null | undefined>} values */
export function queryOf(values) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value) query.set(name, String(value));
  return query.toString();
}

/** Goes to a list with other search words. @param {string} name @param {Record<string, string>} values */
export function go(name, values) {
  const query = queryOf(values);
  location.hash = `#/${name}${query && `?${query}`}`;
}

/** The links between pages. @param {string} name @param {Visit} visit */
export function pager(name, visit) {
  const values = Object.fromEntries(visit.query);
  const first = h("a", { class: "button", href: `#/${name}?${queryOf({ ...values, cursor: null })}` }, "First page");
  const next = h("a", { class: "button" }, "Next page");
  first.hidden = !values.cursor;
  next.hidden = true;
  const element = h("nav", { class: "pager", "aria-label": "Pages" }, first, next);
  return {
    element,
    /** @param {string | null} cursor */
    show(cursor) {
      next.hidden = !cursor;
      if (cursor) next.href = `#/${name}?${queryOf({ ...values, cursor })}`;
      element.hidden = first.hidden && next.hidden;
    },
  };
}

/**
 * A list that comes in pages.
 * @param {{ title: string, name: string, visit: Visit, table: Table, search?: Element, values?: Record<string, string | null> }} given
 * @returns {View}
 */
function paged({ title, name, visit, table, search, values = {} }) {
  const pages = pager(name, visit);
  const query = queryOf({ ...values, cursor: visit.query.get("cursor"), limit: PAGE_LEN });
  return {
    title,
    element: h("div", {}, search, table.element, pages.element),
    everyMs: EVERY_MS,
    async refresh(signal) {
      const page = await get(`${name}?${query}`, signal);
      table.show(page[name]);
      // A search that looks at much comes back with little and goes on from there.
      if (page.next && page[name].length === 0) setText(table.empty, "Nothing yet; the search has not come to the end. Look at the next page.");
      pages.show(page.next);
    },
  };
}

/** @param {string} address */
export const lineLink = (address) => h("a", { href: `#/line/${part(address)}` }, said(address));

/** Letters of a call's id that are shown: the last, because the first say where it was dialled and are those of many. */
const ID_LEN = 8;

/** @param {any} call */
function callLink({ call_id: id }) {
  const shown = id.length > ID_LEN + 1 ? `…${[...id].slice(-ID_LEN).join("")}` : id;
  return h("a", { class: "short", href: `#/call/${part(id)}`, "aria-label": `Call ${visible(id)}`, title: visible(id) }, shown);
}

/** What is out of the ordinary with a line. @param {any} line */
export function marks(line) {
  const found = [
    line.congested && tag("congested", "bad"),
    line.paused && tag("paused", "warn"),
    line.can_be_woken && tag("can be woken"),
    line.service && tag("service"),
    line.link && tag("link"),
  ].filter(Boolean);
  return found.length ? h("span", { class: "tags" }, ...found) : "–";
}

/** @param {string} state */
export const stateTag = (state) => tag(words(state), { connected: "good", available: "good", ringing: "warn", busy: "warn", dnd: "bad" }[state] ?? "");

/** @param {Visit} visit @returns {View} */
export function linesView(visit) {
  const { prefix, domain } = Object.fromEntries(visit.query);
  const field = h("input", { id: "q", type: "search", value: domain ?? prefix ?? "", autocomplete: "off", spellcheck: "false", maxlength: 255 });
  const kind = h("select", { id: "q-kind" }, h("option", { value: "prefix" }, "Address begins with"), h("option", { value: "domain" }, "Domain is"));
  kind.value = domain ? "domain" : "prefix";
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    go("lines", { [kind.value]: field.value.trim() });
  };
  const search = h(
    "form",
    { class: "search", role: "search", on: { submit } },
    h("label", { for: "q-kind", class: "heard" }, "What to search by"),
    kind,
    h("label", { for: "q", class: "heard" }, "Search for"),
    field,
    h("button", { type: "submit", class: "strong" }, "Search"),
  );
  const what = prefix || domain ? "No line that is registered matches." : "No line is registered.";
  return paged({ title: "Lines", name: "lines", visit, search, values: { prefix, domain }, table: new Table("Lines", lineColumns(), (line) => line.session_id, what) });
}

/** @returns {Column[]} */
function lineColumns() {
  return [
    { label: "Address", kind: "main", cell: (line) => (line.address ? lineLink(line.address) : "not registered"), key: (line) => line.address ?? "" },
    { label: "Status", cell: (line) => stateTag(line.status) },
    { label: "Calls", kind: "number", cell: (line) => count(line.calls) },
    { label: "Parties", kind: "number", cell: (line) => count(line.parties) },
    { label: "Connected", cell: (line) => moment(line.connected_since_ms) },
    { label: "Heard", kind: "number", cell: (line) => `${span(line.heard_ms_ago)} ago` },
    { label: "Shard", kind: "number", cell: (line) => String(line.shard) },
    { label: "Marks", cell: marks },
  ];
}

/** @param {any} call */
export const lasted = (call) => span(hubNow() - (call.answered_ms ?? call.started_ms ?? hubNow()));

/** @returns {Column[]} */
export function callColumns() {
  return [
    { label: "Call", kind: "main", cell: callLink, key: (call) => call.call_id },
    { label: "From", cell: (call) => lineLink(call.from), key: (call) => call.from },
    { label: "To", cell: (call) => lineLink(call.to), key: (call) => call.to },
    { label: "State", cell: (call) => stateTag(call.state) },
    { label: "For", kind: "number", cell: lasted },
    { label: "To callee", kind: "number", cell: (call) => volume(call.to_callee) },
    { label: "To caller", kind: "number", cell: (call) => volume(call.to_caller) },
  ];
}

/** @param {{ messages: number, bytes: number }} volume */
export const volume = ({ messages, bytes: size }) => `${count(messages)} msg, ${bytes(size)}`;

/** @param {Visit} visit @returns {View} */
export function callsView(visit) {
  const address = visit.query.get("address");
  const field = h("input", { id: "q", type: "search", value: address ?? "", autocomplete: "off", spellcheck: "false", placeholder: "name@domain.example", maxlength: 255 });
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    go("calls", { address: field.value.trim() });
  };
  const search = h(
    "form",
    { class: "search", role: "search", on: { submit } },
    h("label", { for: "q" }, "Of the address"),
    field,
    h("button", { type: "submit", class: "strong" }, "Show"),
  );
  const what = address ? "Whoever holds this address is in no call." : "No call is in progress.";
  return paged({ title: "Calls in progress", name: "calls", visit, search, values: { address }, table: new Table("Calls in progress", callColumns(), (call) => call.call_id, what) });
}

/** @param {Visit} visit @returns {View} */
export function partiesView(visit) {
  /** @type {Column[]} */
  const columns = [
    { label: "Party", kind: "main", cell: (party) => said(party.party), key: (party) => party.party },
    { label: "Members here", kind: "number", cell: (party) => count(party.members) },
    { label: "Members elsewhere", kind: "number", cell: (party) => count(party.far_members) },
    { label: "Host", cell: (party) => (party.hosted_here ? "this exchange" : "another exchange") },
  ];
  return paged({ title: "Parties", name: "parties", visit, table: new Table("Parties", columns, (party) => party.party, "Nobody is in a party.") });
}

/** A list that comes whole. @param {string} title @param {string} path @param {string} list @param {Table} table @param {...Node} more @returns {View} */
function whole(title, path, list, table, ...more) {
  return {
    title,
    element: h("div", {}, ...more, table.element),
    everyMs: EVERY_MS,
    refresh: async (signal) => table.show((await get(path, signal))[list]),
  };
}

/** @returns {View} */
export function linksView() {
  /** @type {Column[]} */
  const columns = [
    { label: "Exchange", kind: "main", cell: (link) => said(link.peer ?? link.domain ?? "?"), key: (link) => link.peer ?? link.domain },
    { label: "Domain", cell: (link) => (link.domain ? said(link.domain) : "–"), key: (link) => link.domain ?? "" },
    { label: "State", cell: (link) => tag(link.up ? "up" : "down", link.up ? "good" : "bad") },
    { label: "Called by", cell: (link) => (link.direction === "out" ? "this exchange" : "the other") },
    { label: "Routes", kind: "number", cell: (link) => count(link.routes) },
    { label: "Calls in", kind: "number", cell: (link) => count(link.calls_in) },
    { label: "Calls out", kind: "number", cell: (link) => count(link.calls_out) },
    { label: "Heartbeats without answer", kind: "number", cell: (link) => count(link.heartbeats_unanswered) },
  ];
  const empty = "No link to another exchange is up, and none is configured.";
  return whole("Federation links", "links", "links", new Table("Federation links", columns, (link) => `${link.direction} ${link.peer ?? link.domain}`, empty));
}

/** @returns {View} */
export function slowView() {
  /** @type {Column[]} */
  const columns = [
    { label: "Address", kind: "main", cell: (line) => (line.address ? lineLink(line.address) : "not registered"), key: (line) => line.address ?? "" },
    { label: "Waiting for it", kind: "number", cell: (line) => bytes(line.output_bytes) },
    { label: "No progress for", kind: "number", cell: (line) => span((line.stalled_s ?? 0) * 1000) },
    { label: "Shard", kind: "number", cell: (line) => String(line.shard) },
    { label: "Marks", cell: marks },
  ];
  const table = new Table("Slow consumers", columns, (line) => `${line.shard} ${line.address}`, "Every connection takes what it is sent.");
  const note = h("p", { class: "lead" }, "Connections that do not take what they are sent as fast as it comes. One that makes no progress is closed.");
  return whole("Slow consumers", "slow", "slow", table, note);
}

/** @param {Visit} visit @returns {View} */
export function warningsView(visit) {
  /** @type {Column[]} */
  const columns = [
    { label: "When", cell: (line) => moment(line.at_ms) },
    { label: "Level", cell: (line) => tag(line.level, line.level === "error" ? "bad" : "warn") },
    { label: "Message", kind: "main", cell: (line) => said(line.message), key: (line) => line.message },
    { label: "How often", kind: "number", cell: howOften },
    { label: "Fields", kind: "long", cell: (line) => said(fieldsOf(line.fields)), key: (line) => fieldsOf(line.fields) },
  ];
  const table = new Table("Warnings", columns, (line) => `${line.first_ms} ${line.message} ${fieldsOf(line.fields)}`, "Nothing has been warned about lately.");
  const level = h("div", { class: "search" });
  const view = whole("Warnings", "warnings", "warnings", table, h("p", { class: "lead" }, "The last warnings and errors of the log. What is said again counts; of one message, the last eight are shown that differ."), level);
  showLevel(level, visit);
  return view;
}

/** @param {any} line */
const howOften = (line) => (line.of_kind > line.count ? `${count(line.count)} of ${count(line.of_kind)}` : count(line.count));

/** @param {any} fields */
const fieldsOf = (fields) => (typeof fields === "object" && fields ? Object.entries(fields).map(([name, value]) => `${name} ${value}`).join(", ") : String(fields ?? ""));

/** The switch of the log's level. @param {Element} place @param {Visit} visit */
async function showLevel(place, visit) {
  const known = await get("log-level").catch(() => null);
  if (!known) return;
  const choice = h("select", { id: "level" }, ...["debug", "info", "warn", "error"].map((level) => h("option", { value: level }, level)));
  choice.value = known.level;
  const turn = async () => {
    const title = `Log from level ${choice.value} on?`;
    const what = choice.value === "debug" ? "The log then tells much more, until the level is set back or the hub is restarted." : "It holds until it is set again or the hub is restarted.";
    if (await confirm(title, [what], "Set level")) {
      const set = await perform("PUT", "log-level", { level: choice.value }, (answer) => `The log's level is ${answer.level}.`);
      if (set) known.level = set.level;
      visit.again();
    }
    choice.value = known.level;
  };
  const button = h("button", { type: "button", on: { click: turn } }, "Set level …");
  replace(place, h("label", { for: "level" }, "Level of the log"), choice, button);
}

/** @returns {View} */
export function auditView() {
  /** @type {Column[]} */
  const columns = [
    { label: "When", cell: (deed) => moment(deed.at_ms) },
    { label: "Who", cell: (deed) => said(deed.who) },
    { label: "Action", kind: "main", cell: (deed) => words(deed.action) },
    { label: "Whom", cell: (deed) => said(deed.whom), key: (deed) => deed.whom },
    { label: "Outcome", cell: (deed) => tag(words(deed.outcome), { done: "good", refused: "bad", unanswered: "bad" }[/** @type {string} */ (deed.outcome)] ?? "") },
  ];
  const table = new Table("Audit", columns, (deed) => `${deed.at_ms} ${deed.who} ${deed.action} ${deed.whom}`, "No operator has done anything since the start.");
  const note = h("p", { class: "lead" }, `What operators have done, the latest first; the last ${counted(256, "deed")} are kept here, all of them in the log.`);
  return whole("Audit", "audit", "audit", table, note);
}
