// @ts-check
/** Pictures: rows of numbers in [0, 1] with a shape, the elements that show them and let one paint, and files. */
import { ask, ServerError } from "./api.js";
import { toBase64 } from "./numbers.js";

/** Numbers in [0, 1] of the shape [height, width, channels]. */
export class Picture {
  /** @param {Float32Array} data @param {number[]} shape */
  constructor(data, shape) {
    this.data = data;
    this.shape = shape;
  }

  /** @param {Uint8Array} bytes @param {number[]} shape */
  static ofBytes(bytes, shape) {
    return new Picture(Float32Array.from(bytes, (value) => value / 255), shape);
  }

  /** The pictures of an output [n, height, width, channels], or with more dimensions in front. @param {import("./api.js").Values} values */
  static all(values) {
    const shape = values.shape.slice(-3), size = shape[0] * shape[1] * shape[2];
    return Array.from({ length: values.data.length / size }, (_, i) => new Picture(values.data.subarray(i * size, (i + 1) * size), shape));
  }

  get bytes() {
    return Uint8Array.from(this.data, (value) => Math.round(255 * Math.min(1, Math.max(0, value))));
  }

  /** @param {Picture} other */
  difference(other) {
    return new Picture(this.data.map((value, i) => Math.abs(value - other.data[i])), this.shape);
  }
}

/** @param {Picture} picture */
function imageData(picture) {
  const [height, width, channels] = picture.shape;
  const made = new ImageData(width, height), bytes = picture.bytes;
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) made.data[4 * i + c] = bytes[channels * i + (channels >= 3 ? c : 0)];
    made.data[4 * i + 3] = channels === 4 || channels === 2 ? bytes[channels * i + channels - 1] : 255;
  }
  return made;
}

/** Many pictures as one canvas, with a border between them. @param {Picture[]} pictures @param {number} columns */
export function sheet(pictures, columns, scale = 1, gap = 1) {
  const [height, width] = pictures[0].shape;
  const canvas = document.createElement("canvas");
  const rows = Math.ceil(pictures.length / columns);
  canvas.width = columns * (width * scale + gap) - gap;
  canvas.height = rows * (height * scale + gap) - gap;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.imageSmoothingEnabled = false;
  const one = document.createElement("canvas");
  [one.width, one.height] = [width, height];
  pictures.forEach((picture, i) => {
    one.getContext("2d")?.putImageData(imageData(picture), 0, 0);
    const x = (i % columns) * (width * scale + gap), y = Math.floor(i / columns) * (height * scale + gap);
    context.drawImage(one, x, y, width * scale, height * scale);
  });
  return canvas;
}

/** @param {Picture[]} pictures @param {number} columns @returns {Promise<Blob>} */
export function png(pictures, columns) {
  const scale = Math.max(1, Math.floor(256 / pictures[0].shape[1] / Math.sqrt(pictures.length)));
  return new Promise((resolve, reject) =>
    sheet(pictures, columns, scale, pictures.length > 1 ? scale : 0).toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The browser made no PNG")))),
  );
}

/** @param {Picture[]} frames @param {number} milliseconds */
export async function gif(frames, milliseconds) {
  const [height, width, channels] = frames[0].shape;
  const bytes = new Uint8Array(frames.length * frames[0].data.length);
  frames.forEach((frame, i) => bytes.set(frame.bytes, i * frame.data.length));
  const scale = Math.max(1, Math.min(16, Math.floor(256 / Math.max(height, width))));
  const body = { shape: [frames.length, height, width, channels], pixels: toBase64(bytes), scale, milliseconds };
  return (await ask("/studio/gif", body)).blob();
}

/** @param {Blob} blob @param {string} name */
export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** The bytes of an image file in the shape of a model: its middle, scaled. @param {Blob} file @param {number[]} shape */
export async function readFile(file, shape) {
  const name = /** @type {File} */ (file).name ?? "what was pasted";
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new ServerError(`${name} is no image that this browser can read (${file.type || "unknown type"}, ${file.size} bytes). Use a PNG, JPEG, WebP or GIF file.`);
  }
  return fitted(bitmap, shape);
}

/** The bytes of a file that the browser has written. @param {Blob} file @param {number[]} shape */
export const bytesOfFile = async (file, shape) => fitted(await createImageBitmap(file), shape);

/** @param {ImageBitmap} bitmap @param {number[]} shape */
function fitted(bitmap, shape) {
  const [height, width, channels] = shape;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
  const scale = Math.max(width / bitmap.width, height / bitmap.height);
  const [w, h] = [bitmap.width * scale, bitmap.height * scale];
  context.imageSmoothingEnabled = scale !== Math.round(scale); // pixel art stays what it is
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, (width - w) / 2, (height - h) / 2, w, h);
  const rgba = context.getImageData(0, 0, width, height).data;
  const bytes = new Uint8Array(height * width * channels);
  for (let i = 0; i < height * width; i++) {
    const [r, g, b] = rgba.subarray(4 * i, 4 * i + 3);
    for (let c = 0; c < channels; c++) bytes[channels * i + c] = channels >= 3 ? rgba[4 * i + c] : Math.round(0.299 * r + 0.587 * g + 0.114 * b);
  }
  return bytes;
}

/** Shows a picture, each of its pixels as a square. */
export class PixelImage extends HTMLElement {
  /** @type {Picture|undefined} */ #picture;
  #canvas = document.createElement("canvas");

  connectedCallback() {
    if (!this.#canvas.isConnected) this.append(this.#canvas);
  }

  /** @param {Picture|undefined} picture */
  set picture(picture) {
    if (picture === this.#picture) return;
    this.#picture = picture;
    this.toggleAttribute("drawn", picture !== undefined);
    if (!picture) {
      this.#canvas.getContext("2d")?.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
      return;
    }
    const [height, width] = picture.shape;
    if (this.#canvas.width !== width || this.#canvas.height !== height) [this.#canvas.width, this.#canvas.height] = [width, height];
    this.#canvas.getContext("2d")?.putImageData(imageData(picture), 0, 0);
  }

  get picture() {
    return this.#picture;
  }

  /** The space that the picture will take. @param {number[]} shape */
  set shape(shape) {
    this.style.aspectRatio = `${shape[1]} / ${shape[0]}`;
  }
}
customElements.define("pixel-image", PixelImage);

/**
 * Paints values of pixels. Properties: `picture`; `hidden` Uint8Array [height * width], 1 where the picture is hidden, or null;
 * `pen` {value: number[], size, hides: undefined or 0 or 1}. Events: "paint" with {hidden}, or {bytes, touched}, and "painted" after a stroke.
 */
export class PaintPad extends HTMLElement {
  /** @type {Picture|undefined} */ #picture;
  /** @type {Uint8Array|null} */ #hidden = null;
  #canvas = document.createElement("canvas");
  #at = { x: 0, y: 0 };
  #cursor = false;
  /** @type {{x: number, y: number}|null} */ #from = null;
  /** @type {{value: number[], size: number, hides?: number}} */ pen = { value: [1], size: 1 };

  connectedCallback() {
    if (this.#canvas.isConnected) return;
    this.append(this.#canvas);
    this.tabIndex = 0;
    this.setAttribute("role", "application");
    this.setAttribute("aria-roledescription", "drawing pad");
    this.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      event.preventDefault();
      this.focus({ preventScroll: true });
      this.#cursor = false;
      this.setPointerCapture(event.pointerId);
      this.#from = this.#place(event);
      this.#stroke(this.#from, this.#from);
    });
    this.addEventListener("pointermove", (event) => {
      if (!this.#from) return;
      const to = this.#place(event);
      if (to.x === this.#from.x && to.y === this.#from.y) return;
      this.#stroke(this.#from, to);
      this.#from = to;
    });
    for (const end of ["pointerup", "pointercancel"])
      this.addEventListener(end, () => {
        if (this.#from) this.dispatchEvent(new Event("painted"));
        this.#from = null;
      });
    this.addEventListener("blur", () => {
      this.#cursor = false;
      this.#draw();
    });
    this.addEventListener("keydown", (event) => {
      const step = /** @type {Record<string, number[]>} */ ({ ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] })[event.key];
      if (!this.#picture || (!step && event.key !== " " && event.key !== "Enter")) return;
      event.preventDefault();
      event.stopPropagation();
      const [height, width] = this.#picture.shape;
      if (step) {
        this.#at = { x: Math.min(width - 1, Math.max(0, this.#at.x + step[0])), y: Math.min(height - 1, Math.max(0, this.#at.y + step[1])) };
      }
      this.#cursor = true;
      if (!step || event.shiftKey) {
        this.#stroke(this.#at, this.#at);
        this.dispatchEvent(new Event("painted"));
      }
      this.#draw();
    });
  }

  /** @param {Picture|undefined} picture */
  set picture(picture) {
    if (picture === this.#picture) return;
    this.#picture = picture;
    this.#draw();
  }

  // Not `hidden`, which is a property of every element.
  /** @param {Uint8Array|null} cover */
  set cover(cover) {
    if (cover === this.#hidden) return;
    this.#hidden = cover;
    this.#draw();
  }

  /** @param {number[]} shape */
  set shape(shape) {
    this.style.aspectRatio = `${shape[1]} / ${shape[0]}`;
  }

  /** @param {PointerEvent} event */
  #place(event) {
    const box = this.#canvas.getBoundingClientRect(), [height, width] = this.#picture?.shape ?? [1, 1];
    const inside = (/** @type {number} */ part, /** @type {number} */ n) => Math.min(n - 1, Math.max(0, Math.floor(part * n)));
    return { x: inside((event.clientX - box.left) / box.width, width), y: inside((event.clientY - box.top) / box.height, height) };
  }

  /** @param {{x: number, y: number}} from @param {{x: number, y: number}} to */
  #stroke(from, to) {
    if (!this.#picture) return;
    const [height, width, channels] = this.#picture.shape, { value, size, hides } = this.pen;
    const steps = Math.max(Math.abs(to.x - from.x), Math.abs(to.y - from.y), 1);
    const bytes = this.#picture.bytes, hidden = hides === undefined ? null : (this.#hidden ?? new Uint8Array(height * width)).slice();
    const touched = new Uint8Array(height * width);
    for (let s = 0; s <= steps; s++) {
      const left = Math.round(from.x + ((to.x - from.x) * s) / steps - (size - 1) / 2);
      const top = Math.round(from.y + ((to.y - from.y) * s) / steps - (size - 1) / 2);
      for (let y = Math.max(0, top); y < Math.min(height, top + size); y++)
        for (let x = Math.max(0, left); x < Math.min(width, left + size); x++) {
          touched[y * width + x] = 1;
          if (hidden) hidden[y * width + x] = /** @type {number} */ (hides);
          else for (let c = 0; c < channels; c++) bytes[(y * width + x) * channels + c] = Math.round(255 * (value[c] ?? value[0]));
        }
    }
    // At once, since the next stroke may come before the page is drawn again.
    if (hidden) this.#hidden = hidden;
    else this.#picture = Picture.ofBytes(bytes, this.#picture.shape);
    this.#draw();
    this.dispatchEvent(new CustomEvent("paint", { detail: hidden ? { hidden } : { bytes, touched } }));
  }

  #draw() {
    if (!this.#picture) return;
    const [height, width] = this.#picture.shape;
    const k = Math.max(1, Math.floor(512 / Math.max(height, width))); // so that the cover has finer lines than pixels
    if (this.#canvas.width !== width * k || this.#canvas.height !== height * k) [this.#canvas.width, this.#canvas.height] = [width * k, height * k];
    const context = /** @type {CanvasRenderingContext2D} */ (this.#canvas.getContext("2d"));
    context.imageSmoothingEnabled = false;
    context.drawImage(sheet([this.#picture], 1, 1, 0), 0, 0, width * k, height * k);
    if (this.#hidden) {
      context.fillStyle = "#7d8594";
      context.strokeStyle = "#5c6370";
      context.lineWidth = Math.max(1, k / 12);
      context.beginPath();
      this.#hidden.forEach((one, i) => {
        if (!one) return;
        const [x, y] = [(i % width) * k, Math.floor(i / width) * k];
        context.fillRect(x, y, k, k);
        context.moveTo(x, y + k);
        context.lineTo(x + k, y);
      });
      context.stroke();
    }
    if (this.#cursor) {
      context.strokeStyle = "#ff5a1f";
      context.lineWidth = Math.max(2, k / 8);
      const { size } = this.pen, [left, top] = [Math.round(this.#at.x - (size - 1) / 2), Math.round(this.#at.y - (size - 1) / 2)];
      context.strokeRect(left * k, top * k, size * k, size * k);
    }
  }
}
customElements.define("paint-pad", PaintPad);
