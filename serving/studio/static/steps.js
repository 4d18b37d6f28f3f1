// @ts-check
/** The panel of DRAW: how an image is drawn, step by step, where each step writes, and what it reads of an image of yours. */
import { html, nothing, svg } from "./lit.js";
import { nest } from "./numbers.js";
import { button, choice, editor, grid, image, pictureOf, pictureState, rowsFor, saveGif, seeds, slider, whole } from "./parts.js";
import { Picture } from "./pictures.js";
import { app, commit, keyOf, set, want } from "./state.js";

const COLUMNS = 6;
/** @type {Picture[]} */
let shown = [];
/** @type {ReturnType<typeof setTimeout>|undefined} */
let timer;

/** @param {number} count */
function tick(count) {
  clearTimeout(timer);
  if (app.panel?.id !== "steps" || !app.s.playing) return;
  timer = setTimeout(() => {
    if (app.panel?.id !== "steps") return;
    set({ at: (app.s.at + 1) % count });
  }, app.s.at === count - 1 ? 900 : 110);
}

/**
 * A window of a step, from its centre (x, y) and the side of its square of filters, in pixels.
 * @param {Record<string, import("./api.js").Values>} made @param {string} name "boxes" or "read_boxes" @param {number} at the step @param {number[]} shape @param {string} kind
 */
function frame(made, name, at, [height, width], kind) {
  const boxes = made[name], sides = made[name.replace("boxes", "sides")];
  if (!boxes) return nothing;
  const [x, y, stride] = boxes.data.subarray(5 * at, 5 * at + 3), thick = width / 60;
  const side = Math.max(1, sides ? sides.data[at] : 4 * Math.abs(stride)); // an older export does not say it; the paper has 5 filters
  const inside = (/** @type {number} */ value, /** @type {number} */ end) => Math.min(end - thick / 2, Math.max(thick / 2, value)); // so that the border of a window that is larger than the image shows
  const left = inside(x - 0.5 - side / 2, width), top = inside(y - 0.5 - side / 2, height); // boxes count pixels from 1
  const right = inside(x - 0.5 + side / 2, width), bottom = inside(y - 0.5 + side / 2, height);
  return svg`<rect class=${kind} x=${left} y=${top} width=${right - left} height=${bottom - top} stroke-width=${thick}></rect>`;
}

/** A picture with a window on it. @param {any} picture @param {number[]} shape @param {any} rect */
const framed = (picture, shape, rect) => html`<div class="overlaid">${picture}<svg viewBox="0 0 ${shape[1]} ${shape[0]}" aria-hidden="true">${rect}</svg></div>`;

/** @type {import("./state.js").Panel} */
export default {
  id: "steps",
  title: "Drawing steps",
  fits: (model) => model.has("canvases"),
  start: (model) => ({ ...pictureState(model.shape), from: 0, open: 0, at: 999, playing: false, windows: true, label: 0, way: "seeds" }),
  view(model, s) {
    const all = seeds(s.from, 18);
    const yours = model.has("redraw") && s.way === "image", given = pictureOf(s.px, model.shape);
    const made = yours ? want("redrawn", keyOf(s.px), (signal) => model.predict("redraw", { image: [nest(given.data, model.shape)] }, signal)) : want("canvases", keyOf(s.from, s.label), (signal) => model.predict("canvases", rowsFor(model, "canvases", all.length, { seeds: all }, s), signal));
    const count = made?.canvas.shape[1] ?? 1, pictures = made ? Picture.all(made.canvas) : [];
    const at = Math.min(s.at, count - 1), open = yours ? 0 : Math.min(s.open, all.length - 1);
    const one = pictures.slice(open * count, (open + 1) * count), boxes = made?.boxes ?? made?.read_boxes;
    const window = (/** @type {string} */ name, /** @type {string} */ kind) => (made && s.windows ? frame(made, name, open * count + at, model.shape, kind) : nothing);
    shown = one;
    tick(count);
    const save = () => saveGif(one, 120, `${model.name}-steps.gif`);
    return html`${model.has("redraw") ? choice("way", [["seeds", "From seeds"], ["image", "Your image, read and drawn again"]], s.way, (way) => ({ way })) : nothing}
      <div class="columns two even"><section class="stage"><h2>${yours ? "Your image" : `Seed ${s.from + open}`}, step ${at + 1} of ${count}</h2>
        <div class=${yours ? "pair" : "one"}>${yours ? html`<figure>${framed(image(given, model.shape, "your image", "big"), model.shape, window("read_boxes", "read"))}<figcaption>${made?.read_boxes ? "what this step reads" : "read whole at every step"}</figcaption></figure>` : nothing}
          <figure>${framed(image(one[at], model.shape, `step ${at + 1} of ${count}`, "big main-image"), model.shape, window("boxes", "write"))}${yours ? html`<figcaption>${made?.boxes ? "where it writes" : "after this step"}</figcaption>` : nothing}</figure></div>
        ${slider("step", at, 0, Math.max(1, count - 1), 1, (value) => ({ at: value, playing: false }), { text: `${at + 1}` })}
        <div class="tools spaced">${button(s.playing ? "Pause" : "Play", () => commit({ playing: !s.playing, at: at === count - 1 ? 0 : at }), { main: true, title: "Space" })}
          ${boxes ? button("Windows", () => commit({ windows: !s.windows }), { on: s.windows, title: "The squares of filters through which a step reads and writes" }) : nothing}
          ${button("Save GIF", save, { off: !one.length })}</div></section>
      ${yours ? html`<section><h2>Image</h2>${editor(model, s)}</section>` : html`<section><h2>All at step ${at + 1}</h2><div class="tools">${whole("first seed", s.from, -1e9, 1e9, (from) => ({ from }))}${button("Next", () => commit({ from: s.from + all.length }))}</div>
        ${grid(all.map((_, i) => pictures[i * count + at]), model.shape, COLUMNS, { title: "seeds", label: (i) => `seed ${s.from + i}`, chosen: open, choose: (i) => commit({ open: i }) })}</section>`}</div>`;
  },
  pictures: () => (shown.length ? { pictures: shown, columns: shown.length } : null),
  keys: { " ": () => commit({ playing: !app.s.playing }) },
};
