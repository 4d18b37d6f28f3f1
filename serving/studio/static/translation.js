// @ts-check
/** The panel of translations: the answer beside the drawing, while one draws. */
import { html, nothing } from "./lit.js";
import { choice } from "./parts.js";
import { Picture } from "./pictures.js";
import { controls, given, inputState, results, usable } from "./signatures.js";
import { keyOf, want } from "./state.js";

/** @param {import("./api.js").Model} model */
const ways = (model) => ["translate", "translate_back", "edit", "render", "rerender"].filter((name) => usable(model).includes(name));

/** @type {Picture[]} */
let shown = [];

/** @type {import("./state.js").Panel} */
export default {
  id: "translation",
  title: "Translation",
  fits: (model) => ways(model).length > 0,
  start(model) {
    return { ...Object.assign({}, ...ways(model).map((name) => inputState(model, name))), way: ways(model)[0] };
  },
  view(model, s) {
    const all = ways(model), name = all.includes(s.way) ? s.way : all[0], start = inputState(model, name);
    const made = want("made", keyOf(name, ...Object.keys(start).map((key) => s[key])), async (signal) => ({ name, outputs: await model.predict(name, given(model, name, s, [s.seed]), signal) }));
    const outputs = made?.name === name ? made.outputs : undefined;
    shown = outputs?.image ? Picture.all(outputs.image) : [];
    return html`${all.length > 1 ? choice("way", all.map((one) => [one, one.replaceAll("_", " ")]), name, (way) => ({ way })) : nothing}
      <div class="columns two even"><section><h2>Draw</h2>${controls(model, name, s)}</section>
      <section><h2>The model's answer</h2>${results(model, name, outputs, 1)}</section></div>`;
  },
  pictures: () => (shown.length ? { pictures: shown, columns: 1 } : null),
};
