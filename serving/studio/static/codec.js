// @ts-check
/** The panel of learned compression: the image, ours, JPEG and WebP at equal bytes. */
import { html, nothing } from "./lit.js";
import { nest } from "./numbers.js";
import { choice, editor, image, pictureOf, pictureState, rowsFor, slider } from "./parts.js";
import { bytesOfFile, Picture, sheet } from "./pictures.js";
import { keyOf, want } from "./state.js";

/** @type {Picture[]} */
let shown = [];

/** @param {Picture} a @param {Picture} b */
function psnr(a, b) {
  const error = a.data.reduce((sum, value, i) => sum + (value - b.data[i]) ** 2, 0) / a.data.length;
  return -10 * Math.log10(Math.max(error, 1e-10));
}

/** The best file of this browser of at most so many bytes, or its smallest. @param {Picture} picture @param {string} type @param {number} most */
async function encoded(picture, type, most) {
  const canvas = sheet([picture], 1, 1, 0);
  const at = (/** @type {number} */ quality) => new Promise((/** @type {(blob: Blob|null) => void} */ done) => canvas.toBlob(done, type, quality));
  let low = 0, high = 1, best = await at(0);
  if (best?.type !== type) return null; // this browser cannot write such files
  for (let step = 0; step < 8; step++) {
    const middle = (low + high) / 2, made = await at(middle);
    if (made && made.size <= most) [low, best] = [middle, made];
    else high = middle;
  }
  return { bytes: best.size, picture: Picture.ofBytes(await bytesOfFile(best, picture.shape), picture.shape) };
}

/** @type {import("./state.js").Panel} */
export default {
  id: "codec",
  title: "Compression",
  fits: (model) => model.has("bits", "reconstruct"),
  start: (model) => ({ ...pictureState(model.shape), beside: "ours", split: 50, errors: false }),
  view(model, s) {
    const picture = pictureOf(s.px, model.shape), nested = () => [nest(picture.data, model.shape)];
    const made = want("codec", keyOf(s.px), async (signal) => {
      const { bits } = await model.predict("bits", rowsFor(model, "bits", 1, { image: nested() }, s), signal);
      const again = await model.predict("reconstruct", rowsFor(model, "reconstruct", 1, { image: nested() }, s), signal);
      const bytes = Math.ceil(bits.data[0] / 8);
      return { of: picture, ours: { bytes, picture: Picture.all(again.image)[0] }, jpeg: await encoded(picture, "image/jpeg", bytes), webp: await encoded(picture, "image/webp", bytes) };
    });
    const names = /** @type {Record<string, string>} */ ({ ours: "Ours", jpeg: "JPEG", webp: "WebP" });
    const found = made?.[s.beside], pixels = model.shape[0] * model.shape[1];
    const other = found && (s.errors ? new Picture(found.picture.difference(made.of).data.map((/** @type {number} */ x) => Math.min(1, 4 * x)), model.shape) : found.picture);
    shown = found ? [made.of, found.picture] : [];
    return html`<div class="columns two"><section><h2>Image</h2>${editor(model, s)}</section>
      <section><h2>The image, and what is left of it</h2>
        ${choice("beside the image", Object.entries(names), s.beside, (beside) => ({ beside }))}
        ${choice("what is shown", [["false", "Image"], ["true", "Errors, fourfold"]], String(s.errors), (one) => ({ errors: one === "true" }))}
        <div class="one split">${image(made?.of ?? picture, model.shape, "the image", "big")}
          <div class="over" .style=${`clip-path: inset(0 0 0 ${s.split}%)`}>${image(other, model.shape, `${names[s.beside]}, right of ${s.split} percent`, "big main-image")}</div></div>
        ${slider("split", s.split, 0, 100, 1, (split) => ({ split }), { text: `${s.split} %` })}
        <table class="bars"><thead><tr><th scope="col"></th><td>bytes</td><td>bits / pixel</td><td>PSNR</td></tr></thead><tbody>${made ? Object.keys(names).map((key) => html`<tr class=${key === s.beside ? "best" : ""}><th scope="row">${names[key]}</th>
          ${made[key] ? html`<td>${made[key].bytes}</td><td>${((8 * made[key].bytes) / pixels).toFixed(3)}</td><td>${psnr(made[key].picture, made.of).toFixed(2)} dB</td>` : html`<td colspan="3">not written by this browser</td>`}</tr>`) : nothing}</tbody></table>
        <p class="hint">Ours: the bits that the model's entropy coder needs. JPEG and WebP: this browser's best file of at most as many bytes, or else its smallest, headers included.</p></section></div>`;
  },
  pictures: () => (shown.length ? { pictures: shown, columns: 2 } : null),
};
