// @ts-check
/**
 * What the page shows: all of it is in the address, so that a link opens the same picture. What servers compute from it is in
 * slots, which ask again when the state has changed.
 */
import { bytesOf, floatsOf, fromAddress, toAddress } from "./numbers.js";

/** @typedef {Record<string, any>} State */
/** @typedef {{id: string, title: string, fits: (model: import("./api.js").Model) => boolean,
 *   start: (model: import("./api.js").Model) => State, view: (model: import("./api.js").Model, s: State) => any,
 *   pictures?: (s: State) => {pictures: import("./pictures.js").Picture[], columns: number}|null,
 *   keys?: Record<string, () => void>}} Panel */

export const app = {
  /** @type {{name: string, source: string, open: boolean}[]} */ models: [],
  /** @type {string|null} where the model server is, for commands */ address: null,
  /** @type {import("./api.js").Model|null} */ model: null,
  /** @type {string} */ opening: "",
  /** @type {Panel|null} */ panel: null,
  /** @type {State} */ s: {},
  /** @type {Uint8Array[]} test images that come with the model */ examples: [],
  /** @type {Uint8Array[]} the images that it was trained on, where they are at hand */ training: [],
  error: "",
  notice: "",
  /** Shows a panel, with values that differ from those at the start. @type {(panel: string, s?: State) => void} */ go: () => {},
};

const MAX_ADDRESS = 16_000;

// ---- one value as text, and back; its kind is that of the value at the start

/** @param {any} value @returns {string} */
function write(value) {
  if (value instanceof Float32Array) return toAddress(bytesOf(value));
  if (value instanceof Uint8Array) return toAddress(value);
  if (Array.isArray(value)) return value.map((one) => encodeURIComponent(String(one))).join(",");
  return String(value);
}

/** @param {string} text @param {any} like @returns {any} */
function read(text, like) {
  if (like instanceof Float32Array) return floatsOf(fromAddress(text));
  if (like instanceof Uint8Array) return fromAddress(text);
  if (Array.isArray(like)) {
    const parts = text === "" ? [] : text.split(",").map(decodeURIComponent);
    return typeof like[0] === "number" ? parts.map(number) : parts;
  }
  if (typeof like === "number") return number(text);
  if (typeof like === "boolean") return text === "true";
  return text;
}

/** @param {string} text */
function number(text) {
  const found = Number(text);
  if (text.trim() === "" || !Number.isFinite(found)) throw new Error(`${text} is no number`);
  return found;
}

/** The address of a state: the values that differ from those at the start. */
export function addressOf() {
  if (!app.model || !app.panel) return "";
  const start = app.panel.start(app.model);
  const words = Object.entries(app.s)
    .filter(([key, value]) => key in start && write(value) !== write(start[key]))
    .map(([key, value]) => `${key}=${encodeURIComponent(write(value)).replaceAll("%2C", ",")}`);
  return `#/${encodeURIComponent(app.model.name)}/${app.panel.id}${words.length ? `?${words.join("&")}` : ""}`;
}

/** @param {string} hash @returns {{model: string, panel: string, words: URLSearchParams}} */
export function place(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [model = "", panel = ""] = path.split("/").map(decodeURIComponent);
  return { model, panel, words: new URLSearchParams(query.replaceAll("+", "%2B")) };
}

/** The state of a panel from an address; wrong values are said and left out. @param {Panel} panel @param {URLSearchParams} words */
export function stateOf(panel, words) {
  const s = panel.start(/** @type {import("./api.js").Model} */ (app.model));
  for (const [key, text] of words) {
    if (!(key in s)) continue;
    try {
      const found = read(text, s[key]);
      if ((s[key] instanceof Uint8Array || s[key] instanceof Float32Array) && s[key].length && found.length !== s[key].length)
        throw new Error(`${found.length} values, expected ${s[key].length}`);
      s[key] = found;
    } catch (error) {
      app.error = `The address has a wrong ${key}: ${/** @type {Error} */ (error).message}. The rest of it is shown.`;
    }
  }
  return s;
}

// ---- changes

/** @type {{undo: State[], redo: State[], committed: State}} */
export const past = { undo: [], redo: [], committed: {} };

let paint = () => {};
let waiting = false;

/** @param {() => void} draw */
export function onChange(draw) {
  paint = draw;
}

export function refresh() {
  if (waiting) return;
  waiting = true;
  // Not in the next frame: a request would start up to 17 ms later, and its picture show up to 17 ms later again.
  queueMicrotask(() => {
    waiting = false;
    paint();
    document.documentElement.dataset.busy = String(busy() || !!app.opening);
  });
  document.documentElement.dataset.busy = "true";
}

/** Changes the state for now, as while a slider moves. @param {State} patch */
export function set(patch) {
  Object.assign(app.s, patch);
  refresh();
}

/** Changes the state to stay: for undo, and in the address. @param {State} [patch] */
export function commit(patch = {}) {
  Object.assign(app.s, patch);
  if (Object.keys(app.s).some((key) => write(app.s[key]) !== write(past.committed[key] ?? ""))) {
    past.undo.push(past.committed);
    if (past.undo.length > 200) past.undo.shift();
    past.redo = [];
    past.committed = { ...app.s };
  }
  writeAddress();
  refresh();
}

export function writeAddress(push = false) {
  let address = addressOf();
  if (address.length > MAX_ADDRESS) {
    address = address.split("?")[0];
    app.notice = "What is drawn here is too large for a link; the address opens the panel alone.";
  }
  if (address && address !== location.hash) history[push ? "pushState" : "replaceState"](null, "", address);
}

/** @param {"undo"|"redo"} way */
export function travel(way) {
  const from = past[way], to = past[way === "undo" ? "redo" : "undo"];
  const found = from.pop();
  if (!found) return;
  to.push(past.committed);
  past.committed = found;
  app.s = { ...found };
  writeAddress();
  refresh();
}

/** @param {State} s */
export function begin(s) {
  app.s = s;
  past.undo = [];
  past.redo = [];
  past.committed = { ...s };
}

// ---- slots

const SLOW = 300; // milliseconds after which a request gives way to a newer one

/** @type {Map<string, Slot>} */
const slots = new Map();

/**
 * What a server computes from the state. One request is under way, and the newest state waits: so a slider is followed at the
 * pace of the server. A request that takes long is given up for a newer one.
 */
class Slot {
  /** @type {any} */ value;
  /** @type {string|null} of `value` */ shown = null;
  /** @type {string|null} */ wanted = null;
  /** @type {AbortController|null} */ #running = null;
  #begun = 0;
  /** @type {(() => void)|null} */ #next = null;
  error = "";

  get busy() {
    return this.#running !== null;
  }

  /** @param {string} key @param {(signal: AbortSignal) => Promise<any>} ask */
  want(key, ask) {
    if (key !== this.wanted) {
      this.wanted = key;
      if (!this.#running) this.#run(key, ask);
      else {
        this.#next = () => this.#run(key, ask);
        if (performance.now() - this.#begun > SLOW) this.#running.abort();
      }
    }
    return this.value;
  }

  /** @param {string} key @param {(signal: AbortSignal) => Promise<any>} ask */
  async #run(key, ask) {
    const running = (this.#running = new AbortController());
    this.#begun = performance.now();
    this.#next = null;
    try {
      const value = await ask(running.signal);
      if (!running.signal.aborted) {
        this.value = value;
        this.shown = key;
        if (this.error && app.error === this.error) app.error = "";
        this.error = "";
      }
    } catch (error) {
      if (!running.signal.aborted) {
        this.error = app.error = error instanceof Error ? error.message : String(error);
      }
    }
    if (this.#running !== running) return; // dropped meanwhile
    this.#running = null;
    /** @type {(() => void)|null} */ (this.#next)?.();
    refresh();
  }

  drop() {
    this.#running?.abort();
    this.#running = this.#next = this.wanted = this.shown = null;
    this.value = undefined;
    this.error = "";
  }
}

/**
 * What a server computes: the value of the newest answer, undefined before the first.
 * @param {string} name @param {string} key of the state that it is computed from @param {(signal: AbortSignal) => Promise<any>} ask
 */
export function want(name, key, ask) {
  let slot = slots.get(name);
  if (!slot) slots.set(name, (slot = new Slot()));
  return slot.want(key, ask);
}

/** Gives up all requests and forgets the answers. */
export function drop() {
  for (const slot of slots.values()) slot.drop();
  slots.clear();
}

/** Asks again for what failed. */
export function retry() {
  for (const slot of slots.values()) if (slot.error) slot.drop();
  app.error = "";
  refresh();
}

export const failed = () => [...slots.values()].some((slot) => slot.error !== "");

export const busy = () => [...slots.values()].some((slot) => slot.busy);

/** A key of values. @param {...any} parts */
export const keyOf = (...parts) => parts.map(write).join("|");
