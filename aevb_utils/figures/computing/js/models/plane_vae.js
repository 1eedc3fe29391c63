/** Chapter 7's VAE with two latents: its decoder, one datum at a time. All answers are in nats. */

import { forward, layers } from "../numbers/dense.js";
import { relu, sigmoid, softplus, sum } from "../numbers/vectors.js";

/** @typedef {import("../numbers/dense.js").Layer} Layer */

export const SIDE = 28; // pixels along a picture
export const D = SIDE * SIDE;
const LOG_2PI = Math.log(2 * Math.PI);

/**
 * The decoder f_θ from one row of numbers: weight, bias, weight, bias, …
 * @param {ArrayLike<number>} weights
 * @param {number[]} hidden widths
 * @returns {Layer[]}
 */
export function planeDecoder(weights, hidden) {
  return layers(weights, [2, ...hidden, D]);
}

/**
 * The logits a = f_θ(z) of the pixels, eq. (7.1).
 * @param {Layer[]} decoder
 * @param {ArrayLike<number>} z
 * @returns {Float64Array}
 */
export function logits(decoder, z) {
  return forward(decoder, z, relu);
}

/**
 * The probabilities σ(a) of the pixels: the mean of p(x | z).
 * @param {Float64Array} a
 * @returns {Float64Array}
 */
export function probabilities(a) {
  return a.map(sigmoid);
}

/**
 * log p(x | z), eq. (7.2).
 * @param {ArrayLike<number>} x pixels, 0 or 1
 * @param {Float64Array} a
 * @returns {number}
 */
export function logLikelihood(x, a) {
  let total = 0;
  for (let d = 0; d < a.length; d++) total += x[d] * a[d] - softplus(a[d]);
  return total;
}

/**
 * log p(z), the prior of eq. (7.1).
 * @param {readonly number[]} z
 * @returns {number}
 */
export function logPrior([z1, z2]) {
  return -LOG_2PI - (z1 * z1 + z2 * z2) / 2;
}

/**
 * The share of the prior that is nearer to the middle: 1 − exp(−r² / 2).
 * @param {readonly number[]} z
 * @returns {number}
 */
export function nearer([z1, z2]) {
  return 1 - Math.exp(-(z1 * z1 + z2 * z2) / 2);
}

/**
 * How many pixels of a draw of x differ from the likelier value, in the mean: Σ min(p, 1 − p).
 * @param {ArrayLike<number>} p probabilities
 * @returns {number}
 */
export function flipped(p) {
  return sum(Array.from(p, (value) => Math.min(value, 1 - value)));
}

/**
 * A picture of bits, eight to a byte, the first bit the highest.
 * @param {Uint8Array} bytes
 * @returns {Uint8Array} 0 or 1 for each pixel
 */
export function pixelsOf(bytes) {
  return Uint8Array.from({ length: D }, (_, d) => (bytes[d >> 3] >> (7 - (d & 7))) & 1);
}
