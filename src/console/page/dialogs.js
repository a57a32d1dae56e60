// @ts-check
// What is asked before something is done, and told after it.

import { Refusal, act } from "./api.js";
import { byId, h, replace } from "./dom.js";

const TOLD_MS = 8000;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let silence;

/** Tells once, for eyes and ears. @param {import("./dom.js").Child} what @param {"" | "bad"} [kind] */
export function tell(what, kind = "") {
  const place = byId("told");
  clearTimeout(silence);
  replace(place, h("p", { class: kind }, what));
  silence = setTimeout(() => replace(place), TOLD_MS);
}

/**
 * Opens a dialog and waits for its end.
 * @param {HTMLDialogElement} dialog
 * @returns {Promise<string>} the value of the button that ended it; "" if it was left
 */
function opened(dialog) {
  const before = document.activeElement;
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
      resolve(dialog.returnValue);
    });
  });
}

/** @param {string} value @param {string} label @param {string} kind @param {HTMLDialogElement} dialog */
function choice(value, label, kind, dialog) {
  return h("button", { type: "button", class: kind, on: { click: () => dialog.close(value) } }, label);
}

/**
 * Asks whether something is to be done, naming what will happen.
 * @param {string} title @param {import("./dom.js").Child[]} what @param {string} yes @returns {Promise<boolean>}
 */
export async function confirm(title, what, yes) {
  const dialog = h("dialog", { "aria-labelledby": "ask-title", "aria-describedby": "ask-text" });
  const text = h("p", { id: "ask-text" }, ...what);
  const buttons = h("div", { class: "buttons" }, choice("", "Cancel", "", dialog), choice("yes", yes, "danger", dialog));
  dialog.append(h("h2", { id: "ask-title" }, title), text, buttons);
  return (await opened(dialog)) === "yes";
}

/**
 * Does something and tells what came of it.
 * @param {"POST" | "PUT" | "DELETE"} method @param {string} path @param {unknown} body @param {(answer: any) => import("./dom.js").Child} done
 * @returns {Promise<any>} the answer; `null` if it was refused
 */
export async function perform(method, path, body, done) {
  try {
    const answer = await act(method, path, body);
    tell(done(answer));
    return answer;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    tell(`Not done: ${error.message}`, "bad");
    return null;
  }
}

/** Asks for the token. @param {boolean} wasWrong @returns {Promise<string>} */
export async function askToken(wasWrong) {
  const field = h("input", { id: "token", type: "password", autocomplete: "off", required: true, pattern: "[!-~]+", title: "visible characters of ASCII", spellcheck: "false" });
  const dialog = h("dialog", { "aria-labelledby": "token-title" });
  const why = wasWrong ? h("p", { class: "bad", role: "alert" }, "The hub does not take this token.") : null;
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    dialog.close(field.value.trim());
  };
  const form = h(
    "form",
    { on: { submit } },
    h("h2", { id: "token-title" }, "Admin token"),
    h("p", {}, "This hub asks for the token of its admin listener (SYSTEMX_ADMIN_TOKEN). It is kept in this tab only."),
    why,
    h("label", { for: "token" }, "Token"),
    field,
    h("div", { class: "buttons" }, h("button", { type: "submit", class: "strong" }, "Use token")),
  );
  dialog.append(form);
  // Without a token there is nothing to see behind it.
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  return opened(dialog);
}
