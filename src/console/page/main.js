// @ts-check
// The frame of the console: which view the address names, how the hub is, and the switches at the top.

import { Poller, Refusal, readiness, token } from "./api.js";
import { callView, lineView } from "./details.js";
import { askToken } from "./dialogs.js";
import { byId, h, replace, setText } from "./dom.js";
import { moment } from "./format.js";
import { ladderView, laddersView } from "./ladders.js";
import { auditView, callsView, linesView, linksView, partiesView, slowView, warningsView } from "./lists.js";
import { overviewView } from "./overview.js";
import { recordView, recordsView } from "./records.js";

/**
 * A view: what it is called, what it shows, and how it is brought up to date.
 * @typedef {{ title: string, element: Element, everyMs: number, refresh: (signal: AbortSignal) => Promise<void>, leave?: () => void }} View
 * @typedef {{ query: URLSearchParams, again: () => void }} Visit
 */

/** @type {Record<string, (visit: Visit, name: string) => View>} */
const VIEWS = {
  overview: overviewView,
  lines: linesView,
  line: lineView,
  calls: callsView,
  call: callView,
  parties: partiesView,
  links: linksView,
  slow: slowView,
  warnings: warningsView,
  audit: auditView,
  records: recordsView,
  record: recordView,
  ladders: laddersView,
  ladder: ladderView,
};
/** The entry of the menu that a view of one thing belongs to. */
const PARENTS = /** @type {Record<string, string>} */ ({ line: "lines", call: "calls", record: "records", ladder: "ladders" });
const HEALTH_EVERY_MS = 5000;
const THEMES = ["auto", "light", "dark"];
const THEME_KEY = "systemx-theme";

class Console {
  /** @type {Poller | undefined} */
  #poller;
  /** @type {View | undefined} */
  #view;
  #paused = false;
  /** @type {number | undefined} */
  #lastMs;
  #isAsking = false;

  start() {
    this.health = new Poller((signal) => this.#askHealth(signal), HEALTH_EVERY_MS, () => this.#showHealth("gone", "No answer"));
    this.#dressTop();
    addEventListener("hashchange", () => this.#go(true));
    this.#go(false);
    this.health.now();
  }

  #dressTop() {
    byId("skip").addEventListener("click", (event) => {
      event.preventDefault();
      byId("main").focus();
    });
    byId("pause").addEventListener("click", () => this.#pause(!this.#paused));
    byId("leave").addEventListener("click", () => {
      token.forget();
      location.reload();
    });
    byId("menu").addEventListener("click", () => this.#openMenu(byId("menu").getAttribute("aria-expanded") !== "true"));
    byId("theme").addEventListener("click", () => {
      const next = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
      localStorage.setItem(THEME_KEY, next);
      applyTheme();
    });
    applyTheme();
    byId("leave").hidden = token.get() === null;
  }

  /** @param {boolean} open */
  #openMenu(open) {
    byId("menu").setAttribute("aria-expanded", String(open));
    byId("views").classList.toggle("open", open);
  }

  /** @param {boolean} paused */
  #pause(paused) {
    this.#paused = paused;
    byId("pause").setAttribute("aria-pressed", String(paused));
    setText(byId("pause"), paused ? "Resume" : "Pause");
    this.#poller?.pause(paused);
    this.#showFreshness();
  }

  /** Shows the view that the address names. @param {boolean} byHand */
  #go(byHand) {
    const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
    const [name, ...rest] = (path || "overview").split("/");
    const make = Object.hasOwn(VIEWS, name) ? VIEWS[name] : undefined;
    if (!make) {
      location.replace("#/overview");
      return;
    }
    this.#poller?.stop();
    this.#view?.leave?.();
    const visit = { query: new URLSearchParams(search), again: () => this.#poller?.now() };
    const view = make(visit, decoded(rest.join("/")));
    this.#view = view;
    document.title = `${view.title} – SystemX console`;
    const heading = h("h1", { tabindex: "-1" }, view.title);
    replace(byId("view"), heading, view.element);
    this.#markMenu(PARENTS[name] ?? name);
    this.#openMenu(false);
    if (byHand) {
      scrollTo(0, 0);
      heading.focus({ preventScroll: true });
    }
    this.#poll(view);
  }

  /** @param {View} view */
  #poll(view) {
    const work = async (/** @type {AbortSignal} */ signal) => {
      await view.refresh(signal);
      this.#lastMs = Date.now();
      this.#showTrouble("");
      this.#showFreshness();
    };
    this.#poller = new Poller(work, view.everyMs, (error) => this.#onError(error));
    this.#poller.now();
    if (this.#paused) this.#poller.pause(true);
  }

  /** @param {string} name */
  #markMenu(name) {
    for (const link of byId("views").querySelectorAll("a")) {
      if (link.getAttribute("href") === `#/${name}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  /** @param {unknown} error */
  #onError(error) {
    if (error instanceof Refusal && error.status === 401) {
      this.#askForToken();
      return;
    }
    const isOutage = !(error instanceof Refusal) || error.isOutage;
    const since = this.#lastMs ? ` What is shown is from ${moment(this.#lastMs)}.` : "";
    const message = error instanceof Error ? error.message : String(error);
    this.#showTrouble(isOutage ? `${message}${since} Trying again every few seconds.` : message);
    setText(byId("freshness"), "");
  }

  /** Said once for each trouble, not at each attempt. @param {string} text */
  #showTrouble(text) {
    const place = byId("trouble");
    const isNew = place.hidden || (place.textContent ?? "").slice(0, 20) !== text.slice(0, 20);
    place.hidden = text === "";
    if (isNew || text === "") setText(place, text);
    byId("view").classList.toggle("stale", text !== "");
  }

  async #askForToken() {
    if (this.#isAsking) return;
    this.#isAsking = true;
    // Asking on without one would fill the hub's log.
    this.#poller?.pause(true);
    const given = await askToken(token.get() !== null);
    this.#isAsking = false;
    token.keep(given);
    byId("leave").hidden = false;
    this.#showTrouble("");
    this.#poller?.pause(this.#paused);
    // Once all the same, so that there is something to see.
    if (this.#paused) this.#poller?.now();
  }

  #showFreshness() {
    const at = this.#lastMs ? moment(this.#lastMs) : "";
    setText(byId("freshness"), this.#paused ? "Paused" : at && `Live, ${at}`);
  }

  /** @param {AbortSignal} signal */
  async #askHealth(signal) {
    const said = await readiness(signal);
    const down = said.parts.filter((/** @type {any} */ part) => !part.ready);
    const names = down.map((/** @type {any} */ part) => part.part).join(", ");
    this.#showHealth(said.ready ? "ready" : "down", said.ready ? "Ready" : `Not ready: ${names}`);
  }

  /** @param {string} kind @param {string} text */
  #showHealth(kind, text) {
    byId("health").dataset.state = kind;
    setText(byId("health-text"), text);
  }
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const theme = () => {
  const kept = localStorage.getItem(THEME_KEY) ?? "";
  return THEMES.includes(kept) ? kept : "auto";
};

function applyTheme() {
  document.documentElement.dataset.theme = theme();
  setText(byId("theme"), `Theme: ${theme()}`);
}

new Console().start();
