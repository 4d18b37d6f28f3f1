// @ts-check
/** Numbers as they are in addresses, in requests and in pictures. */

/** @param {Uint8Array} bytes */
export function toBase64(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(text);
}

/** @param {string} text @returns {Uint8Array} */
export function fromBase64(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/** @param {Uint8Array} bytes */
export const toAddress = (bytes) => toBase64(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");

/** @param {string} text */
export const fromAddress = (text) => fromBase64(text.replaceAll("-", "+").replaceAll("_", "/"));

/** The bytes of float32 numbers, and back: a link must give the same picture to the last bit. @param {Float32Array} values */
export const bytesOf = (values) => new Uint8Array(Float32Array.from(values).buffer);

/** @param {Uint8Array} bytes */
export const floatsOf = (bytes) => new Float32Array(Uint8Array.from(bytes.subarray(0, bytes.length - (bytes.length % 4))).buffer);

/** A latent as a keyframe of an animation. @param {Float32Array} z */
export const asKey = (z) => `z${toAddress(bytesOf(z))}`;

/**
 * The numbers of nested arrays, in order, and the lengths of the nesting.
 * @param {any} nested @returns {{data: Float32Array, shape: number[]}}
 */
export function flat(nested) {
  const shape = [];
  for (let inner = nested; Array.isArray(inner); inner = inner[0]) shape.push(inner.length);
  const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
  let at = 0;
  const walk = (/** @type {any} */ value) => {
    if (Array.isArray(value)) for (const one of value) walk(one);
    else data[at++] = value;
  };
  walk(nested);
  return { data, shape };
}

/** Nested arrays of a shape. @param {ArrayLike<number>} data @param {number[]} shape @returns {any} */
export function nest(data, shape, start = 0) {
  if (shape.length === 0) return data[start];
  const [length, ...inner] = shape;
  const step = inner.reduce((a, b) => a * b, 1);
  return Array.from({ length }, (_, i) => nest(data, inner, start + i * step));
}

/** Numbers of a normal distribution that depend on the seed alone. @param {number} seed @param {number} count */
export function normals(seed, count) {
  let state = (seed ^ 0x9e3779b9) >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
  };
  return Float32Array.from({ length: count }, () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()));
}

/** @param {ArrayLike<number>} a @param {ArrayLike<number>} b */
export function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/**
 * The directions of latents along which images change most: the right singular vectors of the linear map that predicts images
 * from latents, found by least squares for independent latents, that is from the covariance of both.
 * @param {Float32Array[]} latents @param {Float32Array[]} images
 * @param {number} count @returns {Float32Array[]} unit vectors, the strongest first
 */
export function directions(latents, images, count) {
  const width = latents[0].length, size = images[0].length, rows = latents.length;
  const mean = (/** @type {Float32Array[]} */ all, /** @type {number} */ n) => {
    const sum = new Float64Array(n);
    for (const one of all) for (let i = 0; i < n; i++) sum[i] += one[i] / rows;
    return sum;
  };
  const zMean = mean(latents, width), xMean = mean(images, size);
  const map = Array.from({ length: width }, () => new Float64Array(size)); // [Z][pixels]
  for (let r = 0; r < rows; r++)
    for (let i = 0; i < width; i++) {
      const z = (latents[r][i] - zMean[i]) / rows, row = map[i], image = images[r];
      for (let j = 0; j < size; j++) row[j] += z * (image[j] - xMean[j]);
    }
  const gram = map.map((a) => map.map((b) => dot(a, b)));
  const found = [];
  for (let k = 0; k < Math.min(count, width); k++) {
    let v = Float64Array.from(normals(k, width));
    for (let step = 0; step < 60; step++) {
      for (const other of found) {
        const along = dot(v, other);
        for (let i = 0; i < width; i++) v[i] -= along * other[i];
      }
      const next = Float64Array.from(gram, (row) => dot(row, v));
      const norm = Math.hypot(...next) || 1;
      v = next.map((x) => x / norm);
    }
    for (const other of found) {
      const along = dot(v, other);
      for (let i = 0; i < width; i++) v[i] -= along * other[i];
    }
    const norm = Math.hypot(...v) || 1;
    found.push(v.map((x) => x / norm));
  }
  return found.map((v) => Float32Array.from(v));
}

/**
 * A point between two latents. Spherical: as `tfgen.sampling`, along the great circle of the two vectors' angle.
 * @param {Float32Array} a @param {Float32Array} b @param {number} t @param {string} kind "linear" or "spherical"
 */
export function between(a, b, t, kind) {
  let wa = 1 - t, wb = t;
  if (kind === "spherical") {
    const cosine = dot(a, b) / (Math.hypot(...a) * Math.hypot(...b) || 1);
    const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
    if (Math.sin(angle) > 1e-4) {
      wa = Math.sin((1 - t) * angle) / Math.sin(angle);
      wb = Math.sin(t * angle) / Math.sin(angle);
    }
  }
  return Float32Array.from(a, (x, i) => wa * x + wb * b[i]);
}

/** @param {number[]} values @param {number} part */
export function quantile(values, part) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
}

/** @param {number} value */
export const short = (value) => (Number.isInteger(value) ? String(value) : Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(2));
