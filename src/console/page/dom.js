// @ts-check
// Elements out of data. Text only ever becomes text: there is no way from here to HTML.

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {Node | string | number | null | undefined | false} Child */

/** @param {Element} element @param {Record<string, any>} props */
function dress(element, props) {
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") {
      for (const [event, handler] of Object.entries(value)) element.addEventListener(event, handler);
    } else if (name === "vars") {
      for (const [key, text] of Object.entries(value)) {
        /** @type {HTMLElement} */ (element).style.setProperty(`--${key}`, text);
      }
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
}

/** @param {Element} element @param {Child[]} children */
function fill(element, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/**
 * An element of HTML.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag @param {Record<string, any>} [props] @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  dress(element, props);
  fill(element, children);
  return element;
}

/** An element of a drawing. @param {string} tag @param {Record<string, any>} [props] @param {...Child} children */
export function s(tag, props = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  dress(element, props);
  fill(element, children);
  return element;
}

/** A text with what nobody could see of it: characters that turn the writing direction, or have no shape. @param {unknown} text */
export function visible(text) {
  const code = (/** @type {string} */ letter) => `⟨U+${(letter.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}⟩`;
  // Not the one that joins signs to one.
  return String(text ?? "").replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (letter) => (letter === "\u200d" ? letter : code(letter)));
}

/** What a client chose: in a box of its own, so that its writing direction ends with it. @param {unknown} text */
export function said(text) {
  const shown = visible(text);
  return h("bdi", { class: "said", title: shown }, shown);
}

/** Sets a text if it is another. @param {Element} element @param {string} text */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Puts these in the place of what is there. @param {Element} element @param {...Child} children */
export function replace(element, ...children) {
  element.replaceChildren();
  fill(element, children);
}

/** Terms and what they are. @param {[string, Child][]} pairs */
export function facts(pairs) {
  const list = h("dl", { class: "facts" });
  for (const [term, value] of pairs) list.append(h("div", {}, h("dt", {}, term), h("dd", {}, value)));
  return list;
}

/** A section with its heading. @param {string} title @param {...Child} children */
export function section(title, ...children) {
  const id = `s-${title.toLowerCase().replaceAll(/[^a-z]+/g, "-")}`;
  return h("section", { class: "panel", "aria-labelledby": id }, h("h2", { id }, title), ...children);
}

/** A small mark with a word on it. @param {string} text @param {string} [kind] */
export function tag(text, kind = "") {
  return h("span", { class: `tag ${kind}` }, text);
}

/** Whether a button can be used. One that has the focus hands it to the heading, or the keys would be nowhere. @param {HTMLButtonElement} button @param {boolean} isUsable */
export function enable(button, isUsable) {
  if (!isUsable && document.activeElement === button) document.querySelector("h1")?.focus();
  button.disabled = !isUsable;
}

/** @param {string} id @returns {HTMLElement} */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no ${id}`);
  return found;
}
