// @ts-check
/** The page: what is open, the panels that fit it, and the habits that all panels have. */
import { asCurl, ask, asPython, last, latency, Model } from "./api.js";
import animation from "./animation.js";
import clips from "./clips.js";
import codec from "./codec.js";
import classesAndCodes from "./classes.js";
import completion from "./completion.js";
import editing from "./editing.js";
import latents from "./latents.js";
import { html, live, nothing, render } from "./lit.js";
import mixing from "./mixing.js";
import { fromBase64 } from "./numbers.js";
import { download, png } from "./pictures.js";
import reading from "./reading.js";
import signatures, { described } from "./signatures.js";
import { addressOf, app, begin, busy, drop, failed, onChange, past, place, refresh, retry, stateOf, travel, writeAddress } from "./state.js";
import steps from "./steps.js";
import { activation, text, translation } from "./translation.js";

const PANELS = [text, latents, animation, classesAndCodes, mixing, completion, reading, translation, clips, editing, activation, codec, steps, signatures];
const root = /** @type {HTMLElement} */ (document.getElementById("studio"));

/** @type {AbortController|null} of the model that is being opened */
let opening = null;

/** The bytes of images. @param {{shape: number[], pixels: string}|null|undefined} given @returns {Uint8Array[]} */
function unpacked(given) {
  if (!given) return [];
  const bytes = fromBase64(given.pixels), size = bytes.length / given.shape[0];
  return Array.from({ length: given.shape[0] }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
}

/** Opens a model and a panel. @param {string} name @param {string} panel @param {URLSearchParams} words @param {boolean} push */
async function open(name, panel, words, push) {
  drop();
  opening?.abort();
  const mine = (opening = new AbortController());
  app.notice = "";
  if (app.model?.name !== name) {
    app.opening = name;
    app.error = "";
    refresh();
    try {
      const known = app.models.find((one) => one.name === name);
      if (known && !known.open) {
        await ask("/studio/open", { name }, mine.signal);
        known.open = true;
      }
      const [model, given] = await Promise.all([
        Model.load(name, mine.signal),
        known ? ask(`/studio/examples/${encodeURIComponent(name)}`, undefined, mine.signal).then((reply) => reply.json()) : null,
      ]);
      if (mine.signal.aborted) return;
      if (!known) app.models.push({ name, source: name, open: true });
      app.model = model;
      app.examples = unpacked(given?.test);
      app.training = unpacked(given?.training);
    } catch (error) {
      if (mine.signal.aborted) return;
      app.opening = "";
      app.error = error instanceof Error ? error.message : String(error);
      return refresh();
    }
    app.opening = "";
  }
  const model = /** @type {Model} */ (app.model), fitting = PANELS.filter((one) => one.fits(model));
  app.panel = fitting.find((one) => one.id === panel) ?? fitting[0] ?? null;
  if (!app.panel) return refresh();
  begin(stateOf(app.panel, app.panel.id === panel ? words : new URLSearchParams()));
  document.title = `${model.name} · ${app.panel.title} · tfgen studio`;
  writeAddress(push);
  refresh();
}

/** Shows a panel, with values that differ from those at the start. @param {string} panel @param {Record<string, any>} [s] */
function go(panel, s = {}) {
  const model = /** @type {Model} */ (app.model);
  open(model.name, panel, new URLSearchParams(), true).then(() => {
    begin({ ...app.s, ...s });
    writeAddress();
    refresh();
  });
}

// ---- copies

/** @param {string} text @param {string} what */
async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    app.notice = `${what} copied.`;
  } catch {
    download(new Blob([text], { type: "text/plain" }), `tfgen-studio-${what.toLowerCase().replaceAll(" ", "-")}.txt`);
    app.notice = `The browser did not allow copying; ${what.toLowerCase()} was saved as a file.`;
  }
  refresh();
}

async function copyPicture() {
  const found = app.panel?.pictures?.(app.s);
  if (!found) {
    app.notice = "There is no picture yet.";
    return refresh();
  }
  const blob = await png(found.pictures, found.columns);
  try {
    await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
    app.notice = "PNG copied.";
  } catch {
    download(blob, `${app.model?.name}.png`);
    app.notice = "PNG saved as a file.";
  }
  refresh();
}

// ---- light and dark

const THEMES = ["auto", "light", "dark"];
let theme = localStorage.getItem("theme") ?? "auto";

/** @param {string} chosen */
function dress(chosen) {
  theme = THEMES.includes(chosen) ? chosen : "auto";
  localStorage.setItem("theme", theme);
  document.documentElement.dataset.theme = theme;
  refresh();
}

// ---- the page

function view() {
  const { model, panel } = app;
  const speed = latency();
  const fitting = model ? PANELS.filter((one) => one.fits(model)) : [];
  const address = app.address ?? location.origin;
  const off = !last.signature;
  return html`
    <header>
      <h1>tfgen <span>studio</span></h1>
      <label class="model"><span class="hidden-text">Model</span><select aria-label="Model" .value=${live(app.opening || model?.name || "")}
        @change=${(/** @type {Event} */ e) => open(/** @type {HTMLSelectElement} */ (e.target).value, panel?.id ?? "", new URLSearchParams(), true)}>
        ${app.models.map((one) => html`<option value=${one.name} ?selected=${one.name === (app.opening || model?.name)}>${one.source.startsWith("/") ? one.name : one.source}</option>`)}</select></label>
      ${app.address
        ? html`<form class="other" @submit=${(/** @type {Event} */ e) => {
            e.preventDefault();
            const name = /** @type {HTMLInputElement} */ (/** @type {HTMLFormElement} */ (e.target).elements.namedItem("name")).value.trim();
            if (name) open(name, "", new URLSearchParams(), true);
          }}><input name="name" aria-label="Name of another model on the server" placeholder="other model"></form>`
        : nothing}
      <p class="about">${model ? html`${model.card?.model ?? "a model without a card"} <span>${model.shape.join("×")}</span>` : nothing}</p>
      <p class="speed" aria-label="time of the last requests" title="From a request to its answer, of the last ${speed?.count ?? 0} requests">
        ${speed ? html`<span>p50</span> ${speed.p50.toFixed(0)} <span>p95</span> ${speed.p95.toFixed(0)} ms` : nothing}</p>
      <div class="actions" role="group" aria-label="Copy">
        <button type="button" title="Undo (Ctrl Z)" aria-label="Undo" ?disabled=${!past.undo.length} @click=${() => travel("undo")}>↶</button>
        <button type="button" title="Redo (Ctrl Shift Z)" aria-label="Redo" ?disabled=${!past.redo.length} @click=${() => travel("redo")}>↷</button>
        <button type="button" title="Copy a link to this picture" @click=${() => copy(location.origin + location.pathname + addressOf(), "Link")}>Link</button>
        <button type="button" title="Copy the picture" ?disabled=${!panel?.pictures} @click=${copyPicture}>PNG</button>
        <button type="button" title="Copy the last request as a command of curl" ?disabled=${off} @click=${() => copy(asCurl(address), "Command of curl")}>curl</button>
        <button type="button" title="Copy the last request as a program in Python" ?disabled=${off} @click=${() => copy(asPython(address), "Python")}>Python</button>
        <button type="button" title="Light, dark, or as the system has it" aria-label=${`Theme: ${theme}`}
          @click=${() => dress(THEMES[(THEMES.indexOf(theme) + 1) % 3])}>${{ auto: "◐", light: "☀", dark: "☾" }[theme]}</button>
      </div>
    </header>
    <nav><div role="tablist" aria-label="Panels" @keydown=${tabKeys}>${fitting.map((one) => html`<button type="button" role="tab" id="tab-${one.id}"
      aria-selected=${String(one === panel)} aria-controls="panel" tabindex=${one === panel ? 0 : -1}
      @click=${() => one !== panel && open(/** @type {Model} */ (model).name, one.id, new URLSearchParams(), true)}>${one.title}</button>`)}</div>
      <span class="progress" ?data-on=${busy() || !!app.opening} aria-hidden="true"></span></nav>
    <div class="messages">
      <p class="error" role="alert" ?hidden=${!app.error}>${app.error}
        ${failed() || !model ? html`<button type="button" class="again" @click=${() => (model ? retry() : begins())}>Try again</button>` : nothing}
        <button type="button" aria-label="Close the message" @click=${() => { app.error = ""; refresh(); }}>×</button></p>
      <p class="notice" role="status" ?hidden=${!app.notice && !app.opening}>${app.opening ? `Opening ${app.opening}. A model is exported when it is opened first; that takes some seconds.` : app.notice}</p>
    </div>
    <main id="panel" role="tabpanel" aria-labelledby=${panel ? `tab-${panel.id}` : nothing} class=${panel?.id ?? ""}>
      ${model && !app.opening ? (panel ? panel.view(model, app.s) : described(model)) : html`<p class="loading">${app.error ? "No model is open." : "…"}</p>`}</main>`;
}

/** @param {KeyboardEvent} event */
function tabKeys(event) {
  const tabs = [.../** @type {HTMLElement} */ (event.currentTarget).querySelectorAll("button")];
  const at = tabs.indexOf(/** @type {HTMLButtonElement} */ (event.target));
  const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: tabs.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  const next = tabs[(to + tabs.length) % tabs.length];
  next.focus();
  next.click();
}

document.addEventListener("keydown", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.altKey || target.matches("input:not([type=range]), textarea, select")) return;
  const key = event.key.toLowerCase();
  if (event.ctrlKey || event.metaKey) {
    if (key !== "z" && key !== "y") return;
    event.preventDefault();
    return travel(key === "y" || event.shiftKey ? "redo" : "undo");
  }
  if (key === " " && target.closest("button, a")) return; // which it presses
  app.panel?.keys?.[key]?.();
});

window.addEventListener("popstate", () => {
  const found = place(location.hash);
  open(found.model || app.models[0]?.name, found.panel, found.words, false);
});

async function begins() {
  app.error = "";
  refresh();
  try {
    const found = await (await ask("/studio/models")).json();
    app.models = found.models;
    app.address = found.address;
  } catch (error) {
    app.error = /** @type {Error} */ (error).message;
    return refresh();
  }
  const found = place(location.hash);
  await open(found.model || app.models[0]?.name, found.panel, found.words, false);
}

app.go = go;
root.replaceChildren();
onChange(() => render(view(), root));
dress(theme);
begins();
