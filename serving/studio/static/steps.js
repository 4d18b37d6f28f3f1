// @ts-check
/** The panel of DRAW: how an image is drawn, step by step, and where each step writes. */
import { html, nothing, svg } from "./lit.js";
import { button, grid, image, rowsFor, seeds, slider, whole } from "./parts.js";
import { gif, download, Picture } from "./pictures.js";
import { app, commit, keyOf, refresh, set, want } from "./state.js";

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

/** The window that a step wrote to: (centre x, centre y, stride, sigma, gain) of a square of filters. @param {ArrayLike<number>} box @param {number[]} shape */
function frame(box, shape) {
  const side = Math.max(1, Math.abs(box[2]) * 4); // of five filters, as in the paper; a card does not have their number
  return svg`<rect x=${box[0] - 0.5 - side / 2} y=${box[1] - 0.5 - side / 2} width=${side} height=${side} stroke-width=${Math.max(shape[1] / 60, Math.min(box[3] || 0, 1) / 2)}></rect>`;
}

/** @type {import("./state.js").Panel} */
export default {
  id: "steps",
  title: "Drawing steps",
  fits: (model) => model.has("canvases"),
  start: () => ({ from: 0, open: 0, at: 999, playing: false, windows: true, label: 0 }),
  view(model, s) {
    const all = seeds(s.from, 18);
    const made = want("canvases", keyOf(s.from, s.label), (signal) => model.predict("canvases", rowsFor(model, "canvases", all.length, { seeds: all }, s), signal));
    const count = made?.canvas.shape[1] ?? 1, pictures = made ? Picture.all(made.canvas) : [];
    const at = Math.min(s.at, count - 1), open = Math.min(s.open, all.length - 1);
    const one = pictures.slice(open * count, (open + 1) * count), boxes = made?.boxes;
    const box = boxes && boxes.data.subarray((open * count + at) * 5, (open * count + at + 1) * 5);
    shown = one;
    tick(count);
    const save = async () => {
      try {
        download(await gif(one, 120), `${model.name}-steps.gif`);
      } catch (error) {
        app.error = /** @type {Error} */ (error).message;
      }
      refresh();
    };
    return html`<div class="columns two even"><section class="stage"><h2>Seed ${s.from + open}, step ${at + 1} of ${count}</h2>
        <div class="one overlaid">${image(one[at], model.shape, `step ${at + 1} of ${count}`, "big main-image")}
          ${box && s.windows ? html`<svg viewBox="0 0 ${model.shape[1]} ${model.shape[0]}" aria-hidden="true">${frame(box, model.shape)}</svg>` : nothing}</div>
        ${slider("step", at, 0, Math.max(1, count - 1), 1, (value) => ({ at: value, playing: false }), { text: `${at + 1}` })}
        <div class="tools spaced">${button(s.playing ? "Pause" : "Play", () => commit({ playing: !s.playing, at: at === count - 1 ? 0 : at }), { main: true, title: "Space" })}
          ${boxes ? button("Windows", () => commit({ windows: !s.windows }), { on: s.windows, title: "Where a step writes: its centre, and about its size" }) : nothing}
          ${button("Save GIF", save, { off: !one.length })}</div></section>
      <section><h2>All at step ${at + 1}</h2><div class="tools">${whole("first seed", s.from, -1e9, 1e9, (from) => ({ from }))}${button("Next", () => commit({ from: s.from + all.length }))}</div>
        ${grid(all.map((_, i) => pictures[i * count + at]), model.shape, COLUMNS, { title: "seeds", label: (i) => `seed ${s.from + i}`, chosen: open, choose: (i) => commit({ open: i }) })}</section></div>`;
  },
  pictures: () => (shown.length ? { pictures: shown, columns: shown.length } : null),
  keys: { " ": () => commit({ playing: !app.s.playing }) },
};
