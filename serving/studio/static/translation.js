// @ts-check
/** Panels of a few signatures, made of the parts of the panel of any signature: the answer beside the inputs, while one draws. */
import { html, nothing } from "./lit.js";
import { choice } from "./parts.js";
import { Picture } from "./pictures.js";
import { controls, given, inputState, results, usable } from "./signatures.js";
import { keyOf, want } from "./state.js";

/** @type {Picture[]} */
let shown = [];

/**
 * @param {string} id @param {string} title @param {string[]} names of the signatures @param {string} ask the heading of the inputs
 * @param {string} answer that of the outputs @returns {import("./state.js").Panel}
 */
export function panel(id, title, names, ask, answer) {
  const ways = (/** @type {import("./api.js").Model} */ model) => names.filter((name) => usable(model).includes(name));
  return {
    id,
    title,
    fits: (model) => ways(model).length > 0,
    start(model) {
      return { ...Object.assign({}, ...ways(model).map((name) => inputState(model, name))), way: ways(model)[0] };
    },
    view(model, s) {
      const all = ways(model), name = all.includes(s.way) ? s.way : all[0], start = inputState(model, name);
      const key = keyOf(name, ...Object.keys(start).map((one) => s[one]));
      const made = want("made", key, async (signal) => ({ name, outputs: await model.predict(name, given(model, name, s, [s.seed]), signal) }));
      const outputs = made?.name === name ? made.outputs : undefined;
      shown = outputs?.image ? Picture.all(outputs.image) : [];
      return html`${all.length > 1 ? choice("way", all.map((one) => [one, one.replaceAll("_", " ")]), name, (way) => ({ way })) : nothing}
        <div class="columns two even"><section><h2>${ask}</h2>${controls(model, name, s)}</section>
        <section><h2>${answer}</h2>${results(model, name, outputs, 1)}</section></div>`;
    },
    pictures: () => (shown.length ? { pictures: shown, columns: 1 } : null),
  };
}

export const translation = panel("translation", "Translation", ["translate", "translate_back", "render", "rerender"], "Draw", "The model's answer");
export const text = panel("text", "Text", ["sample_text"], "Write", "An image of it");
export const activation = panel("activation", "Activation", ["maximize"], "Unit", "An image that excites it");
