// @ts-check
/** Parts that panels share. */
import { ServerError } from "./api.js";
import { html, live, nothing } from "./lit.js";
import { nearestColours, rgb } from "./maps.js";
import { normals, short } from "./numbers.js";
import { download, gif, Picture, readFile } from "./pictures.js";
import { app, commit, refresh, set } from "./state.js";

/** @typedef {import("./api.js").Model} Model */

/** @param {string} label @param {number} value @param {number} low @param {number} high @param {number} step
 *  @param {(value: number) => object} patch of the state for a value
 *  @param {{text?: string, id?: string}} [more] */
export function slider(label, value, low, high, step, patch, more = {}) {
  const read = (/** @type {Event} */ event) => patch(Number(/** @type {HTMLInputElement} */ (event.target).value));
  return html`<label class="slider" data-id=${more.id ?? label}>
    <span class="name" title=${label}>${label}</span>
    <input type="range" min=${low} max=${high} step=${step} .value=${live(String(value))} aria-valuetext=${more.text ?? short(value)}
      @input=${(/** @type {Event} */ e) => set(read(e))} @change=${(/** @type {Event} */ e) => commit(read(e))}>
    <output>${more.text ?? short(value)}</output></label>`;
}

/** A whole number. @param {string} label @param {number} value @param {number} low @param {number} high @param {(value: number) => object} patch */
export function whole(label, value, low, high, patch) {
  return html`<label class="number"><span class="name">${label}</span>
    <input type="number" min=${low} max=${high} step="1" .value=${live(String(value))}
      @change=${(/** @type {Event} */ event) => {
        const input = /** @type {HTMLInputElement} */ (event.target), found = Number(input.value);
        if (input.value.trim() === "" || !Number.isInteger(found) || found < low || found > high) {
          app.error = `${label}: got ${input.value || "nothing"}, expected a whole number from ${low} to ${high}.`;
          input.value = String(value);
          refresh();
        } else {
          app.error = "";
          commit(patch(found));
        }
      }}></label>`;
}

/** @param {string} label @param {() => void} act @param {{title?: string, on?: boolean, off?: boolean, main?: boolean}} [more] */
export function button(label, act, more = {}) {
  return html`<button type="button" class=${more.main ? "main" : ""} title=${more.title ?? nothing} ?disabled=${more.off}
    aria-pressed=${more.on === undefined ? nothing : String(more.on)} @click=${act}>${label}</button>`;
}

/** One of several. @param {string} label @param {string[][]} options [value, text] @param {string} value @param {(value: string) => object} patch */
export function choice(label, options, value, patch) {
  return html`<div class="choice" role="group" aria-label=${label}>${options.map(
    ([one, text]) => html`<button type="button" aria-pressed=${String(one === value)} @click=${() => commit(patch(one))}>${text}</button>`,
  )}</div>`;
}

/** Buttons for classes. @param {Model} model @param {number} label @param {(label: number) => object} patch */
export function classes(model, label, patch) {
  if (!model.classes.length) return nothing;
  if (model.classes.length > 24)
    return html`<label class="number"><span class="name">class</span><select
      @change=${(/** @type {Event} */ e) => commit(patch(Number(/** @type {HTMLSelectElement} */ (e.target).value)))}>${model.classes.map(
        (name, i) => html`<option value=${i} ?selected=${i === label}>${name}</option>`,
      )}</select></label>`;
  return choice("class", model.classes.map((name, i) => [String(i), name]), String(label), (one) => patch(Number(one)));
}

/** @param {Picture|undefined} picture @param {number[]} shape @param {string} label */
export function image(picture, shape, label, kind = "") {
  return label
    ? html`<pixel-image class=${kind} role="img" .shape=${shape} .picture=${picture} aria-label=${label}></pixel-image>`
    : html`<pixel-image class=${kind} aria-hidden="true" .shape=${shape} .picture=${picture}></pixel-image>`; // its button has the label
}

/**
 * Pictures in rows, which arrow keys lead through.
 * @param {(Picture|undefined)[]} pictures @param {number[]} shape @param {number} columns
 * @param {{label: (i: number) => string, chosen?: number, choose?: (i: number) => void, columnNames?: string[], rowNames?: string[],
 *   title: string}} more
 */
export function grid(pictures, shape, columns, more) {
  const cell = (/** @type {Picture|undefined} */ picture, /** @type {number} */ i) =>
    more.choose
      ? html`<button type="button" class="cell" aria-label=${more.label(i)} title=${more.label(i)} aria-pressed=${String(i === more.chosen)}
          tabindex=${i === Math.max(0, more.chosen ?? 0) ? 0 : -1} @click=${() => more.choose?.(i)}>${image(picture, shape, "")}</button>`
      : html`<span class="cell">${image(picture, shape, more.label(i))}</span>`;
  const cells = [];
  if (more.columnNames) {
    if (more.rowNames) cells.push(html`<span class="head"></span>`);
    for (const name of more.columnNames) cells.push(html`<span class="head">${name}</span>`);
  }
  pictures.forEach((picture, i) => {
    if (more.rowNames && i % columns === 0) cells.push(html`<span class="head row">${more.rowNames[i / columns]}</span>`);
    cells.push(cell(picture, i));
  });
  const names = more.rowNames ? "auto " : "";
  return html`<div class="grid ${more.columnNames ? "table" : ""}" role="group" aria-label=${more.title}
    .style=${`grid-template-columns: ${names}repeat(${columns}, minmax(0, 1fr)); --columns: ${columns}`}
    @keydown=${(/** @type {KeyboardEvent} */ event) => walk(event, columns)}>${cells}</div>`;
}

/** @param {KeyboardEvent} event @param {number} columns */
function walk(event, columns) {
  const step = /** @type {Record<string, number>} */ ({ ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns })[event.key];
  if (!step) return;
  const cells = [.../** @type {HTMLElement} */ (event.currentTarget).querySelectorAll("button")];
  const next = cells[cells.indexOf(/** @type {HTMLButtonElement} */ (event.target)) + step];
  if (!next) return;
  event.preventDefault();
  next.focus();
}

/**
 * The rows of a request: what is given, and for the other inputs of a signature the class, or values from a seed.
 * @param {Model} model @param {string} signature @param {number} rows @param {Record<string, any>} given
 * @param {{label?: number, seed?: number}} [s]
 */
export function rowsFor(model, signature, rows, given, s = {}) {
  const found = { ...given };
  for (const [name, tensor] of Object.entries(model.signatures[signature].inputs)) {
    if (name in found) continue;
    const inner = (tensor.shape ?? []).slice(1).map((n) => n ?? 1);
    if (name === "labels") found[name] = Array(rows).fill(s.label ?? 0);
    else if (name === "truncation") found[name] = Array(rows).fill(tensor.high ?? 1);
    else if (inner.length === 1 && tensor.dtype.startsWith("float")) {
      const one = [...normals(s.seed ?? 0, inner[0])];
      found[name] = Array(rows).fill(one); // a text or another condition that the page cannot write
    } else if (inner.length === 0 && tensor.dtype !== "string") found[name] = Array(rows).fill(tensor.low ?? 0);
  }
  return found;
}

/** Saves pictures as an animation. @param {Picture[]} frames @param {number} milliseconds of each @param {string} name of the file */
export async function saveGif(frames, milliseconds, name) {
  try {
    download(await gif(frames, milliseconds), name);
  } catch (error) {
    app.error = /** @type {Error} */ (error).message;
  }
  refresh();
}

/** Seeds from one on. @param {number} from @param {number} count */
export const seeds = (from, count) => Array.from({ length: count }, (_, i) => from + i);

// ---- the picture that a model is given

/** What is in the picture before one has drawn: a soft disc, so that there is something to see. @param {number[]} shape */
export function disc(shape) {
  const [height, width, channels] = shape, radius = Math.min(height, width) * 0.4;
  return Uint8Array.from({ length: height * width * channels }, (_, i) => {
    const at = Math.floor(i / channels), x = (at % width) - (width - 1) / 2, y = Math.floor(at / width) - (height - 1) / 2;
    return Math.round(255 * Math.min(1, Math.max(0, 1.5 * (1 - Math.hypot(x, y) / radius))));
  });
}

/** The state of a picture to paint. @param {number[]} shape */
export function pictureState(shape) {
  const size = shape[0] * shape[1] * shape[2];
  const bytes = app.examples[0]?.length === size ? app.examples[0] : disc(shape);
  return { px: bytes, pen: 1, ink: "#ffffff" };
}

/** @param {string} ink @returns {number[]} */
const inkOf = (ink) => [1, 3, 5].map((at) => parseInt(ink.slice(at, at + 2), 16) / 255);

/** @type {WeakMap<Uint8Array, Picture>} */
const made = new WeakMap();

/** The picture of a state, the same object for the same bytes. @param {Uint8Array} bytes @param {number[]} shape */
export function pictureOf(bytes, shape) {
  let found = made.get(bytes);
  if (!found) made.set(bytes, (found = Picture.ofBytes(bytes, shape)));
  return found;
}

/** @param {Blob} file @param {number[]} shape @param {string} key @param {string[][]} [inks] the only colours */
async function take(file, shape, key, inks) {
  try {
    const bytes = await readFile(file, shape);
    const colours = inks?.map(([ink]) => ink);
    if (colours) nearestColours(bytes, colours).forEach((k, i) => bytes.set(rgb(colours[k]), 3 * i));
    app.error = "";
    commit({ [key]: bytes });
  } catch (error) {
    if (!(error instanceof ServerError)) throw error;
    app.error = error.message;
    refresh();
  }
}

/** @param {DataTransfer|null} data */
const fileIn = (data) => [...(data?.files ?? [])][0];

/**
 * A picture to draw, upload, drag here or paste, with its tools.
 * @param {Model} model @param {any} s with `pictureState`
 * @param {{key?: string, shape?: number[], cover?: Uint8Array|null, title?: string, sample?: () => void, inks?: string[][],
 *   picture?: Picture, pen?: number[], stroke?: (touched: Uint8Array, bytes: Uint8Array) => void, clear?: () => void, brushes?: any}} [more]
 *   `inks`: the only colours, [colour, name]. With `stroke`, strokes on `picture` are given to it in place of the state's bytes.
 */
export function editor(model, s, more = {}) {
  const key = more.key ?? "px", shape = more.shape ?? model.shape, grey = shape[2] < 3;
  const picture = more.picture ?? pictureOf(s[key], shape);
  const covers = more.cover !== undefined;
  const inkKey = more.inks ? "mapInk" : "ink"; // of a map of classes its own, as colours of pictures are no classes
  const erases = s.ink === "#000000";
  const given = (/** @type {Blob} */ file) => take(file, shape, key, more.inks);
  const pen = covers ? { value: [0], size: s.pen, hides: s.hides ? 1 : 0 } : { value: more.pen ?? inkOf(s[inkKey]), size: s.pen };
  const examples = key === "px" ? app.examples.filter((one) => one.length === s[key].length) : [];
  const next = () => commit({ [key]: examples[(examples.indexOf(s[key]) + 1) % examples.length] });
  return html`<div class="editor" .take=${given} @dragover=${(/** @type {DragEvent} */ e) => e.preventDefault()}
      @drop=${(/** @type {DragEvent} */ e) => {
        e.preventDefault();
        const file = fileIn(e.dataTransfer);
        if (file) given(file);
      }}>
    <paint-pad class="big" .shape=${shape} .picture=${picture} .cover=${more.cover ?? null} .pen=${pen} aria-label=${more.title ?? "the picture given to the model"}
      aria-describedby="paint-help"
      @paint=${(/** @type {CustomEvent} */ e) => more.stroke ? more.stroke(e.detail.touched, e.detail.bytes) : set(e.detail.hidden ? { cover: e.detail.hidden } : { [key]: e.detail.bytes })}
      @painted=${() => commit()}></paint-pad>
    <div class="tools">
      ${examples.length ? button("Example", next, { title: "The next of the test images that come with the weights" }) : nothing}
      ${more.sample ? button("Sample", more.sample, { title: "A new image of the model itself" }) : nothing}
      <label class="button">Upload<input type="file" accept="image/*" aria-label="Upload an image file"
        @change=${(/** @type {Event} */ e) => {
          const input = /** @type {HTMLInputElement} */ (e.target);
          if (input.files?.[0]) given(input.files[0]);
          input.value = "";
        }}></label>
      ${covers || !grey ? nothing : button("Black & white", () => commit({ [key]: s[key].map((/** @type {number} */ value) => (value > 127 ? 255 : 0)) }), { title: "Pixels of half the brightness and more become white, the others black" })}
      ${covers ? nothing : button("Clear", more.clear ?? (() => commit({ [key]: new Uint8Array(s[key].length) })))}
    </div>
    <div class="tools">
      ${covers
        ? choice("what the brush does", [["1", "Hide"], ["0", "Show"]], s.hides ? "1" : "0", (one) => ({ hides: one === "1" }))
        : more.inks ? (more.inks.length > 16
          ? html`<label class="number"><span class="name">class</span><select @change=${(/** @type {Event} */ e) => commit({ mapInk: /** @type {HTMLSelectElement} */ (e.target).value })}>${more.inks.map(([ink, name]) => html`<option value=${ink} ?selected=${ink === s.mapInk}>${name}</option>`)}</select></label>`
          : html`<div class="choice inks" role="group" aria-label="class">${more.inks.map(([ink, name]) => html`<button type="button" aria-pressed=${String(ink === s.mapInk)} @click=${() => commit({ mapInk: ink })}><span class="ink" .style=${`background: ${ink}`}></span>${name}</button>`)}</div>`)
        : html`${more.brushes ?? choice("pen", [["pen", "Pen"], ["eraser", "Eraser"]], erases ? "eraser" : "pen", (one) => ({ ink: one === "pen" ? "#ffffff" : "#000000" }))}
          ${grey
            ? slider("grey", Math.round(255 * inkOf(s.ink)[0]), 0, 255, 1, (value) => ({ ink: `#${value.toString(16).padStart(2, "0").repeat(3)}` }))
            : html`<label class="colour">colour<input type="color" .value=${live(s.ink)} @change=${(/** @type {Event} */ e) => commit({ ink: /** @type {HTMLInputElement} */ (e.target).value })}></label>`}`}
      ${slider("size", s.pen, 1, Math.max(3, Math.round(shape[0] / 4)), 1, (value) => ({ pen: value }))}
    </div>
    <p class="hint" id="paint-help">Draw with the pointer; or focus the picture, move with arrow keys and paint with Space. Files can be dropped or pasted here.</p>
  </div>`;
}

/** A pasted image goes to the picture that is in use, or to the first one. */
document.addEventListener("paste", (event) => {
  const file = fileIn(event.clipboardData);
  const editor = document.activeElement?.closest(".editor") ?? document.querySelector(".editor");
  if (file && editor) /** @type {any} */ (editor).take(file);
});

/** Numbers in [0, 1] or of any size as bars with names. @param {ArrayLike<number>} values @param {string[]} names @param {string} title */
export function bars(values, names, title) {
  const most = Math.max(...Array.from(values), 1e-9), best = Array.from(values).indexOf(most);
  return html`<table class="bars" aria-label=${title}><tbody>${Array.from(values, (value, i) => html`<tr class=${i === best ? "best" : ""}><th scope="row">${names[i] ?? i}</th>
    <td class="bar"><span .style=${`width: ${Math.max(0, (100 * value) / most)}%`}></span></td><td>${value.toFixed(3)}</td></tr>`)}</tbody></table>`;
}
