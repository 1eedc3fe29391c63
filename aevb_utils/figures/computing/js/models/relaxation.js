/** Chapter 9's q(y | x), and the relaxation of a draw of y. All answers are in nats. */

import { forward, layers } from "../numbers/dense.js";
import { relu, softmax, sum } from "../numbers/vectors.js";

/** @typedef {import("../numbers/dense.js").Layer} Layer */

export const D = 64; // pixels
export const C = 10; // classes
const INKED = 8; // counts from which a pixel is 1
const WIDTHS = [D, 128, 128, C];

/**
 * The layers that lead to q(y | x), eq. (9.10).
 * @param {ArrayLike<number>} weights
 * @returns {Layer[]}
 */
export function classEncoder(weights) {
  return layers(weights, WIDTHS);
}

/**
 * The pixels that the model sees.
 * @param {ArrayLike<number>} counts of inked cells, 0 to 16
 * @returns {number[]} 0 or 1
 */
export function bits(counts) {
  return Array.from(counts, (count) => Number(count >= INKED));
}

/**
 * q(y | x), eq. (9.10).
 * @param {Layer[]} encoder
 * @param {ArrayLike<number>} x bits
 * @returns {number[]}
 */
export function classProbabilities(encoder, x) {
  return softmax(forward(encoder, x, relu));
}

/**
 * KL(q ‖ p) to the uniform p(y), eq. (9.9).
 * @param {ArrayLike<number>} q
 * @returns {number}
 */
export function klToUniform(q) {
  return Math.log(q.length) + sum(Array.from(q, (each) => (each > 0 ? each * Math.log(each) : 0)));
}

/**
 * Gumbel noise, from numbers in (0, 1).
 * @param {number} u
 * @returns {number}
 */
export function gumbel(u) {
  return -Math.log(-Math.log(u));
}

/**
 * ỹ, eq. (9.14), for the logits log q.
 * @param {ArrayLike<number>} logits
 * @param {ArrayLike<number>} noise C numbers of Gumbel noise
 * @param {number} tau the temperature
 * @returns {number[]}
 */
export function relaxed(logits, noise, tau) {
  return softmax(Array.from(logits, (value, c) => (value + noise[c]) / tau));
}

/**
 * @typedef {object} Bias
 * @property {number[]} means of ỹ, one for each class
 * @property {number} bent the bias of Σ ỹ²: its mean, less 1
 * @property {number} error its standard error
 */

/**
 * What draws of ỹ say in place of draws of y.
 * @param {readonly number[][]} draws
 * @returns {Bias}
 */
export function biasOf(draws) {
  const n = draws.length, means = draws[0].map((_, c) => sum(draws.map((y) => y[c])) / n);
  const squares = draws.map((y) => sum(y.map((each) => each * each))), mean = sum(squares) / n;
  const variance = sum(squares.map((each) => (each - mean) ** 2)) / (n - 1);
  return { means, bent: mean - 1, error: Math.sqrt(variance / n) };
}

/**
 * The leading term of the bias of Σ ỹ²: −τ Σ q (1 − q), from eq. (9.17) for each pair of classes.
 * @param {ArrayLike<number>} q
 * @param {number} tau
 * @returns {number}
 */
export function leadingBias(q, tau) {
  return -tau * sum(Array.from(q, (each) => each * (1 - each)));
}
