// @ts-check
// One line, or one call, and what an operator may do to it.

import { Refusal, get, part } from "./api.js";
import { confirm, perform } from "./dialogs.js";
import { enable, facts, h, replace, said, section, tag } from "./dom.js";
import { bytes, count, counted, moment, span, words } from "./format.js";
import { callColumns, lasted, lineLink, marks, stateTag, volume } from "./lists.js";
import { Table } from "./table.js";

const EVERY_MS = 2000;

/** @typedef {import("./main.js").View} View @typedef {import("./main.js").Visit} Visit */

/**
 * Asks for one thing; `null` if it is not there.
 * @param {string} path @param {AbortSignal} signal
 */
async function find(path, signal) {
  try {
    return await get(path, signal);
  } catch (error) {
    if (error instanceof Refusal && error.status === 404) return null;
    throw error;
  }
}

/** Something whose contents are made anew only when they change, so that what is selected there stays. */
function changing() {
  const element = h("div");
  let shown = "";
  return {
    element,
    /** @param {unknown} sign @param {() => Node[]} make */
    show(sign, make) {
      const now = JSON.stringify(sign);
      if (now !== shown) replace(element, ...make());
      shown = now;
    },
  };
}

/** @param {Visit} visit @param {string} address @returns {View} */
export function lineView(visit, address) {
  const about = changing();
  const calls = new Table("Its calls", callColumns(), (call) => call.call_id, "It is in no call.");
  let lines = 0;
  const act = async () => {
    const held = `${counted(lines, "connection")} that ${lines === 1 ? "holds" : "hold"} `;
    const what = [held, said(address), " will be closed with the reason “admin”, and the calls there end. A client may connect again at once."];
    if (!(await confirm("Disconnect this line?", what, "Disconnect"))) return;
    await perform("POST", `lines/${part(address)}/disconnect`, {}, (answer) => h("span", {}, "Disconnected ", said(address), ` (${counted(answer.lines, "connection")}).`));
    visit.again();
  };
  const disconnect = h("button", { type: "button", class: "danger", disabled: true, on: { click: act } }, "Disconnect …");
  const watch = h("a", { class: "button", href: `#/ladders?address=${part(address)}` }, "Watch …");
  const records = h("a", { class: "button", href: `#/records?address=${part(address)}` }, "Its call records");
  const refresh = async (/** @type {AbortSignal} */ signal) => {
    const found = await find(`lines/${part(address)}`, signal);
    lines = found?.lines_count ?? 0;
    enable(disconnect, lines > 0);
    if (!found) {
      about.show(null, () => [h("p", { class: "empty" }, "Nobody holds this address now. What happens when somebody does can be watched.")]);
      calls.show([]);
      return;
    }
    about.show(found, () => [summaryOf(found), ...found.lines.map(connection)]);
    calls.show((await get(`calls?address=${part(address)}`, signal)).calls);
  };
  const element = h("div", {}, h("p", { class: "subject" }, said(address)), h("div", { class: "buttons" }, watch, records, disconnect), about.element, section("Calls", calls.element));
  return { title: "Line", element, everyMs: EVERY_MS, refresh };
}

/** @param {any} found */
function summaryOf(found) {
  return facts([
    ["Connections", count(found.lines_count)],
    ["Sleeps", found.sleeping ? tag("sleeping", "warn") : "no"],
    ["Calls that wait for it to wake", count(found.waiting_calls)],
    ["Wakes under way", count(found.wakes_in_flight)],
    ["Home", `shard ${found.home_shard}`],
  ]);
}

/** @param {any} line @param {number} at */
function connection(line, at) {
  return section(
    `Connection ${at + 1}`,
    facts([
      ["Status", stateTag(line.status)],
      ["Takes calls", words(line.concurrency) + (line.max_calls ? `, up to ${count(line.max_calls)}` : "")],
      ["Calls", count(line.calls)],
      ["Parties", count(line.parties)],
      ["Capabilities", count(line.capabilities)],
      ["Connected", moment(line.connected_since_ms)],
      ["Heard", `${span(line.heard_ms_ago)} ago`],
      ["Waiting to be sent", bytes(line.output_bytes)],
      ["Held of unfinished messages", bytes(line.input_bytes)],
      ["Session", said(line.session_id)],
      ["On", `shard ${line.shard}`],
      ["Marks", marks(line)],
    ]),
  );
}

/** @param {Visit} visit @param {string} name @returns {View} */
export function callView(visit, name) {
  const about = changing();
  /** @type {any} */
  let call = null;
  const act = async () => {
    if (!call) return;
    const what = ["The call of ", said(call.from), " with ", said(call.to), " ends at once, with the reason “admin” for both."];
    if (!(await confirm("Hang up this call?", what, "Hang up"))) return;
    await perform("POST", `calls/${part(name)}/hangup`, {}, () => h("span", {}, "Hung up the call ", said(name), "."));
    visit.again();
  };
  const hangUp = h("button", { type: "button", class: "danger", disabled: true, on: { click: act } }, "Hang up …");
  const watch = h("a", { class: "button", href: `#/ladders?call_id=${part(name)}` }, "Watch …");
  const refresh = async (/** @type {AbortSignal} */ signal) => {
    const found = await find(`calls/${part(name)}`, signal);
    call = found;
    enable(hangUp, found !== null);
    if (!found) {
      about.show(null, () => [h("p", { class: "empty" }, "No such call is in progress. It has ended, or was never here; ", h("a", { href: `#/record/${part(name)}` }, "its record"), " says which.")]);
      return;
    }
    about.show({ ...found, lasted: lasted(found) }, () => [callFacts(found)]);
  };
  const element = h("div", {}, h("p", { class: "subject" }, said(name)), h("div", { class: "buttons" }, watch, hangUp), about.element);
  return { title: "Call", element, everyMs: EVERY_MS, refresh };
}

/** @param {any} call */
function callFacts(call) {
  const shards = [call.caller_shard, call.callee_shard].filter((shard) => shard !== null);
  return facts([
    ["From", lineLink(call.from)],
    ["To", lineLink(call.to)],
    ["State", stateTag(call.state)],
    ["For", lasted(call)],
    ["Kind", words(call.mode)],
    ["Dialled", moment(call.started_ms)],
    ["Rang", moment(call.rang_ms)],
    ["Answered", moment(call.answered_ms)],
    ["To the callee", volume(call.to_callee)],
    ["To the caller", volume(call.to_caller)],
    ["Listeners", count(call.listeners)],
    ["Held back by a slow party", call.held ? tag("held", "warn") : "no"],
    ["On", `shard ${[...new Set(shards)].join(" and ")}`],
  ]);
}
