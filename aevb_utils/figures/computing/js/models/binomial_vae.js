/** Chapter 4's binomial VAE with two latents and q of diagonal covariance, one datum at a time. All answers are in nats. */

import { adam } from "../numbers/adam.js";
import { forward, layers, linear } from "../numbers/dense.js";
import { gaussHermite } from "../numbers/hermite.js";
import { sigmoid } from "../numbers/vectors.js";

/** @typedef {import("../numbers/dense.js").Layer} Layer */
/** @typedef {{ decoder: Layer[], encoder: Layer[] }} Model */
/** @typedef {ArrayLike<number>} Lambda m and k of q, eq. (4.9): two means, two logs of standard deviations */

const TRIALS = 16;
export const D = 64;
const LOG_2PI = Math.log(2 * Math.PI), DECODER = [2, 64, 64, D], ENCODER = [D, 64, 64, 4], H = 64;
const Z = new Float64Array(2), ONE = new Float64Array(H), TWO = new Float64Array(H), ETA = new Float64Array(D);
const BACK_ONE = new Float64Array(H), BACK_TWO = new Float64Array(H), SLOPE = new Float64Array(2);

const LOG_FACTORIAL = [0];
for (let i = 1; i <= TRIALS; i++) LOG_FACTORIAL.push(LOG_FACTORIAL[i - 1] + Math.log(i));

/**
 * @param {ArrayLike<number>} weights of the decoder, then of the encoder
 * @returns {Model}
 */
export function binomialVae(weights) {
  const all = Float64Array.from(weights);
  const size = DECODER.slice(1).reduce((total, out, k) => total + out * (DECODER[k] + 1), 0);
  return { decoder: layers(all.subarray(0, size), DECODER), encoder: layers(all.subarray(size), ENCODER) };
}

/**
 * λ of q_φ, eq. (4.1).
 * @param {Model} model
 * @param {ArrayLike<number>} x counts
 * @returns {Float64Array}
 */
export function encode(model, x) {
  return forward(model.encoder, Array.from(x, (count) => count / TRIALS));
}

/**
 * The pixels' logits at a point of the plane; the array is used again by the next call.
 * @param {Model} model
 * @param {number} z1
 * @param {number} z2
 * @returns {Float64Array}
 */
export function decode({ decoder: [first, second, third] }, z1, z2) {
  Z[0] = z1;
  Z[1] = z2;
  linear(first, Z, ONE);
  for (let r = 0; r < H; r++) ONE[r] = tanh(ONE[r]);
  linear(second, ONE, TWO);
  for (let r = 0; r < H; r++) TWO[r] = tanh(TWO[r]);
  linear(third, TWO, ETA);
  return ETA;
}

/** Faster than Math.tanh, and right to 16 digits after the point. @param {number} a @returns {number} */
const tanh = (a) => 1 - 2 / (Math.exp(2 * a) + 1);

/**
 * The part of log p(x, z) that z alone decides: log p(z) − 16 Σ softplus(η).
 * @param {Float64Array} eta
 * @param {number} z1
 * @param {number} z2
 * @returns {number}
 */
export function partOfZ(eta, z1, z2) {
  let total = 0;
  for (let d = 0; d < D; d += 8) { // Σ log(1 + exp η) of eight pixels is one logarithm of a product
    let product = 1;
    for (let k = d; k < d + 8; k++) {
      if (eta[k] > 30) total += eta[k];
      else product *= 1 + Math.exp(eta[k]);
    }
    total += Math.log(product);
  }
  return -LOG_2PI - (z1 * z1 + z2 * z2) / 2 - TRIALS * total;
}

/**
 * The logs of the binomial coefficients of eq. (4.8).
 * @param {ArrayLike<number>} x
 * @returns {number}
 */
export function logChoose(x) {
  let total = 0;
  for (let d = 0; d < D; d++) total += LOG_FACTORIAL[TRIALS] - LOG_FACTORIAL[x[d]] - LOG_FACTORIAL[TRIALS - x[d]];
  return total;
}

/**
 * log p(x, z), eqs. (4.7) and (4.8), without the binomial coefficients.
 * @param {Model} model
 * @param {ArrayLike<number>} x
 * @param {number} z1
 * @param {number} z2
 * @returns {number}
 */
export function logJoint(model, x, z1, z2) {
  const eta = decode(model, z1, z2);
  let total = partOfZ(eta, z1, z2);
  for (let d = 0; d < D; d++) total += x[d] * eta[d];
  return total;
}

/**
 * The slope of log p(x, z) in z, where `decode` has just been; the array is used again by the next call.
 * @param {Model} model
 * @param {ArrayLike<number>} x
 * @param {number} z1
 * @param {number} z2
 * @returns {Float64Array}
 */
function slope({ decoder: [first, second, third] }, x, z1, z2) {
  BACK_TWO.fill(0);
  BACK_ONE.fill(0);
  for (let r = 0; r < D; r++) {
    const back = x[r] - TRIALS * sigmoid(ETA[r]);
    for (let c = 0, w = r * H; c < H; c++, w++) BACK_TWO[c] += third.weight[w] * back;
  }
  for (let r = 0; r < H; r++) {
    const back = BACK_TWO[r] * (1 - TWO[r] * TWO[r]);
    for (let c = 0, w = r * H; c < H; c++, w++) BACK_ONE[c] += second.weight[w] * back;
  }
  SLOPE[0] = -z1;
  SLOPE[1] = -z2;
  for (let r = 0; r < H; r++) {
    const back = BACK_ONE[r] * (1 - ONE[r] * ONE[r]);
    SLOPE[0] += first.weight[2 * r] * back;
    SLOPE[1] += first.weight[2 * r + 1] * back;
  }
  return SLOPE;
}

/** @type {Map<number, { u: number[], w: number[] }>} */
const rules = new Map();

/** @param {number} order @returns {{ u: number[], w: number[] }} */
function rule(order) {
  const known = rules.get(order) ?? gaussHermite(order);
  rules.set(order, known);
  return known;
}

/**
 * The ELBO by Gauss–Hermite nodes, eq. (4.12).
 * @param {Model} model
 * @param {ArrayLike<number>} x
 * @param {Lambda} lambda
 * @param {number} [order] nodes along a dimension
 * @returns {number}
 */
export function elbo(model, x, lambda, order = 20) {
  const { u, w } = rule(order), s1 = Math.exp(lambda[2]), s2 = Math.exp(lambda[3]);
  let total = 0;
  for (let i = 0; i < order; i++) {
    for (let j = 0; j < order; j++) {
      const weight = w[i] * w[j];
      if (weight > 1e-22) total += weight * logJoint(model, x, lambda[0] + s1 * u[i], lambda[1] + s2 * u[j]);
    }
  }
  return total + logChoose(x) + 1 + LOG_2PI + lambda[2] + lambda[3];
}

/**
 * The ELBO and its slope in λ: of m it is E[∇ log p(x, z)], of k it is E[s u · ∇ log p(x, z)] + 1.
 * @param {Model} model
 * @param {ArrayLike<number>} x
 * @param {Lambda} lambda
 * @param {number} order nodes along a dimension
 * @returns {{ value: number, slope: Float64Array }}
 */
export function elboAndSlope(model, x, lambda, order) {
  const { u, w } = rule(order), s1 = Math.exp(lambda[2]), s2 = Math.exp(lambda[3]);
  const by = Float64Array.of(0, 0, 1, 1);
  let total = 0;
  for (let i = 0; i < order; i++) {
    for (let j = 0; j < order; j++) {
      const weight = w[i] * w[j], z1 = lambda[0] + s1 * u[i], z2 = lambda[1] + s2 * u[j];
      total += weight * logJoint(model, x, z1, z2);
      const [g1, g2] = slope(model, x, z1, z2);
      by[0] += weight * g1;
      by[1] += weight * g2;
      by[2] += weight * g1 * s1 * u[i];
      by[3] += weight * g2 * s2 * u[j];
    }
  }
  return { value: total + logChoose(x) + 1 + LOG_2PI + lambda[2] + lambda[3], slope: by };
}

/**
 * The best λ so far after each step of the chapter's `refine`: Adam, whose rate falls from 0.05 to 0 on a cosine.
 * @param {Model} model
 * @param {ArrayLike<number>} x
 * @param {Lambda} start
 * @param {number} steps
 * @returns {Generator<undefined, Float64Array[]>} `steps` + 1 of them
 */
export function* refine(model, x, start, steps) {
  const at = Float64Array.from(start), climb = adam(at);
  /** @type {Float64Array[]} */
  const trail = [];
  let best = -Infinity;
  for (let t = 0; t <= steps; t++) {
    const { value, slope: by } = elboAndSlope(model, x, at, 6);
    trail.push(value > best ? at.slice() : trail[t - 1]);
    best = Math.max(best, value);
    climb(by, 0.025 * (1 + Math.cos((Math.PI * t) / steps)));
    yield;
  }
  return trail;
}
