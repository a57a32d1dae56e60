// @ts-check
// What the hub is up to, and the order to drain. Shown only if the hub offers it.

import { Refusal, get } from "./api.js";
import { confirm, perform } from "./dialogs.js";
import { h, setText } from "./dom.js";

const STATES = /** @type {Record<string, string>} */ ({
  serving: "Serving: clients are let in.",
  draining: "Draining: nobody is let in any more, calls are given time to end.",
  stopping: "Stopping.",
});

export class Drain {
  /** @type {boolean | null} whether the hub has it; `null`: not known yet */
  #isOffered = null;

  constructor() {
    this.state = h("p", {});
    this.seconds = h("input", { id: "drain-seconds", type: "number", min: 0, step: 1, inputmode: "numeric" });
    this.button = h("button", { type: "button", class: "danger", on: { click: () => this.#order() } }, "Drain …");
    const label = h("label", { for: "drain-seconds" }, "Seconds for calls to end (empty: as configured)");
    this.order = h("div", { class: "search" }, label, this.seconds, this.button);
    this.element = h("div", { hidden: true }, this.state, this.order);
  }

  /** @param {AbortSignal} signal */
  async refresh(signal) {
    if (this.#isOffered === false) return;
    try {
      const { state } = await get("drain", signal);
      this.#isOffered = true;
      setText(this.state, STATES[state] ?? state);
      this.order.hidden = state !== "serving";
      this.element.hidden = false;
    } catch (error) {
      if (!(error instanceof Refusal) || error.status !== 404) throw error;
      this.#isOffered = false;
    }
  }

  async #order() {
    const given = this.seconds.value.trim();
    const limit = given ? `up to ${given} s` : "as long as configured";
    const what = `This hub lets nobody in any more and sends idle clients away. Calls are given time to end, ${limit}; what is left is then hung up, and the hub stops. It cannot be taken back.`;
    if (!(await confirm("Drain this hub?", [what], "Drain"))) return;
    const body = given ? { seconds: Number(given) } : {};
    if (await perform("POST", "drain", body, (answer) => `Draining, for at most ${answer.seconds} s.`)) this.order.hidden = true;
  }
}
