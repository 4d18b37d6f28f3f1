// @ts-check
/** The panel of completions: paint over what the model shall not see, and it answers in several ways. */
import { html, nothing } from "./lit.js";
import { nest } from "./numbers.js";
import { button, classes, editor, grid, image, pictureOf, pictureState, rowsFor, seeds, slider, whole } from "./parts.js";
import { Picture } from "./pictures.js";
import { sample } from "./latents.js";
import { app, commit, keyOf, refresh, set, want } from "./state.js";

/** @typedef {import("./api.js").Model} Model */

/** @type {Picture[]} */
let shown = [];
/** @type {ReturnType<typeof setTimeout>|undefined} */
let timer;

/** @param {Model} model @param {(x: number, y: number, w: number, h: number) => boolean} rule */
function hideWhere(model, rule) {
  const [height, width] = model.shape;
  return Uint8Array.from({ length: height * width }, (_, i) => (rule(i % width, Math.floor(i / width), width, height) ? 1 : 0));
}

/** Numbers of pixels as a picture: 0 is dark, the largest white. @param {ArrayLike<number>} values @param {number[]} shape */
function heat(values, shape) {
  const most = Math.max(...Array.from(values), 1e-6), data = new Float32Array(values.length * 3);
  Array.from(values).forEach((value, i) => {
    const t = Math.max(0, value) / most; // from the dark of the page over the colour of hidden pixels to white
    data.set([Math.min(1, 2.2 * t), Math.max(0, 1.6 * t - 0.4), Math.max(0, 3 * t - 2)], 3 * i);
  });
  return { picture: new Picture(data, [shape[0], shape[1], 3]), most };
}

/** Where the answers differ: the standard deviation of each pixel. @param {Picture[]} all */
function spread(all) {
  const [height, width, channels] = all[0].shape, found = new Float32Array(height * width);
  for (let i = 0; i < found.length; i++) {
    for (let c = 0; c < channels; c++) {
      const values = all.map((one) => one.data[i * channels + c]), mean = values.reduce((a, b) => a + b, 0) / values.length;
      found[i] += values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length / channels;
    }
    found[i] = Math.sqrt(found[i]);
  }
  return found;
}

function tick() {
  clearTimeout(timer);
  if (app.panel?.id !== "completion" || !app.s.playing) return;
  timer = setTimeout(() => {
    if (app.panel?.id !== "completion") return;
    const total = app.s.cover.reduce((/** @type {number} */ a, /** @type {number} */ b) => a + b, 0);
    set({ at: app.s.at + Math.max(1, Math.round(total / 80)), playing: app.s.at < total });
    tick();
  }, 40);
}

/** An answer of which the first hidden pixels are drawn, in the order in which the model draws. @param {Picture} answer @param {Uint8Array} cover @param {number} count */
function partly(answer, cover, count) {
  const channels = answer.shape[2], data = answer.data.slice();
  let drawn = 0;
  cover.forEach((hidden, i) => {
    if (hidden && drawn++ >= count) for (let c = 0; c < channels; c++) data[i * channels + c] = (i + Math.floor(i / answer.shape[1])) % 2 ? 0.42 : 0.5;
  });
  return new Picture(data, answer.shape);
}

/** @type {import("./state.js").Panel} */
export default {
  id: "completion",
  title: "Completion",
  fits: (model) => model.has("complete") && model.takes("complete", "mask"),
  start: (model) => ({ ...pictureState(model.shape), pen: Math.max(1, Math.round(model.shape[0] / 8)), hides: true, cover: hideWhere(model, (x, y, w, h) => y >= h / 2), many: 8, seed: 0, label: 0, at: 0, playing: false, open: 0 }),
  view(model, s) {
    const picture = pictureOf(s.px, model.shape);
    const key = keyOf(s.px, s.cover, s.many, s.seed, s.label);
    const answers = want("answers", key, async (signal) => {
      const given = {
        seeds: seeds(s.seed, s.many), image: Array(s.many).fill(nest(picture.data, model.shape)),
        mask: Array(s.many).fill(nest(s.cover.map((/** @type {number} */ one) => 1 - one), model.shape.slice(0, 2))),
      };
      return { key, all: Picture.all((await model.predict("complete", rowsFor(model, "complete", s.many, given, s), signal)).image) };
    });
    /** @type {Picture[]|undefined} */
    const made = answers?.all;
    shown = made ?? [];
    tick();
    const total = s.cover.reduce((/** @type {number} */ a, /** @type {number} */ b) => a + b, 0);
    const differs = made && made.length > 1 ? heat(spread(made), model.shape) : null;
    const open = Math.min(s.open, s.many - 1);
    const told = made && answers.key === key && model.has("pixel_bits") && want("bits", key, async (signal) => { // of these answers, and not of those that are still shown
      const given = { image: made.map((one) => nest(one.data, model.shape)) };
      return { key, bits: (await model.predict("pixel_bits", rowsFor(model, "pixel_bits", made.length, given, s), signal)).pixel_bits };
    });
    const size = model.shape[0] * model.shape[1], bits = told && told.key === key && told.bits.data.subarray(open * size, (open + 1) * size);
    const surprise = bits && heat(bits, model.shape), hidden = bits && bits.reduce((/** @type {number} */ sum, /** @type {number} */ one, /** @type {number} */ i) => sum + (s.cover[i] ? one : 0), 0);
    const drawSample = async () => {
      try {
        const [one] = await sample(model, [Math.floor(Math.random() * 1e6)], s, new AbortController().signal);
        commit({ px: one.bytes });
      } catch (error) {
        app.error = /** @type {Error} */ (error).message;
        refresh();
      }
    };
    const cover = (/** @type {string} */ text, /** @type {(x: number, y: number, w: number, h: number) => boolean} */ rule) => button(text, () => commit({ cover: hideWhere(model, rule) }));
    return html`<div class="columns two">
      <section><h2>Paint over what is hidden</h2>
        ${editor(model, s, { cover: s.cover, title: "the image, with hidden pixels in grey", sample: model.has("sample") ? drawSample : undefined })}
        <div class="tools">${cover("Lower half", (x, y, w, h) => y >= h / 2)}${cover("Right half", (x, y, w) => x >= w / 2)}${cover("Middle", (x, y, w, h) => x >= w / 4 && x < (3 * w) / 4 && y >= h / 4 && y < (3 * h) / 4)}${cover("All", () => true)}${cover("None", () => false)}</div></section>
      <section><h2>${s.many} answers</h2>
        ${grid((made ?? Array(s.many).fill(undefined)).map((/** @type {Picture|undefined} */ one) => (s.playing && one ? partly(one, s.cover, s.at) : one)), model.shape, 4, { title: "answers", label: (i) => `answer of seed ${s.seed + i}`,
          ...(model.has("pixel_bits") ? { chosen: open, choose: (/** @type {number} */ i) => commit({ open: i }) } : {}) })}
        <div class="tools spaced">${button("Other answers", () => commit({ seed: s.seed + s.many }), { main: true })}
          ${button("Replay", () => set({ at: 0, playing: true }), { title: "Pixel by pixel, in the order in which the model draws", off: !total || !made })}
          ${slider("answers", s.many, 1, 16, 1, (many) => ({ many }))}${whole("seed", s.seed, -1e9, 1e9, (seed) => ({ seed }))}</div>
        ${classes(model, s.label, (label) => ({ label }))}
        <div class="pair maps">${differs ? html`<figure>${image(differs.picture, model.shape, "where the answers differ", "big")}
          <figcaption>Where the answers differ: the standard deviation of each pixel, at most ${differs.most.toFixed(2)}</figcaption></figure>` : nothing}
        ${surprise ? html`<figure>${image(surprise.picture, model.shape, "the bits of each pixel", "big bits")}
          <figcaption>Bits of each pixel of the answer of seed ${s.seed + open}, given those before it: at most ${surprise.most.toFixed(1)}; ${total ? `${(hidden / total).toFixed(2)} for a hidden one` : ""}</figcaption></figure>` : nothing}</div></section></div>`;
  },
  pictures: () => (shown.length ? { pictures: shown, columns: 4 } : null),
};
