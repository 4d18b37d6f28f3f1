// @ts-check
/** The panel of edits: brushes on the photo itself, or the inputs of other edits by their shapes. */
import { html, nothing } from "./lit.js";
import { nest } from "./numbers.js";
import { button, choice, editor, grid, image, pictureOf, pictureState, rowsFor } from "./parts.js";
import { Picture } from "./pictures.js";
import { commit, keyOf, set, want } from "./state.js";
import { panel } from "./translation.js";

/** @typedef {import("./api.js").Model} Model */
const generic = panel("editing", "Editing", ["edit"], "Image and edit", "The edited image");
/** @type {Picture[]} */
let shown = [];

/** @param {Model} model */
const hasBrushes = (model) => model.takes("edit", "strokes") && model.takes("edit", "mask");

/** The photo with all strokes on it. @param {any} s @param {number[]} shape */
function composite(s, shape) {
  const channels = shape[2];
  return s.px.map((/** @type {number} */ value, /** @type {number} */ i) => {
    const at = Math.floor(i / channels);
    return s.sketched[at] ? 255 : s.painted[at] ? s.strokes[i] : value;
  });
}

/** What a stroke changes. @param {any} s @param {number[]} shape @param {Uint8Array} touched @param {Uint8Array} bytes */
function stroke(s, shape, touched, bytes) {
  const painted = s.painted.slice(), sketched = s.sketched.slice(), strokes = s.strokes.slice();
  touched.forEach((one, i) => {
    if (!one) return;
    painted[i] = s.brush === "colour" ? 1 : s.brush === "erase" ? 0 : painted[i];
    sketched[i] = s.brush === "sketch" ? 1 : s.brush === "erase" ? 0 : sketched[i];
    if (s.brush === "colour") for (let c = 0; c < shape[2]; c++) strokes[i * shape[2] + c] = bytes[i * shape[2] + c];
  });
  return { painted, sketched, strokes, candidate: -1 };
}

/** @type {import("./state.js").Panel} */
export default {
  id: "editing",
  title: "Editing",
  fits: (model) => generic.fits(model),
  start(model) {
    if (!hasBrushes(model)) return generic.start(model);
    const [height, width, channels] = model.shape;
    return { ...pictureState(model.shape), brush: "colour", strokes: new Uint8Array(height * width * channels), painted: new Uint8Array(height * width), sketched: new Uint8Array(height * width), candidate: -1 };
  },
  view(model, s) {
    if (!hasBrushes(model)) return generic.view(model, s);
    const shape = model.shape, [height, width] = shape, photo = pictureOf(s.px, shape), edges = model.takes("edit", "edges");
    const none = !s.painted.some((/** @type {number} */ one) => one) && !s.sketched.some((/** @type {number} */ one) => one);
    const made = !none && want("edited", keyOf(s.px, s.strokes, s.painted, s.sketched), async (signal) => {
      const mask = (/** @type {Uint8Array} */ one) => [nest(one, [height, width])];
      const lines = nest(Float32Array.from({ length: s.px.length }, (_, i) => s.sketched[Math.floor(i / shape[2])]), shape);
      const given = { image: [nest(photo.data, shape)], strokes: [nest(pictureOf(s.strokes, shape).data, shape)], mask: mask(s.painted), ...(edges ? { edges: [lines], edge_mask: mask(s.sketched) } : {}) };
      const found = await model.predict("edit", rowsFor(model, "edit", 1, given, s), signal);
      return { best: Picture.all(found.transferred ?? found.image)[0], all: Picture.all(found.candidates ?? found.image) };
    });
    const chosen = made && s.candidate < made.all.length ? s.candidate : -1, edited = made && (chosen < 0 ? made.best : made.all[chosen]);
    shown = edited ? [photo, edited, edited.difference(photo)] : [photo];
    const clean = { strokes: new Uint8Array(s.strokes.length), painted: new Uint8Array(height * width), sketched: new Uint8Array(height * width), candidate: -1 };
    return html`<div class="columns two even"><section><h2>Paint on the photo</h2>
        ${editor(model, s, {
          title: "the photo with your strokes", picture: pictureOf(composite(s, shape), shape), pen: s.brush === "sketch" ? [1] : undefined,
          stroke: (/** @type {Uint8Array} */ touched, /** @type {Uint8Array} */ bytes) => set(stroke(s, shape, touched, bytes)), clear: () => commit(clean),
          brushes: choice("brush", [["colour", "Colour"], ...(edges ? [["sketch", "Sketch"]] : []), ["erase", "Erase strokes"]], s.brush, (brush) => ({ brush })),
        })}
        <p class="hint">Colour: the image shall have this colour here.${edges ? " Sketch: it shall have an edge here." : ""} Each stroke is optimised anew, which takes seconds.</p></section>
      <section><h2>${chosen < 0 ? "The edited photo" : `Candidate ${chosen + 1}`}</h2><div class="one">${image(edited || (none ? photo : undefined), shape, "the edited photo", "big main-image")}</div>
        ${made ? html`<div class="pair"><figure>${image(photo, shape, "the photo", "big")}<figcaption>the photo</figcaption></figure>
            <figure>${image(edited.difference(photo), shape, "the absolute difference", "big")}<figcaption>difference</figcaption></figure></div>
          <h3>Images of the model that fit the strokes, the best first</h3>
          ${grid(made.all, shape, 8, { title: "candidates", label: (i) => `candidate ${i + 1}`, chosen, choose: (i) => commit({ candidate: i === chosen ? -1 : i }) })}`
          : none ? html`<p class="hint">Nothing is painted yet.</p>` : nothing}
        <div class="tools spaced">${button("Remove all strokes", () => commit(clean), { off: none })}${made ? button("Go on from this image", () => commit({ ...clean, px: edited.bytes })) : nothing}</div></section></div>`;
  },
  pictures: () => (shown.length ? { pictures: shown, columns: shown.length } : null),
};
