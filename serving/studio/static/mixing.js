// @ts-check
/** The panel of truncation and of the mixing of styles. */
import { html, nothing } from "./lit.js";
import { nest } from "./numbers.js";
import { choice, grid, rowsFor, seeds, slider, whole } from "./parts.js";
import { Picture } from "./pictures.js";
import { keyOf, want } from "./state.js";

/** @typedef {import("./api.js").Model} Model */

/** @type {import("./pictures.js").Picture[]} */
let shown = [];
let wide = 1;

/** @param {Model} model */
const canTruncate = (model) => model.has("sample_truncated");
/** @param {Model} model */
const canMix = (model) => model.has("map", "mix", "latents");

/** @param {Model} model @param {any} s */
function truncation(model, s, tabs = /** @type {any} */ (nothing)) {
  // StyleGAN's psi has any sign; a model without a map from latents to styles cuts its latents off, at a threshold.
  const isPsi = model.has("map"), all = seeds(s.from, 6);
  const values = Array.from({ length: 9 }, (_, i) => (isPsi ? -s.most + (2 * s.most * i) / 8 : (s.most * 2 * (i + 1)) / 9));
  const rows = all.flatMap((seed) => values.map((value) => [seed, value]));
  const made = want("strip", keyOf(s.from, s.most, s.label), async (signal) => {
    const given = { seeds: rows.map(([seed]) => seed), truncation: rows.map(([, value]) => value) };
    return Picture.all((await model.predict("sample_truncated", rowsFor(model, "sample_truncated", rows.length, given, s), signal)).image);
  });
  shown = made ?? [];
  wide = values.length;
  return html`<div class="columns side"><section class="controls">${tabs}<h2>Truncation</h2>
    <p class="hint">${isPsi ? "psi leads from the anti-image, at -1, over the average image, at 0, to the image of the seed, at 1." : "The latents are cut off at a threshold: low ones give typical images, high ones all kinds."}</p>
    <div class="tools">${whole("first seed", s.from, -1e9, 1e9, (from) => ({ from }))}</div>
    ${slider("up to", s.most, 0.2, 2, 0.1, (most) => ({ most }), { text: (isPsi ? s.most : 2 * s.most).toFixed(1) })}</section>
    <section><h2>${isPsi ? "psi" : "Threshold"} by seeds</h2>${grid(made ?? rows.map(() => undefined), model.shape, values.length, { title: "truncation", columnNames: values.map((one) => one.toFixed(2)), rowNames: all.map(String),
      label: (i) => `seed ${rows[i][0]}, ${rows[i][1].toFixed(2)}` })}</section></div>`;
}

/** @param {Model} model @param {any} s */
function mixing(model, s, tabs = /** @type {any} */ (nothing)) {
  const shape = /** @type {number[]} */ (model.signatures.map.outputs.w.shape?.slice(1)), layers = shape[0];
  const rows = seeds(s.rows, 5), columns = seeds(s.columns, 6), all = [...rows, ...columns];
  const from = Math.min(s.cross, layers), takes = Array.from({ length: layers }, (_, i) => ((s.fine ? i >= from : i < from) ? 1 : 0));
  const w = want("w", keyOf(all, s.label), async (signal) => {
    const { latent } = await model.predict("latents", rowsFor(model, "latents", all.length, { seeds: all }, s), signal);
    const given = { latent: nest(latent.data, latent.shape), truncation: all.map(() => 1) };
    const made = await model.predict("map", rowsFor(model, "map", all.length, given, s), signal);
    return { all: String(all), rows: nest(made.w.data, made.w.shape) };
  });
  const ready = w?.all === String(all) ? w.rows : undefined;
  const pairs = rows.flatMap((_, r) => columns.map((_, c) => [r, c]));
  const made = ready && want("mixed", keyOf(all, takes, s.label), async (signal) => {
    // The first row and the first column are the images that are mixed: each of them with itself.
    const both = [...columns.map((_, c) => [rows.length + c, rows.length + c]), ...rows.map((_, r) => [r, r]), ...pairs.map(([r, c]) => [r, rows.length + c])];
    const given = { w_a: both.map(([a]) => ready[a]), w_b: both.map(([, b]) => ready[b]), layers: both.map(() => takes) };
    return Picture.all((await model.predict("mix", rowsFor(model, "mix", both.length, given, s), signal)).image);
  });
  const blank = new Picture(new Float32Array(model.shape[0] * model.shape[1] * model.shape[2]), model.shape);
  const cells = made
    ? [blank, ...made.slice(0, columns.length), ...rows.flatMap((_, r) => [made[columns.length + r], ...made.slice(columns.length + rows.length + r * columns.length, columns.length + rows.length + (r + 1) * columns.length)])]
    : Array((rows.length + 1) * (columns.length + 1)).fill(undefined);
  shown = made ? cells : [];
  wide = columns.length + 1;
  return html`<div class="columns side"><section class="controls">${tabs}<h2>Mixing</h2>
    <div class="tools">${whole("rows from seed", s.rows, -1e9, 1e9, (one) => ({ rows: one }))}</div>
    <div class="tools">${whole("columns from seed", s.columns, -1e9, 1e9, (one) => ({ columns: one }))}</div>
    ${slider("crossover", from, 0, layers, 1, (cross) => ({ cross }), { text: `${from} of ${layers}` })}
    <p class="hint">The styles of the layers on one side of the crossover are those of the column, the others those of the row.</p>
    ${choice("layers of the columns", [["true", "Fine layers from columns"], ["false", "Coarse layers from columns"]], String(s.fine), (one) => ({ fine: one === "true" }))}</section>
    <section><h2>Rows by columns</h2>${grid([undefined, ...cells.slice(1)], model.shape, columns.length + 1, { title: "mixed styles", columnNames: ["", ...columns.map(String)], rowNames: ["", ...rows.map(String)],
      label: (i) => { const r = Math.floor(i / (columns.length + 1)), c = i % (columns.length + 1); return r && c ? `seed ${rows[r - 1]} with styles of ${columns[c - 1]}` : r ? `seed ${rows[r - 1]}` : c ? `seed ${columns[c - 1]}` : "corner"; } })}</section></div>`;
}

/** @type {import("./state.js").Panel} */
export default {
  id: "mixing",
  title: "Truncation & mixing",
  fits: (model) => canTruncate(model) || canMix(model),
  start: (model) => ({ use: canMix(model) ? "mix" : "truncation", from: 0, most: 1, rows: 0, columns: 100, cross: 2, fine: true, label: 0 }),
  view(model, s) {
    const both = canTruncate(model) && canMix(model);
    const use = both ? s.use : canMix(model) ? "mix" : "truncation";
    const tabs = both ? choice("what is shown", [["mix", "Mixing"], ["truncation", "Truncation"]], use, (one) => ({ use: one })) : nothing;
    return use === "mix" ? mixing(model, s, tabs) : truncation(model, s, tabs);
  },
  pictures: () => (shown.length ? { pictures: shown, columns: wide } : null),
  keys: {},
};
