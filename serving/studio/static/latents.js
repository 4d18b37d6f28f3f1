// @ts-check
/** The panel of seeds and latents: a grid of seeds, one of them open, and sliders through the latents. */
import { html, nothing } from "./lit.js";
import { asKey, directions, dot, normals, short } from "./numbers.js";
import { button, choice, classes, grid, image, pictureOf, rowsFor, seeds, slider, whole } from "./parts.js";
import { Picture } from "./pictures.js";
import { app, commit, keyOf, set, want } from "./state.js";

/** @typedef {import("./api.js").Model} Model */
const PROBES = 192; // latents whose images tell the directions
const SHOWN = 12; // principal directions
const NONE = new Float32Array(0);

/** The images of latents. @param {Model} model @param {Float32Array[]} latents @param {any} s @param {AbortSignal} signal */
export async function decode(model, latents, s, signal) {
  const rows = latents.map((z) => Array.from(z));
  return Picture.all((await model.predict("decode", rowsFor(model, "decode", rows.length, { latent: rows }, s), signal)).image);
}

/** The latents of seeds. @param {Model} model @param {number[]} all @param {any} s @param {AbortSignal} signal @returns {Promise<Float32Array[]>} */
export async function latentsOf(model, all, s, signal) {
  if (!model.has("latents")) return all.map((seed) => normals(seed, model.latentSize)); // a model of codes, without a prior
  const { latent } = await model.predict("latents", rowsFor(model, "latents", all.length, { seeds: all }, s), signal);
  const size = model.latentSize;
  return all.map((_, i) => latent.data.slice(i * size, (i + 1) * size));
}

/** The images of seeds. @param {Model} model @param {number[]} all @param {any} s @param {AbortSignal} signal */
export async function sample(model, all, s, signal) {
  return Picture.all((await model.predict("sample", rowsFor(model, "sample", all.length, { seeds: all }, s), signal)).image);
}

/** The latent that is open: what was moved, or that of the seed; undefined until it is there. @param {Model} model @param {any} s */
function opened(model, s) {
  if (s.z.length === model.latentSize) return s.z;
  const found = want("latent", String(s.seed), async (signal) => ({ seed: s.seed, z: (await latentsOf(model, [s.seed], s, signal))[0] }));
  return found?.seed === s.seed ? found.z : undefined;
}

/** The ranges of latents and the directions in which images change most. @param {Model} model @param {any} s */
function axes(model, s) {
  return want("axes", String(s.label), async (signal) => {
    const latents = await latentsOf(model, seeds(0, PROBES), s, signal);
    const images = await decode(model, latents, s, signal);
    const found = directions(latents, images.map((one) => one.data), SHOWN);
    const reach = (/** @type {Float32Array} */ v) => Math.max(...latents.map((z) => Math.abs(dot(z, v))), 1e-3);
    return {
      principal: found, reaches: found.map(reach),
      raw: Array.from({ length: model.latentSize }, (_, i) => Math.max(...latents.map((z) => Math.abs(z[i])), 1e-3)),
    };
  });
}

/** @param {Float32Array} z @param {Float32Array} direction @param {number} value the new coordinate */
function moved(z, direction, value) {
  const by = value - dot(z, direction);
  return z.map((x, i) => x + by * direction[i]);
}

/** A field of two coordinates. @param {Float32Array} z @param {Float32Array[]} two @param {number[]} reach */
function pad(z, two, reach) {
  const at = two.map((direction) => dot(z, direction));
  const to = (/** @type {number} */ x, /** @type {number} */ y) => ({ z: moved(moved(z, two[0], x), two[1], y) });
  const inside = (/** @type {number} */ value, /** @type {number} */ k) => Math.min(reach[k], Math.max(-reach[k], value));
  const place = (/** @type {PointerEvent} */ event) => {
    const box = /** @type {HTMLElement} */ (event.currentTarget).getBoundingClientRect();
    return to(inside((2 * (event.clientX - box.left) / box.width - 1) * reach[0], 0), inside((1 - (2 * (event.clientY - box.top)) / box.height) * reach[1], 1));
  };
  const percent = at.map((value, k) => Math.min(100, Math.max(0, 50 + (50 * value) / reach[k])));
  return html`<div class="pad" tabindex="0" role="slider" aria-label="First two directions" aria-valuemin="-100" aria-valuemax="100"
      aria-valuenow=${Math.round(percent[0] * 2 - 100)} aria-valuetext=${`${short(at[0])} across, ${short(at[1])} up`}
      @pointerdown=${(/** @type {PointerEvent} */ e) => {
        /** @type {HTMLElement} */ (e.currentTarget).setPointerCapture(e.pointerId);
        set(place(e));
      }}
      @pointermove=${(/** @type {PointerEvent} */ e) => e.buttons && set(place(e))}
      @pointerup=${() => commit()}
      @keydown=${(/** @type {KeyboardEvent} */ e) => {
        const step = /** @type {Record<string, number[]>} */ ({ ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] })[e.key];
        if (!step) return;
        e.preventDefault();
        commit(to(inside(at[0] + (step[0] * reach[0]) / 20, 0), inside(at[1] + (step[1] * reach[1]) / 20, 1)));
      }}><span class="dot" .style=${`left: ${percent[0]}%; top: ${100 - percent[1]}%`}></span></div>`;
}

/** The images nearest to a picture, of those the model was trained on, or else of the test images that come with it. @param {Picture|undefined} picture @param {Model} model */
function nearest(picture, model) {
  const kind = app.training.length ? "training" : "test", given = app.training.length ? app.training : app.examples;
  const all = given.filter((one) => one.length === picture?.data.length);
  if (!picture || !all.length) return nothing;
  const bytes = picture.bytes;
  const distance = (/** @type {Uint8Array} */ one) => one.reduce((sum, value, i) => sum + (value - bytes[i]) ** 2, 0);
  const found = all.map((one) => ({ one, far: distance(one) })).sort((a, b) => a.far - b.far).slice(0, 6);
  return html`<section><h3>Nearest of ${all.length} ${kind} images</h3>
    ${grid(found.map(({ one }) => pictureOf(one, model.shape)), model.shape, 6, { title: `nearest ${kind} images`, label: (i) => `RMS distance ${(Math.sqrt(found[i].far / bytes.length) / 255).toFixed(3)}` })}</section>`;
}

function randomise() {
  commit({ seed: Math.floor(Math.random() * 1_000_000), z: NONE });
}

/** @type {import("./state.js").Panel} */
export default {
  id: "latents",
  title: "Latents",
  fits: (model) => model.has("sample") || model.smooth,
  start: () => ({ from: 0, many: 36, seed: 0, label: 0, z: NONE, pin: NONE, space: "principal", pick: -1 }),
  view(model, s) {
    const all = seeds(s.from, s.many);
    const made = want("grid", keyOf(s.from, s.many, s.label), async (signal) =>
      model.has("sample") ? sample(model, all, s, signal) : decode(model, await latentsOf(model, all, s, signal), s, signal));
    const z = model.smooth ? opened(model, s) : undefined;
    const key = (/** @type {Float32Array} */ one) => keyOf(one, s.label);
    const shown = model.smooth
      ? z && want("image", key(z), async (signal) => (await decode(model, [z], s, signal))[0])
      : want("image", keyOf(s.seed, s.label), async (signal) => (await sample(model, [s.seed], s, signal))[0]);
    const pinned = s.pin.length === model.latentSize && s.pin.length && want("pinned", key(s.pin), async (signal) => (await decode(model, [s.pin], s, signal))[0]);
    const open = (/** @type {number} */ i) => commit({ seed: s.from + i, z: NONE });
    return html`<div class="columns three">
      <section class="samples"><h2>Seeds ${s.from} to ${s.from + s.many - 1}</h2>
        <div class="tools">${whole("first seed", s.from, -1e9, 1e9, (from) => ({ from }))}
          ${button("Before", () => commit({ from: s.from - s.many }), { title: "The seeds before these" })}
          ${button("Next", () => commit({ from: s.from + s.many }), { title: "The next seeds" })}</div>
        ${model.has("sample") ? nothing : html`<p class="hint">The model has no prior: the latents of seeds are numbers of a normal distribution. Those of images are in Your image.</p>`}
        ${grid(made ?? Array(s.many).fill(undefined), model.shape, 6, {
          title: "seeds", label: (i) => `seed ${s.from + i}`, chosen: s.z.length ? -1 : s.seed - s.from, choose: open,
        })}</section>
      <section class="stage"><h2>${s.z.length ? `From seed ${s.seed}, moved` : `Seed ${s.seed}`}</h2>
        <div class=${pinned ? "pair" : "one"}>${pinned ? html`<figure>${image(pinned, model.shape, "the pinned image", "big")}<figcaption>pinned</figcaption></figure>` : nothing}
          <figure>${image(shown, model.shape, s.z.length ? `the image of the moved latent` : `the image of seed ${s.seed}`, "big main-image")}${pinned ? html`<figcaption>now</figcaption>` : nothing}</figure></div>
        <div class="tools">
          ${button("Randomise", randomise, { title: "A seed by chance (R)", main: true })}
          ${model.smooth
            ? html`${z && button(s.pin.length ? "Unpin" : "Pin", () => commit({ pin: s.pin.length ? NONE : z.slice() }), { title: "Keep this image beside the next ones (P)" })}
              ${button("Reset", () => commit({ z: NONE }), { off: !s.z.length, title: "Back to the seed" })}
              ${z && model.has("latents") ? button("Animate", () => app.go("animation", { keys: pinned ? [asKey(s.pin), asKey(z)] : [asKey(z), "1", "2"], label: s.label }), { title: "From the pinned image to this one, or from this one to seeds" }) : nothing}
              ${s.pin.length && z ? button("Swap", () => commit({ pin: z.slice(), z: s.pin.slice() })) : nothing}`
            : nothing}</div>
        ${classes(model, s.label, (label) => ({ label }))}
        ${nearest(shown, model)}</section>
      ${model.smooth ? sliders(model, s, z) : nothing}</div>`;
  },
  pictures(s) {
    const shown = /** @type {any} */ (document.querySelector(".main-image"))?.picture;
    return shown ? { pictures: [shown], columns: 1 } : null;
  },
  keys: {
    r: randomise,
    p() {
      const model = /** @type {Model} */ (app.model), z = model.smooth && opened(model, app.s);
      if (z) commit({ pin: app.s.pin.length ? NONE : z.slice() });
    },
  },
};

/** @param {Model} model @param {any} s @param {Float32Array|undefined} z */
function sliders(model, s, z) {
  const found = axes(model, s);
  const unit = (/** @type {number} */ i) => Float32Array.from({ length: model.latentSize }, (_, k) => (k === i ? 1 : 0));
  const raw = s.space === "raw", size = model.latentSize;
  /** @type {{v: Float32Array, reach: number, name: string}[]} */
  const list = !found || !z ? [] : raw ? Array.from({ length: size }, (_, i) => ({ v: unit(i), reach: found.raw[i], name: `z ${i}` }))
    : found.principal.map((/** @type {Float32Array} */ v, /** @type {number} */ i) => ({ v, reach: found.reaches[i], name: `direction ${i + 1}` }));
  return html`<section class="controls"><h2>Move</h2>
    ${choice("coordinates", [["principal", "Principal directions"], ["raw", `All ${size} coordinates`]], s.space, (space) => ({ space }))}
    ${raw ? nothing : html`<p class="hint">Directions along which the images of ${PROBES} seeds change most; the first two are on the pad.</p>`}
    ${!raw && z && found && found.principal.length > 1 ? pad(z, found.principal.slice(0, 2), found.reaches) : raw ? nothing : html`<div class="pad empty"></div>`}
    <div class="sliders ${raw && size > 16 ? "many" : ""}">${list.map(({ v, reach, name }) => {
      const value = dot(/** @type {Float32Array} */ (z), v), wide = Math.max(reach * 1.25, Math.abs(value));
      return slider(name, value, -wide, wide, wide / 200, (to) => ({ z: moved(/** @type {Float32Array} */ (z), v, to) }));
    })}</div></section>`;
}

export { NONE };
