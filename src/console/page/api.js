// @ts-check
// The way to the hub: requests with a time limit, the token, and polling that never piles up.
// Nothing here touches the page.

const TOKEN_KEY = "systemx-admin-token";
const REQUEST_TIME_MAX_MS = 8000;
const BACK_OFF_MAX_MS = 30_000;
/** The hub tells its time in whole seconds; less than this is no difference. */
const CLOCKS_DIFFER_MS = 2000;

/** What the hub said no to, or that it said nothing (`status` 0). */
export class Refusal extends Error {
  /** @param {number} status @param {string} code @param {string} message */
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }

  /** Whether the hub itself is in trouble, not the request. */
  get isOutage() {
    return this.status === 0 || this.status >= 500;
  }
}

let clockAheadMs = 0;

/** What the hub's clock says now, which need not be what ours says. */
export const hubNow = () => Date.now() + clockAheadMs;

/** @param {Response} response */
function setClock(response) {
  const ahead = Date.parse(response.headers.get("Date") ?? "") - Date.now();
  clockAheadMs = Math.abs(ahead) > CLOCKS_DIFFER_MS ? ahead : 0;
  return response;
}

/** Kept for this tab only, so it is gone when the tab is. */
export const token = {
  get: () => sessionStorage.getItem(TOKEN_KEY),
  /** @param {string} value */
  keep: (value) => sessionStorage.setItem(TOKEN_KEY, value),
  forget: () => sessionStorage.removeItem(TOKEN_KEY),
};

/**
 * @param {string} method @param {string} path
 * @param {{ body?: unknown, signal?: AbortSignal }} [options]
 * @returns {Promise<Response>}
 */
async function send(method, path, { body, signal } = {}) {
  /** @type {Record<string, string>} */
  const headers = {};
  const known = token.get();
  if (known) headers.Authorization = `Bearer ${known}`;
  if (method !== "GET") headers["Content-Type"] = "application/json";
  const limit = AbortSignal.timeout(REQUEST_TIME_MAX_MS);
  const signals = signal ? AbortSignal.any([signal, limit]) : limit;
  const init = { method, headers, body: body && JSON.stringify(body), signal: signals, cache: "no-store" };
  try {
    return setClock(await fetch(path, /** @type {RequestInit} */ (init)));
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refusal(0, "no_answer", "The hub does not answer.");
  }
}

/** @param {Response} response */
async function refusalOf(response) {
  const said = await response.json().catch(() => null);
  const { code = "error", message = `status ${response.status}` } = said?.error ?? {};
  return new Refusal(response.status, code, message);
}

/** A part of a path. @param {string | number} text */
export const part = (text) => encodeURIComponent(text);

/**
 * JSON of the API; `null` if there is nothing new.
 * @param {string} path @param {AbortSignal} [signal] @returns {Promise<any>}
 */
export async function get(path, signal) {
  const response = await send("GET", `/api/v1/${path}`, { signal });
  if (response.status === 204) return null;
  if (!response.ok) throw await refusalOf(response);
  return response.json();
}

/** Anything of the API, for keeping as a file. @param {string} path @returns {Promise<Blob>} */
export async function getFile(path) {
  const response = await send("GET", `/api/v1/${path}`);
  if (!response.ok) throw await refusalOf(response);
  return response.blob();
}

/** Changes something. @param {"POST" | "PUT" | "DELETE"} method @param {string} path @param {unknown} [body] */
export async function act(method, path, body = {}) {
  const response = await send(method, `/api/v1/${path}`, { body });
  if (!response.ok) throw await refusalOf(response);
  return response.json();
}

/** Whether the hub is ready; it also says so by its status. @param {AbortSignal} [signal] */
export async function readiness(signal) {
  const response = await send("GET", "/readyz", { signal });
  if (!response.ok && response.status !== 503) throw await refusalOf(response);
  return response.json();
}

/**
 * Asks again and again: one request at a time, not while the tab is hidden or paused, and ever less often while it fails.
 */
export class Poller {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #failures = 0;
  #abort = new AbortController();
  #busy = false;
  #paused = false;
  #again = false;

  /**
   * @param {(signal: AbortSignal) => Promise<void>} work
   * @param {number} everyMs
   * @param {(error: unknown) => void} onError
   */
  constructor(work, everyMs, onError) {
    this.work = work;
    this.everyMs = everyMs;
    this.onError = onError;
    this.onVisible = () => document.hidden || this.#paused || this.now();
    document.addEventListener("visibilitychange", this.onVisible);
  }

  /** Asks at once; the next time follows. */
  async now() {
    clearTimeout(this.#timer);
    if (this.#busy) {
      this.#again = true;
      return;
    }
    this.#busy = true;
    let wait = this.everyMs;
    try {
      await this.work(this.#abort.signal);
      this.#failures = 0;
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      this.#failures += 1;
      wait = Math.min(this.everyMs * 2 ** this.#failures, BACK_OFF_MAX_MS);
      this.onError(error);
    } finally {
      this.#busy = false;
    }
    if (this.#again) {
      this.#again = false;
      this.now();
    } else if (!this.#paused && !document.hidden && !this.#abort.signal.aborted) {
      this.#timer = setTimeout(() => this.now(), wait);
    }
  }

  /** @param {boolean} paused */
  pause(paused) {
    this.#paused = paused;
    clearTimeout(this.#timer);
    if (!paused) this.now();
  }

  stop() {
    this.#abort.abort();
    clearTimeout(this.#timer);
    document.removeEventListener("visibilitychange", this.onVisible);
  }
}
