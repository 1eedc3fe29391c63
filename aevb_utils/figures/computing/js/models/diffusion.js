/** Chapter 12's diffusion in the plane: its schedule, its two noise predictors, its ELBO, its walk. All answers are in nats. */

import { logSumExp, sigmoid, softmax, sum } from "../numbers/vectors.js";

/** @typedef {[number, number]} Point */

/**
 * A guess at the noise in z_t, for one point.
 * @typedef {(z: ArrayLike<number>, t: number) => ArrayLike<number>} Predictor
 */

/**
 * @typedef {object} Schedule index t = 0, …, T
 * @property {number} T
 * @property {number[]} abar ᾱ
 * @property {number[]} alpha
 * @property {number[]} beta
 */

/**
 * @typedef {object} Truth p*: one narrow Gaussian around each center, all with the same weight
 * @property {Point[]} centers
 * @property {number} width their standard deviation
 */

export const D = 2;
export const WIDTH = 0.12;
const LOG_2PI = Math.log(2 * Math.PI);

/**
 * The noise of eq. (12.18): the log odds of ᾱ fall evenly from 5 to −5.
 * @param {number} T
 * @returns {Schedule}
 */
export function schedule(T) {
  const abar = [1, ...Array.from({ length: T }, (_, k) => sigmoid(5 - (10 * k) / (T - 1)))];
  const alpha = abar.map((value, t) => (t ? value / abar[t - 1] : 1));
  return { T, abar, alpha, beta: alpha.map((value) => 1 - value) };
}

/**
 * The centers of the chapter's two arcs.
 * @returns {Point[]}
 */
export function arcs() {
  const arc = Array.from({ length: 40 }, (_, k) => (Math.PI * (k + 0.5)) / 40).map((angle) => [1.2 * (Math.cos(angle) - 0.5), 1.2 * (Math.sin(angle) - 0.25)]);
  return /** @type {Point[]} */ ([...arc, ...arc.map(([a, b]) => [-a, -b])]);
}

/**
 * log p*(x).
 * @param {Truth} truth
 * @param {ArrayLike<number>} x
 * @returns {number}
 */
export function logTruth({ centers, width }, x) {
  const each = centers.map(([a, b]) => -((x[0] - a) ** 2 + (x[1] - b) ** 2) / (2 * width * width));
  return logSumExp(each) - LOG_2PI - 2 * Math.log(width) - Math.log(centers.length);
}

/**
 * The best predictor for p*, eq. (12.28).
 * @param {Truth} truth
 * @param {Schedule} s
 * @returns {Predictor}
 */
export function idealPredictor({ centers, width }, { abar }) {
  return (z, t) => {
    const root = Math.sqrt(abar[t]), v = abar[t] * width * width + 1 - abar[t];
    const away = centers.map(([a, b]) => [z[0] - root * a, z[1] - root * b]);
    const r = softmax(away.map(([a, b]) => -(a * a + b * b) / (2 * v))), scale = Math.sqrt(1 - abar[t]) / v;
    return [scale * sum(away.map(([a], c) => r[c] * a)), scale * sum(away.map(([, b], c) => r[c] * b))];
  };
}

/**
 * ω_t of eq. (12.26).
 * @param {Schedule} s
 * @param {number} t
 * @returns {number}
 */
export function omega({ abar, alpha, beta }, t) {
  return beta[t] / (2 * alpha[t] * (1 - abar[t]));
}

/**
 * z_t, eq. (12.21).
 * @param {Schedule} s
 * @param {ArrayLike<number>} x
 * @param {number} t
 * @param {ArrayLike<number>} eps
 * @returns {Point}
 */
export function jump({ abar }, x, t, eps) {
  const keep = Math.sqrt(abar[t]), noise = Math.sqrt(1 - abar[t]);
  return [keep * x[0] + noise * eps[0], keep * x[1] + noise * eps[1]];
}

/**
 * All of the ELBO that has no θ in it: eqs. (12.24), (12.26) and (12.27).
 * @param {Schedule} s
 * @param {ArrayLike<number>} x
 * @returns {number}
 */
export function constants({ T, abar, beta }, x) {
  let spreads = 0, end = 0;
  for (let t = 2; t <= T; t++) {
    const ratio = (1 - abar[t - 1]) / (1 - abar[t]); // β̃_t / β_t
    spreads += (D / 2) * (ratio - 1 - Math.log(ratio));
  }
  for (let d = 0; d < D; d++) end += (abar[T] * x[d] * x[d] + (1 - abar[T]) - 1 - Math.log(1 - abar[T])) / 2;
  return (-D / 2) * Math.log(2 * Math.PI * beta[1]) - spreads - end;
}

/**
 * The ELBO of one point, eq. (12.24), estimated with one draw of the noise at each step.
 * @param {Schedule} s
 * @param {Predictor} predict
 * @param {ArrayLike<number>} x
 * @param {(t: number) => ArrayLike<number>} noise two standard normal numbers
 * @returns {number}
 */
export function elbo(s, predict, x, noise) {
  let errors = 0;
  for (let t = 1; t <= s.T; t++) {
    const eps = noise(t), guess = predict(jump(s, x, t, eps), t);
    errors += omega(s, t) * ((eps[0] - guess[0]) ** 2 + (eps[1] - guess[1]) ** 2);
  }
  return constants(s, x) - errors;
}

/**
 * z_{t−1} of the model's walk, eqs. (12.19) and (12.25).
 * @param {Schedule} s
 * @param {Predictor} predict
 * @param {ArrayLike<number>} z
 * @param {number} t
 * @param {ArrayLike<number>} noise two standard normal numbers
 * @returns {Point}
 */
export function stepBack({ abar, alpha, beta }, predict, z, t, noise) {
  const guess = predict(z, t), share = beta[t] / Math.sqrt(1 - abar[t]), scale = Math.sqrt(alpha[t]), sd = Math.sqrt(beta[t]);
  return [(z[0] - share * guess[0]) / scale + sd * noise[0], (z[1] - share * guess[1]) / scale + sd * noise[1]];
}
