// @ts-check
// Tables that are brought up to date in place: rows keep their elements, so focus, selection and place stay where they are.
// On narrow screens rows become cards; roles keep them a table for screen readers.

import { h, replace } from "./dom.js";

/**
 * @typedef {{ label: string, cell: (entry: any) => any, kind?: "number" | "action" | "main" | "long", key?: (entry: any) => string }} Column
 * `cell` returns a text or a node; a node is made anew only if `key` says something else than before.
 */

export class Table {
  /** @type {Map<string, { row: HTMLElement, cells: HTMLElement[], shown: string[] }>} */
  #rows = new Map();

  /**
   * @param {string} caption what is listed, for those who hear it
   * @param {Column[]} columns
   * @param {(entry: any) => string} keyOf
   * @param {string} empty what it means that there is nothing
   */
  constructor(caption, columns, keyOf, empty) {
    this.columns = columns;
    this.keyOf = keyOf;
    this.body = h("tbody", { role: "rowgroup" });
    const head = columns.map(({ label, kind }) =>
      h("th", { scope: "col", role: "columnheader", class: kind }, kind === "action" ? h("span", { class: "heard" }, label) : label),
    );
    this.table = h(
      "table",
      { role: "table" },
      h("caption", { class: "heard" }, caption),
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ...head)),
      this.body,
    );
    this.empty = h("p", { class: "empty" }, "Asking the hub …");
    this.emptyText = empty;
    this.table.hidden = true;
    this.element = h("div", { class: "listing" }, this.table, this.empty);
  }

  /** @param {any[]} entries */
  show(entries) {
    const seen = new Set();
    /** @type {Element | null} */
    let before = null;
    for (const entry of entries) {
      let key = this.keyOf(entry);
      while (seen.has(key)) key += "'";
      seen.add(key);
      const known = this.#rows.get(key) ?? this.#make(key);
      this.#fill(known, entry);
      /** @type {ChildNode | null} */
      const place = before ? before.nextSibling : this.body.firstChild;
      if (place !== known.row) this.body.insertBefore(known.row, place);
      before = known.row;
    }
    for (const [key, { row }] of this.#rows) {
      if (seen.has(key)) continue;
      row.remove();
      this.#rows.delete(key);
    }
    this.table.hidden = entries.length === 0;
    this.empty.hidden = entries.length > 0;
    this.empty.textContent = this.emptyText;
  }

  /** @param {string} key */
  #make(key) {
    const cells = this.columns.map(({ label, kind }) =>
      h(kind === "main" ? "th" : "td", { role: kind === "main" ? "rowheader" : "cell", "data-label": label, class: kind, scope: kind === "main" && "row" }),
    );
    const made = { row: h("tr", { role: "row" }, ...cells), cells, shown: cells.map(() => "\0") };
    this.#rows.set(key, made);
    return made;
  }

  /** @param {{ cells: HTMLElement[], shown: string[] }} known @param {any} entry */
  #fill({ cells, shown }, entry) {
    this.columns.forEach(({ cell, key }, at) => {
      const sign = key?.(entry);
      if (sign !== undefined && sign === shown[at]) return;
      const content = cell(entry);
      const now = sign ?? (content instanceof Node ? content.textContent ?? "" : String(content ?? ""));
      if (now === shown[at]) return;
      shown[at] = now;
      replace(cells[at], content);
    });
  }
}
