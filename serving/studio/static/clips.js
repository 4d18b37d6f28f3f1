// @ts-check
/** The panel of clips: a scene that moves, and the frames that the model makes of it, one after the other, with its state. */
import { html, nothing } from "./lit.js";
import { borders, inksOf, mapInputs, palette, scene } from "./maps.js";
import { nest } from "./numbers.js";
import { button, editor, grid, image, pictureOf, saveGif, slider } from "./parts.js";
import { Picture } from "./pictures.js";
import { app, commit, keyOf, refresh, set, want } from "./state.js";

/** @typedef {import("./api.js").Model} Model */
const MAPS = ["label_map", "image", "edges"]; // inputs of a frame that the page can make
const MOST = 24; // frames that are made
const STARTS = ["label_map", "frames", "edges", "start"];

/** The frames that are there, while others are still being made. */
const progress = { key: "", frames: /** @type {Picture[]} */ ([]) };
/** @type {ReturnType<typeof setTimeout>|undefined} */
let timer;

/** @param {Model} model */
const sizeOf = (model) => /** @type {number[]} */ (model.signatures.next_frame.outputs.image.shape?.slice(1));

/** The number of classes of the maps; 0 if they are pictures. @param {Model} model */
const classesOf = (model) => model.signatures.next_frame.inputs.label_map?.shape?.[3] ?? 0;

/** The number of given first frames. @param {Model} model */
const firstOf = (model) => model.signatures.start_state?.inputs.start?.shape?.[1] ?? 0;

/** The bytes of a picture that has moved; what comes in has the values of the first pixel. @param {Uint8Array} bytes @param {number[]} shape @param {number} dx @param {number} dy */
function moved(bytes, [height, width, channels], dx, dy) {
  const found = new Uint8Array(bytes.length);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const inside = y - dy >= 0 && y - dy < height && x - dx >= 0 && x - dx < width;
      const from = inside ? ((y - dy) * width + x - dx) * channels : 0;
      for (let c = 0; c < channels; c++) found[(y * width + x) * channels + c] = bytes[from + c];
    }
  return found;
}

/** The inputs of one frame, without an axis of rows. @param {Model} model @param {Uint8Array} bytes of the map @param {number[]} shape */
function inputsOf(model, bytes, shape) {
  const count = classesOf(model);
  const kinds = Array.from({ length: shape[0] * shape[1] }, (_, i) => bytes[i * shape[2]]);
  const found = /** @type {Record<string, any>} */ (count ? mapInputs(bytes, shape, count)
    : { image: nest(pictureOf(bytes, shape).data, shape), edges: nest(borders(kinds, shape[1]), shape.slice(0, 2)) });
  return Object.fromEntries(Object.entries(found).filter(([name]) => name in model.signatures.next_frame.inputs));
}

/** @param {Model} model */
const mapShape = (model) => (classesOf(model) ? [...sizeOf(model).slice(0, 2), 3] : /** @type {number[]} */ (model.signatures.next_frame.inputs.image.shape?.slice(1)));

/** @param {Model} model @param {any} s @param {string} key @param {number} length @param {AbortSignal} signal */
async function make(model, s, key, length, signal) {
  const shape = mapShape(model), size = sizeOf(model), first = firstOf(model), frames = /** @type {Picture[]} */ ([]);
  Object.assign(progress, { key, frames });
  const mapOf = (/** @type {number} */ t) => inputsOf(model, moved(s.map, shape, t * s.dx, t * s.dy), shape);
  const inner = /** @type {number[]} */ (model.signatures.next_frame.inputs.state.shape?.slice(1));
  let state = nest(new Float32Array(inner.reduce((a, b) => a * b, 1)), inner);
  if (first) {
    for (let t = 0; t < first; t++) frames.push(Picture.ofBytes(moved(s.px, size, t * s.dx, t * s.dy), size));
    const maps = Array.from({ length: first }, (_, t) => mapOf(t));
    const given = /** @type {Record<string, any>} */ ({ start: [frames.map((one) => nest(one.data, size))] });
    for (const name of Object.keys(model.signatures.start_state.inputs))
      if (name !== "start") given[name] = [maps.map((one) => one[name === "frames" ? "image" : name])];
    const found = (await model.predict("start_state", given, signal)).state;
    state = nest(found.data, found.shape.slice(1));
  }
  for (let t = first; t < length; t++) {
    const given = Object.fromEntries(Object.entries(mapOf(t)).map(([name, one]) => [name, [one]]));
    const found = await model.predict("next_frame", { ...given, state: [state] }, signal);
    frames.push(Picture.all(found.image)[0]);
    state = nest(found.state.data, found.state.shape.slice(1));
    refresh();
  }
  return frames;
}

/** @param {number} count */
function tick(count) {
  clearTimeout(timer);
  if (app.panel?.id !== "clips" || !app.s.playing) return;
  timer = setTimeout(() => app.panel?.id === "clips" && set({ at: (app.s.at + 1) % count }), 140);
}

/** @type {import("./state.js").Panel} */
export default {
  id: "clips",
  title: "Clips",
  fits: (model) => model.has("next_frame") && Object.keys(model.signatures.next_frame.inputs).every((name) => name === "state" || MAPS.includes(name))
    && Object.keys(model.signatures.start_state?.inputs ?? {}).every((name) => STARTS.includes(name)),
  start(model) {
    const colours = palette(classesOf(model)), first = firstOf(model);
    return { map: scene(mapShape(model), colours), ...(first ? { px: scene(sizeOf(model), colours) } : {}), dx: 1, dy: 0, count: first + 8, at: first, playing: false, pen: 2, ink: "#ffffff", mapInk: colours[1] ?? "#ffffff" };
  },
  view(model, s) {
    const shape = mapShape(model), size = sizeOf(model), first = firstOf(model);
    const length = Math.min(first + MOST, Math.max(first + 1, s.count)), key = keyOf(s.map, s.px ?? "", s.dx, s.dy, length);
    const whole = want("clip", key, (signal) => make(model, s, key, length, signal));
    const frames = progress.key === key ? progress.frames : (whole ?? []);
    const at = Math.min(s.at, length - 1), count = classesOf(model);
    tick(length);
    const save = () => saveGif(frames, 140, `${model.name}-clip.gif`);
    const inks = count ? inksOf(count) : undefined;
    return html`<div class="columns two even"><section><div class=${first ? "pair" : ""}>
          <div><h2>${count ? "First label map" : "First map"}</h2>${editor(model, s, { key: "map", shape, inks, title: "the map of the first frame" })}</div>
          ${first ? html`<div><h2>First frame, given</h2>${editor(model, s, { key: "px", shape: size, title: "the first frame" })}</div>` : nothing}</div>
        <h2>How they move</h2>
        ${slider("right", s.dx, -4, 4, 1, (dx) => ({ dx }), { text: `${s.dx} px` })}${slider("down", s.dy, -4, 4, 1, (dy) => ({ dy }), { text: `${s.dy} px` })}
        ${slider("frames", length, first + 1, first + MOST, 1, (value) => ({ count: value }))}</section>
      <section class="stage"><h2>Frame ${at + 1} of ${length}${at < first ? ", given" : ""}</h2>
        <div class="pair"><figure>${image(pictureOf(moved(s.map, shape, at * s.dx, at * s.dy), shape), shape, "the map of this frame", "big")}<figcaption>map</figcaption></figure>
          <figure>${image(frames[at], size, `frame ${at + 1}`, "big main-image")}<figcaption>${at < first ? "given" : "made"}</figcaption></figure></div>
        ${slider("frame", at, 0, length - 1, 1, (value) => ({ at: value, playing: false }), { text: `${at + 1}` })}
        <div class="tools spaced">${button(s.playing ? "Pause" : "Play", () => commit({ playing: !s.playing }), { main: true, title: "Space" })}
          ${button("Save GIF", save, { off: frames.length < length })}</div>
        ${grid(Array.from({ length }, (_, i) => frames[i]), size, 8, { title: "frames", label: (i) => `frame ${i + 1}${i < first ? ", given" : ""}`, chosen: at, choose: (i) => commit({ at: i, playing: false }) })}
        <p class="hint">Each frame is a request of its own: the map of the frame and the state after the last one.</p></section></div>`;
  },
  pictures: () => (progress.frames.length ? { pictures: progress.frames, columns: progress.frames.length } : null),
  keys: { " ": () => commit({ playing: !app.s.playing }) },
};
