// @ts-check
// Numbers, times and words as people read them, always with their unit. Pure.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const SHORT_FROM = 100_000;

/** @param {number | null | undefined} n */
export function count(n) {
  if (n === null || n === undefined) return "–";
  return n >= SHORT_FROM ? short.format(n) : whole.format(n);
}

/** @param {number} n @param {string} one @param {string} [many] */
export const counted = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/** How often a second. @param {number} n */
export function rate(n) {
  if (n >= 100) return count(Math.round(n));
  return n === 0 ? "0" : n.toFixed(n < 10 ? 2 : 1);
}

/** @param {number | null | undefined} n */
export function bytes(n) {
  if (n === null || n === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (n >= 1024 && at < units.length - 1) {
    n /= 1024;
    at += 1;
  }
  return `${at === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${units[at]}`;
}

/** A span, in milliseconds. @param {number | null | undefined} ms */
export function millis(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(2) : ms < 100 ? ms.toFixed(1) : Math.round(ms)} ms`;
  return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}

/** @param {number} us */
export const micros = (us) => millis(us / 1000);

/** A long span. @param {number} ms */
export function span(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A moment: the time of day, with the date if it was another day. @param {number | null | undefined} ms */
export function moment(ms) {
  if (ms === null || ms === undefined) return "–";
  const at = new Date(ms);
  const time = clock.format(at);
  return at.toDateString() === new Date().toDateString() ? time : `${day.format(at)}, ${time}`;
}

/** A moment of today to the millisecond. @param {string} text RFC 3339 */
export function instant(text) {
  const at = new Date(text);
  return `${clock.format(at)}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

/** A word of the wire as people read it. @param {string} name */
export const words = (name) => name.replaceAll("_", " ");
