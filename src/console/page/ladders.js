// @ts-check
// Ladders: watches are begun, listed and looked at here, live, as a drawing and as a table, and kept as files.

import { Refusal, act, get, getFile, part } from "./api.js";
import { confirm, perform, tell } from "./dialogs.js";
import { draw, labelOf } from "./drawing.js";
import { h, replace, said, section, setText, tag } from "./dom.js";
import { bytes, count, counted, instant, micros } from "./format.js";
import { Table } from "./table.js";

const LIST_EVERY_MS = 3000;
const LOOK_EVERY_MS = 1000;
/** Frames that are shown; files hold all that are kept. */
const SHOWN_MAX = 200;
const FORMS = /** @type {const} */ ([["SVG", ".svg"], ["Mermaid", ".mmd"], ["JSON", ""]]);

/** @typedef {import("./main.js").View} View @typedef {import("./main.js").Visit} Visit */

/** @param {Visit} visit @returns {View} */
export function laddersView(visit) {
  const form = new BeginForm(visit.query);
  /** @type {import("./table.js").Column[]} */
  const columns = [
    { label: "Watched", kind: "main", cell: (watch) => h("a", { href: `#/ladder/${watch.id}` }, said(watch.subject)), key: (watch) => `${watch.id}` },
    { label: "Kind", cell: (watch) => watch.kind },
    { label: "What is said", cell: (watch) => (watch.payloads ? tag("copied", "warn") : "hidden") },
    { label: "Frames kept", kind: "number", cell: (watch) => count(watch.steps) },
    { label: "End", kind: "action", cell: (watch) => endButton(watch, visit), key: (watch) => `${watch.id}` },
  ];
  const table = new Table("Watches", columns, (watch) => String(watch.id), "Nothing is watched. Begin above with an address or the id of a call.");
  const note = h("p", { class: "quiet" });
  const lead = h("p", { class: "lead" }, "Watch an address or a call to see who sends what when. It is live from then on; what was before is not kept.");
  return {
    title: "Ladders",
    element: h("div", {}, lead, form.element, section("Watches", table.element, note)),
    everyMs: LIST_EVERY_MS,
    async refresh(signal) {
      const list = await get("watches", signal);
      table.show(list.watches);
      form.allow(list.payloads_allowed);
      setText(note, `Up to ${counted(list.watches_max, "watch", "watches")} of ${count(list.steps_max)} frames each; one that nobody looks at for 15 minutes ends by itself.`);
    },
  };
}

/** What is to be watched. */
class BeginForm {
  /** @param {URLSearchParams} query */
  constructor(query) {
    const call = query.get("call_id");
    this.kind = h("select", { id: "w-kind" }, h("option", { value: "address" }, "Address or party"), h("option", { value: "call_id" }, "Call id"));
    this.kind.value = call ? "call_id" : "address";
    this.field = h("input", { id: "w-what", required: true, value: call ?? query.get("address") ?? "", autocomplete: "off", spellcheck: "false", maxlength: 255 });
    this.payloads = h("input", { id: "w-payloads", type: "checkbox" });
    this.option = h("label", { class: "option", for: "w-payloads" }, this.payloads, " Show what is said (the first KiB of each message)");
    this.option.hidden = true;
    const submit = (/** @type {Event} */ event) => {
      event.preventDefault();
      this.begin();
    };
    this.element = h(
      "form",
      { class: "search", on: { submit } },
      h("label", { for: "w-kind", class: "heard" }, "What to watch"),
      this.kind,
      h("label", { for: "w-what", class: "heard" }, "Address, party or call id"),
      this.field,
      h("button", { type: "submit", class: "strong" }, "Begin to watch"),
      this.option,
    );
  }

  /** @param {boolean} allowed */
  allow(allowed) {
    this.option.hidden = !allowed;
  }

  async begin() {
    const wanted = { [this.kind.value]: this.field.value.trim(), payloads: this.payloads.checked };
    if (this.payloads.checked) {
      const what = ["What the parties say to each other is copied and shown, and the audit will say that you asked for it. Watched is ", said(this.field.value.trim()), "."];
      if (!(await confirm("Watch with what is said?", what, "Watch"))) return;
    }
    try {
      const begun = await act("POST", "watches", wanted);
      location.hash = `#/ladder/${begun.id}`;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      tell(`Not watched: ${error.message}`, "bad");
    }
  }
}

/** @param {any} watch @param {Visit} visit @param {() => void} [then] */
function endButton(watch, visit, then = visit.again) {
  const end = async () => {
    const what = ["Nothing more is copied of ", said(watch.subject), ", and the frames kept so far are gone."];
    if (!(await confirm("End this watch?", what, "End watch"))) return;
    if (await perform("DELETE", `watches/${watch.id}`, {}, () => h("span", {}, "Ended the watch of ", said(watch.subject), "."))) then();
  };
  return h("button", { type: "button", "aria-label": `End the watch of ${watch.subject}`, on: { click: end } }, "End …");
}

/** @param {string} id @param {string} name @param {string} ending */
async function save(id, name, ending) {
  try {
    const file = await getFile(`watches/${part(id)}${ending}`);
    const link = h("a", { href: URL.createObjectURL(file), download: `ladder-${id}${ending || ".json"}` });
    link.click();
    URL.revokeObjectURL(link.href);
    tell(`Saved the ladder as ${name}.`);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    tell(`Not saved: ${error.message}`, "bad");
  }
}

class Ladder {
  /** @type {any} */
  #seen = null;
  #room = 0;

  /** @param {Visit} visit @param {string} id */
  constructor(visit, id) {
    this.id = id;
    this.subject = h("p", { class: "subject" });
    this.note = h("p", { class: "lead" }, "Asking the hub …");
    this.follow = h("input", { id: "follow", type: "checkbox", checked: true });
    this.scene = h("div", { class: "scene", role: "region", "aria-label": "Drawing of the ladder", tabindex: "0" });
    this.table = new Table("Frames, oldest first", rungColumns(() => this.#seen), (rung) => String(rung.number), "No frame yet. As soon as a party sends or is sent something, it appears here.");
    this.ending = h("span");
    this.visit = visit;
    const saves = FORMS.map(([name, ending]) => h("button", { type: "button", on: { click: () => save(id, name, ending) } }, `Save ${name}`));
    const follow = h("label", { class: "option", for: "follow" }, this.follow, " Follow the newest");
    this.element = h("div", {}, this.subject, h("div", { class: "buttons" }, ...saves, this.ending, follow), this.note, this.scene, section("Frames", this.table.element));
    this.sight = new ResizeObserver(() => this.#draw(false));
    this.sight.observe(this.scene);
  }

  /** @param {AbortSignal} signal */
  async refresh(signal) {
    const known = this.#seen ? `?newest=${this.#seen.newest}` : "";
    let news;
    try {
      news = await get(`watches/${part(this.id)}${known}`, signal);
    } catch (error) {
      if (!(error instanceof Refusal) || error.status !== 404) throw error;
      setText(this.note, "This watch has ended; what is shown is all that is left of it.");
      replace(this.ending);
      if (!this.#seen) this.table.show([]);
      return;
    }
    if (!news) return;
    if (!this.#seen) this.#introduce(news);
    this.#seen = news;
    const shown = news.rungs.slice(-SHOWN_MAX);
    this.table.show(shown);
    setText(this.note, this.#sum(news, shown.length));
    this.#draw(true);
  }

  /** @param {any} ladder */
  #introduce(ladder) {
    replace(this.subject, said(ladder.subject));
    const leave = () => {
      location.hash = "#/ladders";
    };
    replace(this.ending, endButton({ id: this.id, subject: ladder.subject }, this.visit, leave));
  }

  /** @param {any} ladder @param {number} shown */
  #sum(ladder, shown) {
    const some = shown < ladder.rungs.length ? `the last ${count(shown)} of ${count(ladder.rungs.length)} frames` : counted(shown, "frame");
    const lost = ladder.lost > 0 ? ` ${counted(ladder.lost, "frame")} of all watches came too fast to be kept.` : "";
    const what = ladder.payloads ? "What is said is copied." : "What is said is hidden.";
    return shown === 0 ? `Waiting for the first frame. ${what}${lost}` : `Shows ${some}, with the time since the frame above. ${what}${lost}`;
  }

  /** @param {boolean} isNew */
  #draw(isNew) {
    const room = this.scene.clientWidth - 2;
    if (!this.#seen || (!isNew && room === this.#room)) return;
    this.#room = room;
    this.scene.hidden = this.#seen.rungs.length === 0;
    if (this.scene.hidden) return;
    replace(this.scene, draw(this.#seen, this.#seen.rungs.slice(-SHOWN_MAX), room));
    if (isNew && this.follow.checked) this.scene.scrollTop = this.scene.scrollHeight;
  }
}

/** @param {() => any} ladder @returns {import("./table.js").Column[]} */
function rungColumns(ladder) {
  const name = (/** @type {number} */ at) => ladder().parties[at] ?? "?";
  return [
    { label: "At", cell: (rung) => instant(rung.at) },
    { label: "Since the last", kind: "number", cell: (rung) => `+${micros(rung.since_last_us)}` },
    { label: "From", cell: (rung) => said(name(rung.from)), key: (rung) => name(rung.from) },
    { label: "To", cell: (rung) => said(name(rung.to)), key: (rung) => name(rung.to) },
    { label: "Frame", kind: "main", cell: (rung) => (rung.left_out > 0 ? `[${rung.left_out} left out] ${rung.frame}` : rung.frame), key: (rung) => `${rung.left_out} ${rung.frame}` },
    { label: "About", kind: "long", cell: (rung) => said(labelOf({ ...rung, bytes: 0, left_out: 0 }).slice(rung.frame.length).replace(/^:? /, "") || "–"), key: labelOf },
    { label: "Carries", kind: "number", cell: (rung) => (rung.bytes > 0 ? bytes(rung.bytes) : "–") },
  ];
}

/** @param {Visit} visit @param {string} id @returns {View} */
export function ladderView(visit, id) {
  const ladder = new Ladder(visit, id);
  return {
    title: "Ladder",
    element: ladder.element,
    everyMs: LOOK_EVERY_MS,
    refresh: (signal) => ladder.refresh(signal),
    leave: () => ladder.sight.disconnect(),
  };
}
