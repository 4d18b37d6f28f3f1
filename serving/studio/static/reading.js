// @ts-check
/** The panel of a given image: what the model makes of it, and what it says of it. */
import { ServerError } from "./api.js";
import { html, nothing } from "./lit.js";
import { nest } from "./numbers.js";
import { bars, button, editor, image, pictureOf, pictureState, rowsFor } from "./parts.js";
import { Picture } from "./pictures.js";
import { app, keyOf, want } from "./state.js";

/** @typedef {import("./api.js").Model} Model */

const MADE = ["reconstruct", "project"]; // signatures that give the image again
const KNOWN = [...MADE, "encode", "translate", "translate_back"];

/** Signatures whose only input, beside conditions, is an image, and that return numbers. @param {Model} model */
function judges(model) {
  return Object.entries(model.signatures).filter(([name, one]) => !KNOWN.includes(name) && name !== "serving_default" && Object.keys(one.inputs).every((input) => ["image", "labels"].includes(input)) && "image" in one.inputs
    && Object.values(one.outputs).every((output) => output.dtype.startsWith("float") && (output.shape?.length ?? 9) <= 2)).map(([name]) => name);
}

/** @param {Model} model */
const again = (model) => MADE.find((name) => model.has(name) && model.takes(name, "image"));

/** @type {Picture[]} */
let shown = [];

/** @type {import("./state.js").Panel} */
export default {
  id: "image",
  title: "Your image",
  fits: (model) => !!again(model) || judges(model).length > 0,
  start: (model) => ({ ...pictureState(model.shape), label: 0 }),
  view(model, s) {
    const name = again(model), picture = pictureOf(s.px, model.shape), nested = () => [nest(picture.data, model.shape)];
    const made = name && want("again", keyOf(s.px, s.label), async (signal) => {
      const found = await model.predict(name, rowsFor(model, name, 1, { image: nested() }, s), signal);
      return { image: Picture.all(found.image)[0], latent: found.latent?.data, of: picture };
    });
    const code = model.has("encode") && want("encode", keyOf(s.px, s.label), async (signal) => (await model.predict("encode", rowsFor(model, "encode", 1, { image: nested() }, s), signal)));
    const latent = code?.latent?.data ?? made?.latent;
    const said = want("said", keyOf(s.px, s.label), async (signal) => {
      const found = [];
      for (const one of judges(model)) {
        try {
          found.push([one, await model.predict(one, rowsFor(model, one, 1, { image: nested() }, s), signal), ""]);
        } catch (error) {
          if (!(error instanceof ServerError)) throw error;
          found.push([one, {}, error.message]); // such as a likelihood of images that are black and white only
        }
      }
      return found;
    });
    shown = made ? [picture, made.image, made.image.difference(made.of)] : [picture];
    /** @type {Picture|undefined} */
    const off = made && made.of.data.length === made.image.data.length ? made.image.difference(made.of) : undefined;
    const error = off && Math.sqrt(off.data.reduce((sum, value) => sum + value * value, 0) / off.data.length);
    return html`<div class="columns two">
      <section><h2>Image</h2>${editor(model, s)}</section>
      <section>${name ? html`<h2>${name === "project" ? "Projected on the model's images" : "Reconstruction"}</h2>
        <div class="trio"><figure>${image(made?.of ?? picture, model.shape, "the given image", "big")}<figcaption>given</figcaption></figure>
          <figure>${image(made?.image, model.shape, "the image that the model makes of it", "big main-image")}<figcaption>${name === "project" ? "projected" : "reconstructed"}</figcaption></figure>
          <figure>${image(off, model.shape, "the absolute difference", "big")}<figcaption>difference${error === undefined ? "" : `, RMS ${error.toFixed(3)}, PSNR ${(-20 * Math.log10(Math.max(error, 1e-6))).toFixed(1)} dB`}</figcaption></figure></div>
        ${latent && model.smooth && latent.length === model.latentSize
          ? html`<div class="tools">${button("Open its latent in Latents", () => app.go("latents", { z: latent.slice() }), { main: true })}</div>` : nothing}` : nothing}
        ${said?.length ? html`<h2>What the model says</h2>${said.map((/** @type {any[]} */ [one, outputs, error]) => error ? html`<dl class="facts"><dt>${one}</dt><dd>${error}</dd></dl>` : Object.entries(/** @type {Record<string, import("./api.js").Values>} */ (outputs)).map(([output, values]) =>
          values.data.length === 1 ? html`<dl class="facts"><dt>${one}${output === one ? "" : ` ${output}`}</dt><dd>${values.data[0].toFixed(3)}${unit(one)}${one === "bits" ? ` (${(values.data[0] / (model.shape[0] * model.shape[1])).toFixed(3)} per pixel)` : ""}</dd></dl>`
          : html`<h3>${one}: ${output}</h3>${bars(values.data, model.card?.classes?.names ?? [], `${one} ${output}`)}`))}` : nothing}</section></div>`;
  },
  pictures: () => (shown.length ? { pictures: shown, columns: 3 } : null),
};

/** @param {string} name */
const unit = (name) => ({ log_prob: " nats", elbo: " nats", bits: " bits" })[name] ?? "";
