// @ts-check
/**
 * The panel of any signature: inputs and outputs by their shapes, so that a model of a later paper can be tried without a
 * change of this page. The panel of translations is made of the same parts.
 */
import { html, live, nothing } from "./lit.js";
import { inksOf, mapInputs, palette, scene } from "./maps.js";
import { nest, normals } from "./numbers.js";
import { bars, button, classes, disc, editor, grid, image, pictureOf, rowsFor, slider, whole } from "./parts.js";
import { Picture } from "./pictures.js";
import { app, commit, keyOf, want } from "./state.js";

/** @typedef {import("./api.js").Model} Model */
/** @typedef {import("./api.js").Tensor} Tensor */

/** What an input is, by its name and shape. @param {string} name @param {Tensor} tensor */
export function kindOf(name, tensor) {
  const inner = tensor.shape?.slice(1);
  if (name === "text" && tensor.dtype === "string" && inner?.length === 0) return "text";
  if (!inner || tensor.dtype === "string") return "unknown";
  if (name === "seeds") return "seed";
  if (name === "labels") return "class";
  if (name === "label_map" && inner.length === 3 && inner[2]) return "map"; // of classes
  if (inner.length === 0) return "number";
  if (inner.length === 1) return "vector";
  if (inner.length === 2 && tensor.dtype.startsWith("float")) return "picture"; // of one channel, such as a mask
  if (inner.length === 3 && [1, 3, null].includes(inner[2] ?? null) && tensor.dtype.startsWith("float")) return "picture";
  return "unknown";
}

/** The shape of the picture that an input takes. @param {Model} model @param {Tensor} tensor */
function shapeOf(model, tensor) {
  const inner = /** @type {(number|null)[]} */ (tensor.shape?.slice(1));
  const found = inner.length === 2 ? [...inner, 1] : inner;
  return found.map((n, i) => n ?? model.shape[i] ?? 1);
}

/** Signatures that the page can fill in. @param {Model} model */
export const usable = (model) => Object.keys(model.signatures).filter((name) => name !== "card" && name !== "serve_examples"
  && Object.entries(model.signatures[name].inputs).every(([input, tensor]) => kindOf(input, tensor) !== "unknown"));

/** The shape of the painting of a map of classes. @param {Tensor} tensor */
const mapShape = (tensor) => [tensor.shape?.[1] ?? 128, tensor.shape?.[2] ?? 128, 3];

/** Whether an input is computed from the map of classes beside it. @param {Model} model @param {string} name @param {string} input */
const ofMap = (model, name, input) => input === "edges" && model.takes(name, "label_map");

/** The state of the inputs of a signature. @param {Model} model @param {string} name @returns {Record<string, any>} */
export function inputState(model, name) {
  /** @type {Record<string, any>} */
  const s = { seed: 0, label: 0, pen: Math.max(1, Math.round(model.shape[0] / 16)), ink: "#ffffff" };
  for (const [input, tensor] of Object.entries(model.signatures[name]?.inputs ?? {})) {
    const kind = kindOf(input, tensor);
    if (kind === "number") s[`in_${input}`] = Math.min(tensor.high ?? Infinity, { steps: 50, truncation: 1, alpha: 1 }[input] ?? tensor.low ?? 0);
    if (kind === "vector") s[`in_${input}`] = new Float32Array(0);
    if (kind === "map") {
      const shape = mapShape(tensor), colours = palette(/** @type {number} */ (tensor.shape?.[3]));
      Object.assign(s, { [`in_${input}`]: scene(shape, colours), mapInk: colours[1] ?? colours[0] });
    }
    if (kind === "text") s[`in_${input}`] = "a";
    if (kind === "picture") {
      const shape = shapeOf(model, tensor), size = shape[0] * shape[1] * shape[2];
      const first = input === "image" || input === "style" ? app.examples.find((one) => one.length === size) : undefined;
      s[`in_${input}`] = first ?? (input === "mask" ? new Uint8Array(size).fill(255) : disc(shape));
    }
  }
  return s;
}

/** @param {Model} model @param {string} input @param {Tensor} tensor @param {any} s @returns {Float32Array} */
function vectorOf(model, input, tensor, s) {
  const size = tensor.shape?.[1] ?? 1, own = s[`in_${input}`];
  if (own?.length === size) return own;
  if (input === "style_weights") return Float32Array.from({ length: size }, (_, i) => Number(i === s.seed % size)); // one style
  return normals(s.seed, size).map((value) => Math.min(tensor.high ?? Infinity, Math.max(tensor.low ?? -Infinity, value)));
}

/** Controls for the inputs of a signature. @param {Model} model @param {string} name @param {any} s */
export function controls(model, name, s) {
  const rank = (/** @type {[string, Tensor]} */ [input, tensor]) => ["text", "map", "picture", "class", "number", "vector"].indexOf(kindOf(input, tensor));
  const inputs = Object.entries(model.signatures[name].inputs).sort((a, b) => rank(a) - rank(b)), takesVector = inputs.some(([input, tensor]) => kindOf(input, tensor) === "vector");
  return html`${inputs.map(([input, tensor]) => {
    const key = `in_${input}`, kind = kindOf(input, tensor);
    if (ofMap(model, name, input)) return nothing;
    if (kind === "map") return html`<h3>${input}</h3>${editor(model, s, { key, shape: mapShape(tensor), inks: inksOf(/** @type {number} */ (tensor.shape?.[3])), title: `the input ${input}` })}`;
    if (kind === "class") return classes(model, s.label, (label) => ({ label }));
    if (kind === "picture") return html`<h3>${input}</h3>${editor(model, s, { key, shape: shapeOf(model, tensor), title: `the input ${input}` })}`;
    if (kind === "text") return html`<label class="text"><span class="name">${input}</span><input type="text" .value=${live(s[key])}
      @change=${(/** @type {Event} */ e) => commit({ [key]: /** @type {HTMLInputElement} */ (e.target).value })}></label>`;
    if (kind === "number" && tensor.low != null && tensor.high != null && tensor.high - tensor.low <= 2000)
      return slider(input, s[key], tensor.low, tensor.high, tensor.dtype.startsWith("int") ? 1 : (tensor.high - tensor.low) / 100, (value) => ({ [key]: value }));
    if (kind === "number" && tensor.dtype.startsWith("int")) return html`<div class="tools">${whole(input, s[key], tensor.low ?? -1e9, tensor.high ?? 1e9, (value) => ({ [key]: value }))}</div>`;
    if (kind === "number") return slider(input, s[key], tensor.low ?? -2, tensor.high ?? 2, 0.01, (value) => ({ [key]: value }));
    if (kind === "vector") {
      const values = vectorOf(model, input, tensor, s), weights = input === "style_weights";
      const low = tensor.low ?? (weights ? 0 : -3), high = tensor.high ?? (weights ? 1 : 3);
      const change = (/** @type {number} */ i) => (/** @type {number} */ to) => ({ [key]: values.map((old, k) => (k === i ? to : old)) });
      return html`<h3>${input}, ${values.length} numbers</h3>${values.length <= 24
        ? Array.from(values, (value, i) => slider(tensor.names?.[i] ?? (weights ? `style ${i}` : `${input} ${i}`), value, low, high, (high - low) / 200, change(i)))
        : html`<p class="hint">Numbers of a normal distribution, from the seed.</p>`}
        ${s[key].length ? html`<div class="tools">${button("From the seed", () => commit({ [key]: new Float32Array(0) }))}</div>` : nothing}`;
    }
    return nothing;
  })}
  ${inputs.some(([input]) => input === "seeds") || takesVector ? html`<div class="tools">${whole("seed", s.seed, -1e9, 1e9, (seed) => ({ seed }))}${button("Next seed", () => commit({ seed: s.seed + 1 }), { main: true })}</div>` : nothing}`;
}

/** The rows of a request from the state. @param {Model} model @param {string} name @param {any} s @param {number[]} seeds */
export function given(model, name, s, seeds) {
  /** @type {Record<string, any>} */
  const found = {};
  for (const [input, tensor] of Object.entries(model.signatures[name].inputs)) {
    const kind = kindOf(input, tensor), key = `in_${input}`;
    const one = kind === "picture" ? nest(pictureOf(s[key], shapeOf(model, tensor)).data, /** @type {number[]} */ (tensor.shape?.length === 3 ? shapeOf(model, tensor).slice(0, 2) : shapeOf(model, tensor)))
      : kind === "number" || kind === "text" ? s[key] : kind === "vector" ? Array.from(vectorOf(model, input, tensor, s)) : undefined;
    if (ofMap(model, name, input)) continue;
    if (kind === "map") {
      const made = /** @type {Record<string, any>} */ (mapInputs(s[key], mapShape(tensor), /** @type {number} */ (tensor.shape?.[3])));
      for (const part of Object.keys(made)) if (model.takes(name, part)) found[part] = seeds.map(() => made[part]);
    }
    if (kind === "seed") found.seeds = seeds;
    else if (one !== undefined) found[input] = seeds.map(() => one);
  }
  return rowsFor(model, name, seeds.length, found, s);
}

/** The outputs of a signature, by their shapes. @param {Model} model @param {string} name @param {Record<string, import("./api.js").Values>|undefined} outputs @param {number} rows */
export function results(model, name, outputs, rows) {
  return Object.entries(model.signatures[name].outputs).map(([output, tensor]) => {
    const values = outputs?.[output], rank = values?.shape.length ?? tensor.shape?.length ?? 0;
    const dims = values?.shape.slice(1) ?? tensor.shape?.slice(1) ?? [];
    if (rank >= 4 && [1, 3].includes(dims[dims.length - 1] ?? 0)) {
      const pictures = values ? Picture.all(values) : Array(rows).fill(undefined);
      const shape = dims.slice(-3).map((n, i) => n ?? model.shape[i]);
      if (rank === 4 && rows === 1) return html`<h3>${output}</h3><div class="one">${image(pictures[0], shape, `the output ${output}`, "big main-image")}</div>`;
      return html`<h3>${output}</h3>${grid(pictures, shape, rank === 5 ? (dims[0] ?? 8) : Math.min(rows, 4), { title: output, label: (i) => `${output} ${i}` })}`;
    }
    if (!values) return html`<h3>${output}</h3><p class="hint">…</p>`;
    if (tensor.dtype === "string" && output === "image_bytes")
      return html`<h3>${output}</h3><div class="one">${/** @type {any} */ (values.data).map((/** @type {any} */ one) => html`<img class="png" alt="the output ${output}" src=${`data:image/png;base64,${one.b64}`}>`)}</div>`;
    const [high = 1, wide = 1] = dims.map((n) => n ?? 1);
    if (rank === 3) return html`<h3>${output}</h3>${grid([new Picture(values.data.subarray(0, high * wide), [high, wide, 1])], [high, wide, 1], 1, { title: output, label: () => output })}`;
    const one = values.data.subarray(0, values.data.length / rows);
    if (one.length === 1) return html`<dl class="facts"><dt>${output}</dt><dd>${Array.from(values.data, (value) => value.toFixed(3)).join(", ")}</dd></dl>`;
    if (one.length <= 64) return html`<h3>${output}</h3>${bars(one, one.length === model.card?.classes?.count ? (model.card?.classes?.names ?? []) : [], output)}`;
    return html`<h3>${output}</h3><p class="hint">${one.length} numbers from ${Math.min(...one).toFixed(3)} to ${Math.max(...one).toFixed(3)}</p>`;
  });
}

/** @param {Record<string, Tensor>} tensors */
const listed = (tensors) => Object.entries(tensors).map(([key, tensor]) =>
  html`<dt>${key}</dt><dd><code>${tensor.dtype} [${(tensor.shape ?? []).map((n) => n ?? "n").join(", ")}]</code></dd>`);

/** What a model takes and gives, where no panel can ask for it. @param {Model} model */
export const described = (model) => html`<section><h2>No panel can write the inputs of this model</h2>
  <p class="hint">Such as clips of frames. Its signatures can be called with tfgen's client, or over REST.</p>
  ${Object.entries(model.signatures).map(([name, one]) => html`<h3>${name}</h3><dl class="facts">${listed(one.inputs)}</dl>`)}</section>`;

/** @type {Picture[]} */
let shown = [];

/** @type {import("./state.js").Panel} */
export default {
  id: "signatures",
  title: "Any signature",
  fits: (model) => usable(model).length > 0,
  start(model) {
    const all = usable(model), states = all.map((name) => inputState(model, name));
    return { ...Object.assign({}, ...states.reverse()), name: ["maximize", "sample"].find((one) => all.includes(one)) ?? all[0], many: 1 };
  },
  view(model, s) {
    const all = usable(model), name = all.includes(s.name) ? s.name : all[0];
    const rows = "seeds" in model.signatures[name].inputs ? s.many : 1;
    const seeds = Array.from({ length: rows }, (_, i) => s.seed + i), start = inputState(model, name);
    const made = want("made", keyOf(name, rows, ...Object.keys(start).map((key) => s[key])), async (signal) => ({ name, outputs: await model.predict(name, given(model, name, s, seeds), signal) }));
    const outputs = made?.name === name ? made.outputs : undefined;
    shown = outputs?.image?.shape.length >= 4 ? Picture.all(outputs.image) : [];
    return html`<div class="columns two"><section><h2>Ask for</h2>
        <div class="tools"><select aria-label="Signature" @change=${(/** @type {Event} */ e) => commit({ name: /** @type {HTMLSelectElement} */ (e.target).value })}>${all.map((one) => html`<option ?selected=${one === name}>${one}</option>`)}</select></div>
        ${controls(model, name, s)}
        ${"seeds" in model.signatures[name].inputs ? slider("rows", s.many, 1, 16, 1, (many) => ({ many })) : nothing}</section>
      <section><h2>${name}</h2>${results(model, name, outputs, rows)}
        <h3>Inputs</h3><dl class="facts">${listed(model.signatures[name].inputs)}</dl>
        <h3>Outputs</h3><dl class="facts">${listed(model.signatures[name].outputs)}</dl></section></div>`;
  },
  pictures: () => (shown.length ? { pictures: shown, columns: Math.ceil(Math.sqrt(shown.length)) } : null),
};
