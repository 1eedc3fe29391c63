/** Linear layers whose weights are whole numbers of 8 bits, each row with a scale of its own. */

import { dot } from "./vectors.js";

/**
 * @typedef {object} ByteLayer
 * @property {Int8Array} codes rows are outputs, (out · in)
 * @property {Float64Array} scale what a whole number of a row counts, (out)
 * @property {Float64Array} bias (out); empty where there is none
 */

/**
 * W x + b.
 * @param {ByteLayer} layer
 * @param {ArrayLike<number>} x
 * @returns {Float64Array}
 */
export function byteLinear({ codes, scale, bias }, x) {
  return scale.map((each, r) => each * dot(codes, x, r * x.length, 0, x.length) + (bias.length ? bias[r] : 0));
}
