/** Planes that are painted pixel by pixel. */

import { clamp } from "../numbers/vectors.js";

/**
 * The color of "#0072B2" as numbers.
 * @param {string} color
 * @returns {[number, number, number]}
 */
function rgb(color) {
  const of = (/** @type {number} */ k) => parseInt(color.slice(1 + 2 * k, 3 + 2 * k), 16);
  return [of(0), of(1), of(2)];
}

/**
 * Paint a picture pixel by pixel, as large as the canvas counts.
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 * @param {string} color
 * @param {(column: number, row: number) => number} share of the color, from 0 to 1; the rest is clear
 */
export function paint(canvas, width, height, color, share) {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const context = canvas.getContext("2d");
  if (!context) return;
  const picture = context.createImageData(width, height), [r, g, b] = rgb(color);
  for (let j = 0, at = 0; j < height; j++) {
    for (let i = 0; i < width; i++, at += 4) {
      picture.data[at] = r;
      picture.data[at + 1] = g;
      picture.data[at + 2] = b;
      picture.data[at + 3] = Math.round(255 * clamp(share(i, j), 0, 1));
    }
  }
  context.putImageData(picture, 0, 0);
}
