// @ts-check
/** The panel of classes and codes: what images can be asked for beside a seed. */
import { html, nothing } from "./lit.js";
import { button, choice, grid, image, rowsFor, seeds, slider, whole } from "./parts.js";
import { Picture } from "./pictures.js";
import { commit, keyOf, refresh, want } from "./state.js";


/** @typedef {import("./api.js").Model} Model */

/** The uses of a model that this panel has: [value, text]. @param {Model} model */
function uses(model) {
  return [
    ["codes", "Codes", model.has("sample_codes")], ["labels", "Classes", model.takes("sample", "labels")],
    ["blend", "Blend of classes", model.has("decode_classes", "latents")], ["clusters", "Clusters", model.has("sample_clusters")],
    ["level", "Levels", model.has("sample_level")],
  ].filter((one) => one[2]).map(([value, text]) => [String(value), String(text)]);
}

/** @type {import("./pictures.js").Picture[]} */
let shown = [];
let wide = 1;

/** Rows of seeds and columns of whole numbers of one input. @param {Model} model @param {any} s @param {string} signature @param {string} input @param {string[]} names */
function table(model, s, signature, input, names) {
  const all = seeds(s.seed, s.rows);
  const rows = all.flatMap((seed) => names.map((_, i) => [seed, i]));
  const made = want("table", keyOf(signature, s.seed, s.rows), async (signal) => {
    const given = { seeds: rows.map(([seed]) => seed), [input]: rows.map(([, i]) => i) };
    return Picture.all((await model.predict(signature, rowsFor(model, signature, rows.length, given, s), signal)).image);
  });
  shown = made ?? [];
  wide = names.length;
  return grid(made ?? rows.map(() => undefined), model.shape, names.length, {
    title: `${input} by seeds`, columnNames: names, rowNames: all.map(String), label: (i) => `seed ${rows[i][0]}, ${names[rows[i][1]]}`,
  });
}

/** Names that the user gives to codes, kept in this browser. @param {Model} model @param {number} k */
const nameOf = (model, k) => localStorage.getItem(`code/${model.name}/${k}`) || (model.card?.codes?.[k]?.name ?? `code ${k}`).replaceAll("_", " ");

/** @param {Model} model @param {any} s */
function codes(model, s, tabs = /** @type {any} */ (nothing)) {
  const size = model.signatures.sample_codes.inputs.codes.shape?.[1] ?? 1;
  const field = (/** @type {number} */ k) => model.card?.codes?.[k] ?? { dtype: "float32", low: -2, high: 2 };
  const isClass = (/** @type {number} */ k) => String(field(k).dtype).startsWith("int");
  const values = (/** @type {number} */ k) => isClass(k) ? Array.from({ length: (field(k).high ?? 9) + 1 }, (_, i) => i)
    : Array.from({ length: 9 }, (_, i) => Number((1.5 * ((field(k).low ?? -1) + ((field(k).high ?? 1) - (field(k).low ?? -1)) * (i / 8))).toFixed(3)));
  const across = Math.min(s.across, size - 1), down = Math.min(s.down, size - 1);
  const own = s.codes.length === size ? s.codes : new Float32Array(size);
  const columns = values(across), rows = across === down ? [own[down]] : values(down);
  const cells = rows.flatMap((y) => columns.map((x) => Array.from(own, (value, k) => (k === across ? x : k === down ? y : value))));
  const made = want("table", keyOf("codes", s.seed, across, down, own), async (signal) =>
    Picture.all((await model.predict("sample_codes", rowsFor(model, "sample_codes", cells.length, { seeds: cells.map(() => s.seed), codes: cells }, s), signal)).image));
  shown = made ?? [];
  wide = columns.length;
  const options = Array.from({ length: size }, (_, k) => [String(k), nameOf(model, k)]);
  const text = (/** @type {number} */ k, /** @type {number} */ value) => (isClass(k) ? (field(k).names?.[value] ?? String(value)) : value.toFixed(1));
  return html`<div class="columns side">
    <section class="controls">${tabs}<h2>Codes</h2>
      ${whole("seed", s.seed, -1e9, 1e9, (seed) => ({ seed }))}
      <h3>Across</h3>${choice("across", options, String(across), (k) => ({ across: Number(k) }))}
      <h3>Down</h3>${choice("down", options, String(down), (k) => ({ down: Number(k) }))}
      <h3>The others</h3>${options.map(([, name], k) => k === across || (k === down && across !== down) ? nothing
        : slider(name, own[k], isClass(k) ? 0 : 1.5 * (field(k).low ?? -1), isClass(k) ? (field(k).high ?? 9) : 1.5 * (field(k).high ?? 1), isClass(k) ? 1 : 0.05,
          (value) => ({ codes: own.map((/** @type {number} */ old, /** @type {number} */ i) => (i === k ? value : old)) })))}
      <h3>Names of your own</h3>${options.map(([, name], k) => html`<label class="number name-of"><span class="name">code ${k}</span><input type="text" .value=${name} maxlength="30"
        @change=${(/** @type {Event} */ e) => { localStorage.setItem(`code/${model.name}/${k}`, /** @type {HTMLInputElement} */ (e.target).value.trim()); refresh(); }}></label>`)}</section>
    <section><h2>${nameOf(model, down)} by ${nameOf(model, across)}</h2>
      ${grid(made ?? cells.map(() => undefined), model.shape, columns.length, { title: "codes", columnNames: columns.map((x) => text(across, x)), rowNames: rows.map((y) => text(down, y)),
        label: (i) => cells[i].map((value, k) => `${nameOf(model, k)} ${text(k, value)}`).join(", "), chosen: -1 })}</section></div>`;
}

/** @param {Model} model @param {any} s */
function blend(model, s, tabs = /** @type {any} */ (nothing)) {
  const size = model.signatures.decode_classes.inputs.classes.shape?.[1] ?? 1;
  const weights = s.weights.length === size ? s.weights : Float32Array.from({ length: size }, (_, i) => (i < 2 ? 0.5 : 0));
  const latent = want("latent", String(s.seed), (signal) => model.predict("latents", rowsFor(model, "latents", 1, { seeds: [s.seed] }, s), signal));
  const made = latent && want("blend", keyOf(s.seed, weights), async (signal) => {
    const given = { latent: [Array.from(latent.latent.data)], classes: [Array.from(weights)] };
    return Picture.all((await model.predict("decode_classes", rowsFor(model, "decode_classes", 1, given, s), signal)).image);
  });
  shown = made ?? [];
  wide = 1;
  return html`<div class="columns two"><section class="stage"><h2>Blend</h2><div class="one">${image(made?.[0], model.shape, "the blend of classes", "big main-image")}</div></section>
    <section class="controls">${tabs}<h2>Weight of each class</h2>${whole("seed", s.seed, -1e9, 1e9, (seed) => ({ seed }))}
      ${Array.from(weights, (value, k) => slider(model.classes[k] ?? String(k), value, 0, 1, 0.01, (to) => ({ weights: weights.map((/** @type {number} */ old, /** @type {number} */ i) => (i === k ? to : old)) })))}
      <div class="tools">${button("Sum to 1", () => { const sum = weights.reduce((/** @type {number} */ a, /** @type {number} */ b) => a + b, 0) || 1; commit({ weights: weights.map((/** @type {number} */ x) => x / sum) }); })}</div></section></div>`;
}

/** @type {import("./state.js").Panel} */
export default {
  id: "classes",
  title: "Classes & codes",
  fits: (model) => uses(model).length > 0,
  start: (model) => ({ use: uses(model)[0][0], seed: 0, rows: 6, label: 0, across: 0, down: 1, codes: new Float32Array(0), weights: new Float32Array(0) }),
  view(model, s) {
    const all = uses(model), use = all.some(([one]) => one === s.use) ? s.use : all[0][0];
    const tabs = all.length > 1 ? choice("what is asked for", all, use, (one) => ({ use: one })) : nothing;
    const numbers = (/** @type {string} */ signature, /** @type {string} */ input) => {
      const found = model.signatures[signature].inputs[input];
      return found.names ?? Array.from({ length: (found.high ?? 9) - (found.low ?? 0) + 1 }, (_, i) => String(i + (found.low ?? 0)));
    };
    if (use === "codes") return codes(model, s, tabs);
    if (use === "blend") return blend(model, s, tabs);
    const [signature, input, names] = use === "labels" ? ["sample", "labels", model.classes]
      : use === "clusters" ? ["sample_clusters", "clusters", numbers("sample_clusters", "clusters")] : ["sample_level", "level", numbers("sample_level", "level")];
    return html`<div class="columns side"><section class="controls">${tabs}<h2>${all.find(([one]) => one === use)?.[1]} of seeds</h2>
      <p class="hint">Each row is a seed, each column one of the ${names.length} values of ${input}.</p>
      <div class="tools">${whole("first seed", s.seed, -1e9, 1e9, (seed) => ({ seed }))}${button("Next", () => commit({ seed: s.seed + s.rows }))}</div></section>
      <section><h2>${input} by seeds</h2>${table(model, s, signature, input, names)}</section></div>`;
  },
  pictures: () => (shown.length ? { pictures: shown, columns: wide } : null),
};
