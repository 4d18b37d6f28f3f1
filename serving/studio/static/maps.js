// @ts-check
/** Maps of classes, painted in a colour for each class. */
import { nest } from "./numbers.js";

/** The colours of classes: black, and hues far from each other. @param {number} count @returns {string[]} */
export function palette(count) {
  return Array.from({ length: count }, (_, k) => {
    if (!k) return "#000000";
    const hue = (k * 0.618034) % 1, part = (/** @type {number} */ n) => {
      const at = (n + 6 * hue) % 6;
      return Math.round(255 * (0.95 - 0.75 * Math.max(0, Math.min(1, at, 4 - at)))).toString(16).padStart(2, "0");
    };
    return `#${part(5)}${part(3)}${part(1)}`;
  });
}

/** @param {string} colour */
export const rgb = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));

/** A disc in the colour of class 1 on the first class. @param {number[]} shape @param {string[]} colours */
export function scene([height, width, channels], colours) {
  const ink = rgb(colours[1] ?? "#ffffff"), radius = height / 5;
  return Uint8Array.from({ length: height * width * channels }, (_, i) => {
    const at = Math.floor(i / channels), x = at % width, y = Math.floor(at / width);
    return Math.hypot(x - width / 4, y - height / 2) < radius ? ink[i % channels] : 0;
  });
}

/** The numbers of the colours that are nearest to pixels. @param {Uint8Array} bytes @param {string[]} colours */
export function nearestColours(bytes, colours) {
  const known = colours.map(rgb);
  return Array.from({ length: bytes.length / 3 }, (_, i) => {
    const far = known.map((one) => one.reduce((sum, value, c) => sum + (value - bytes[3 * i + c]) ** 2, 0));
    return far.indexOf(Math.min(...far));
  });
}

/** Whether a pixel has another class than one beside, above or below it, as numbers. @param {number[]} kinds @param {number} width */
export function borders(kinds, width) {
  const differs = (/** @type {number} */ i, /** @type {number} */ j, /** @type {boolean} */ inside) => inside && kinds[i] !== kinds[j];
  return kinds.map((_, i) => Number(differs(i, i - 1, i % width > 0) || differs(i, i + 1, i % width < width - 1)
    || differs(i, i - width, i >= width) || differs(i, i + width, i + width < kinds.length)));
}

/** {label_map, edges} of a painted map, without an axis of rows. @param {Uint8Array} bytes @param {number[]} shape @param {number} count */
export function mapInputs(bytes, [height, width], count) {
  const kinds = nearestColours(bytes, palette(count));
  const one = kinds.flatMap((kind) => Array.from({ length: count }, (_, k) => (k === kind ? 1 : 0)));
  return { label_map: nest(one, [height, width, count]), edges: nest(borders(kinds, width), [height, width]) };
}

/** The colours and names of classes for `editor`. @param {number} count */
export const inksOf = (count) => palette(count).map((colour, k) => [colour, `class ${k}`]);
