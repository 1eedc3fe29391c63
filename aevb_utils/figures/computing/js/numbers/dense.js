/** Networks of dense layers: tanh or another map between them, nothing after the last, as the book's. */

import { dot } from "./vectors.js";

/**
 * @typedef {object} Layer
 * @property {Float64Array} weight rows are outputs, (out · in)
 * @property {Float64Array} bias (out)
 */

/**
 * The layers of a network, from one row of numbers: weight, bias, weight, bias, …
 * @param {ArrayLike<number>} values
 * @param {number[]} sizes of input, hidden layers, output
 * @returns {Layer[]}
 */
export function layers(values, sizes) {
  const all = Float64Array.from(values);
  let at = 0;
  return sizes.slice(1).map((out, k) => {
    const weight = all.subarray(at, at + out * sizes[k]);
    at += weight.length;
    const bias = all.subarray(at, at + out);
    at += out;
    return { weight, bias };
  });
}

/**
 * W x + b of some rows x, one after the other.
 * @param {Layer} layer
 * @param {ArrayLike<number>} from (n · in)
 * @param {Float64Array} to (n · out), filled
 * @param {number} [n]
 */
export function linear({ weight, bias }, from, to, n = 1) {
  const out = bias.length, width = weight.length / out;
  for (let i = 0; i < n; i++) {
    for (let r = 0; r < out; r++) to[i * out + r] = bias[r] + dot(weight, from, r * width, i * width, width);
  }
}

/**
 * @param {Layer[]} network
 * @param {ArrayLike<number>} x
 * @param {(value: number) => number} [between] what a hidden layer does to each number
 * @returns {Float64Array} the network's output
 */
export function forward(network, x, between = Math.tanh) {
  let output = new Float64Array(0);
  network.forEach((layer, k) => {
    const input = k ? output.map(between) : x;
    output = new Float64Array(layer.bias.length);
    linear(layer, input, output);
  });
  return output;
}
