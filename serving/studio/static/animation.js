// @ts-check
/** The panel of animations: a way through keyframes, which are latents. */
import { html, nothing } from "./lit.js";
import { between, floatsOf, fromAddress } from "./numbers.js";
import { button, choice, classes, grid, image, slider } from "./parts.js";
import { download, gif, png } from "./pictures.js";
import { decode, latentsOf } from "./latents.js";
import { app, commit, keyOf, refresh, set, want } from "./state.js";

/** @typedef {import("./api.js").Model} Model */
const MOST = 240; // frames

/** @type {import("./pictures.js").Picture[]} */
let shown = [];
/** @type {ReturnType<typeof setTimeout>|undefined} */
let timer;

/** Keyframes are seeds, or latents as "z" and their bytes. @param {string[]} keys */
const seedsIn = (keys) => keys.filter((key) => !key.startsWith("z")).map(Number);

/** The latents of the keyframes. @param {Model} model @param {any} s @returns {Float32Array[]|undefined} */
function keyframes(model, s) {
  const wanted = seedsIn(s.keys);
  const found = want("keys", keyOf(wanted), async (signal) => ({ wanted, all: wanted.length ? await latentsOf(model, wanted, s, signal) : [] }));
  if (!found) return undefined;
  const of = new Map(found.wanted.map((/** @type {number} */ seed, /** @type {number} */ i) => [seed, found.all[i]]));
  const latents = s.keys.map((/** @type {string} */ key) => (key.startsWith("z") ? floatsOf(fromAddress(key.slice(1))) : of.get(Number(key))));
  return latents.every((/** @type {Float32Array} */ z) => z?.length === model.latentSize) ? latents : undefined;
}

/** @param {Float32Array[]} keys @param {any} s */
function path(keys, s) {
  const pairs = keys.map((_, i) => [i, (i + 1) % keys.length]).slice(0, s.loop ? keys.length : -1);
  /** @type {Float32Array[]} */
  const found = pairs.flatMap(([a, b]) => Array.from({ length: s.steps }, (_, i) => between(keys[a], keys[b], i / s.steps, s.way)));
  if (!s.loop) found.push(keys[keys.length - 1]);
  return found.slice(0, MOST);
}

function tick() {
  clearTimeout(timer);
  if (app.panel?.id !== "animation" || !app.s.playing || shown.length < 2) return;
  timer = setTimeout(() => {
    if (app.panel?.id !== "animation") return;
    set({ at: (app.s.at + 1) % shown.length });
    tick();
  }, app.s.ms);
}

/** @param {(frames: import("./pictures.js").Picture[]) => Promise<Blob>} make @param {string} ending */
async function save(make, ending) {
  try {
    download(await make(shown), `${app.model?.name}-${ending}`);
    app.notice = `${ending} saved.`;
  } catch (error) {
    app.error = error instanceof Error ? error.message : String(error);
  }
  refresh();
}

/** @type {import("./state.js").Panel} */
export default {
  id: "animation",
  title: "Animation",
  fits: (model) => model.smooth && model.has("latents"),
  start: () => ({ keys: ["0", "1", "2", "3"], steps: 12, way: "spherical", loop: true, ms: 80, label: 0, at: 0, playing: !matchMedia("(prefers-reduced-motion: reduce)").matches }),
  view(model, s) {
    const keys = keyframes(model, s);
    const points = keys && keys.length > 1 ? path(keys, s) : [];
    shown = (points.length && want("path", keyOf(s.keys, s.steps, s.way, s.loop, s.label), (signal) => decode(model, points, s, signal))) || [];
    const marks = keys && want("marks", keyOf(s.keys, s.label), (signal) => decode(model, keys, s, signal));
    tick();
    const at = Math.min(s.at, Math.max(0, shown.length - 1));
    const add = () => commit({ keys: [...s.keys, String(Math.floor(Math.random() * 100_000))] });
    const change = (/** @type {string[]} */ next) => commit({ keys: next, picked: Math.min(s.picked ?? 0, next.length - 1) });
    const picked = Math.min(s.picked ?? 0, s.keys.length - 1);
    return html`<div class="columns two">
      <section class="stage"><h2>${shown.length || "…"} frames</h2>
        <div class="one">${image(shown[at], model.shape, `frame ${at + 1} of ${shown.length}`, "big main-image")}</div>
        <div class="tools">${button(s.playing ? "Pause" : "Play", () => commit({ playing: !s.playing }), { main: true, title: "Space" })}
          ${slider("frame", at, 0, Math.max(1, shown.length - 1), 1, (value) => ({ at: value, playing: false }))}</div>
        <div class="tools">
          ${button("Save GIF", () => save((frames) => gif(frames, Math.max(20, s.ms)), "animation.gif"), { off: shown.length < 2 })}
          ${button("Save strip", () => save((frames) => png(frames.filter((_, i) => i % Math.max(1, Math.round(s.steps / 4)) === 0), 16), "strip.png"), { off: shown.length < 2 })}</div></section>
      <section class="controls"><h2>Keyframes</h2>
        ${grid(marks ?? s.keys.map(() => undefined), model.shape, Math.max(6, s.keys.length), { title: "keyframes", chosen: picked, choose: (i) => { set({ picked: i, at: Math.min(i * s.steps, Math.max(0, shown.length - 1)), playing: false }); },
          label: (i) => (s.keys[i].startsWith("z") ? `keyframe ${i + 1}, a moved latent` : `keyframe ${i + 1}, seed ${s.keys[i]}`) })}
        <div class="tools spaced">${button("Add a seed", add, { off: s.keys.length >= 20 })}
          ${button("Another seed here", () => change(s.keys.map((/** @type {string} */ key, /** @type {number} */ i) => (i === picked ? String(Math.floor(Math.random() * 100_000)) : key))))}
          ${button("Earlier", () => { const next = [...s.keys]; [next[picked - 1], next[picked]] = [next[picked], next[picked - 1]]; commit({ keys: next }); set({ picked: picked - 1 }); }, { off: picked === 0 })}
          ${button("Remove", () => change(s.keys.filter((/** @type {string} */ _, /** @type {number} */ i) => i !== picked)), { off: s.keys.length <= 2 })}</div>
        ${choice("way between keyframes", [["spherical", "Spherical"], ["linear", "Linear"]], s.way, (way) => ({ way }))}
        ${choice("end", [["true", "Loop"], ["false", "Once"]], String(s.loop), (loop) => ({ loop: loop === "true", at: 0 }))}
        ${slider("steps", s.steps, 2, 40, 1, (steps) => ({ steps, at: 0 }), { text: `${s.steps}` })}
        ${slider("speed", s.ms, 20, 400, 10, (ms) => ({ ms }), { text: `${s.ms} ms` })}
        ${classes(model, s.label, (label) => ({ label }))}
        <div class="spaced"></div>${grid(shown.length ? shown : points.map(() => undefined), model.shape, Math.min(24, Math.max(8, s.steps)), { title: "frames", chosen: at, choose: (i) => set({ at: i, playing: false }), label: (i) => `frame ${i + 1}` })}
        ${s.keys.length * s.steps > MOST ? html`<p class="hint">The first ${MOST} frames are shown.</p>` : nothing}</section></div>`;
  },
  pictures: () => (shown.length ? { pictures: shown, columns: app.s.steps } : null),
  keys: { " ": () => commit({ playing: !app.s.playing }) },
};
