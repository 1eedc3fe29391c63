/** Chapter 12's network that guesses the noise, and its training. */

import { layers, linear } from "../numbers/dense.js";
import { sigmoid } from "../numbers/vectors.js";
import { omega } from "./diffusion.js";

/** @typedef {import("../numbers/dense.js").Layer} Layer */
/** @typedef {import("./diffusion.js").Schedule} Schedule */

const H = 64, WIDTHS = [3, H, H, H, 2], LAYERS = WIDTHS.length - 1; // after each layer but the last comes SiLU
export const SIZE = WIDTHS.slice(1).reduce((total, out, k) => total + out * (WIDTHS[k] + 1), 0);

/** @param {number} u @returns {number} */
const silu = (u) => u * sigmoid(u);

/**
 * Weights as `nn.Linear` draws them: uniform, up to 1 / √in.
 * @param {() => number} uniform a number in [0, 1)
 * @returns {Float64Array} weight, bias, weight, bias, …
 */
export function freshWeights(uniform) {
  const all = new Float64Array(SIZE);
  let at = 0;
  WIDTHS.slice(1).forEach((out, k) => {
    for (let i = 0; i < out * (WIDTHS[k] + 1); i++) all[at++] = (2 * uniform() - 1) / Math.sqrt(WIDTHS[k]);
  });
  return all;
}

/**
 * The predictor that a network is; its answer is used again by the next call.
 * @param {ArrayLike<number>} weights
 * @param {number} T
 * @returns {import("./diffusion.js").Predictor}
 */
export function networkPredictor(weights, T) {
  const network = layers(weights, WIDTHS), input = new Float64Array(3), guess = new Float64Array(2);
  const one = new Float64Array(H), two = new Float64Array(H);
  return (z, t) => {
    input[0] = z[0];
    input[1] = z[1];
    input[2] = (2 * t) / T - 1;
    linear(network[0], input, one);
    for (let i = 0; i < H; i++) one[i] = silu(one[i]);
    linear(network[1], one, two);
    for (let i = 0; i < H; i++) two[i] = silu(two[i]);
    linear(network[2], two, one);
    for (let i = 0; i < H; i++) one[i] = silu(one[i]);
    linear(network[3], one, guess);
    return guess;
  };
}

/**
 * T ω_t ‖ε − ε_θ(z_t, t)‖² of a batch with one random step each, in the mean, and its slope in θ.
 * @param {Float64Array} weights
 * @param {Schedule} s
 * @param {ArrayLike<number>} x (n · 2)
 * @param {ArrayLike<number>} steps t of each datum, (n)
 * @param {ArrayLike<number>} eps (n · 2)
 * @returns {{ loss: number, slope: Float64Array }}
 */
export function lossAndSlope(weights, s, x, steps, eps) {
  const n = steps.length, network = layers(weights, WIDTHS), input = new Float64Array(3 * n), slope = new Float64Array(SIZE);
  for (let i = 0; i < n; i++) {
    const t = steps[i], keep = Math.sqrt(s.abar[t]), noise = Math.sqrt(1 - s.abar[t]);
    for (let d = 0; d < 2; d++) input[3 * i + d] = keep * x[2 * i + d] + noise * eps[2 * i + d]; // eq. (12.21)
    input[3 * i + 2] = (2 * t) / s.T - 1;
  }
  /** @type {Float64Array[]} */
  const raw = [], inputs = [input];
  network.forEach((layer, k) => {
    raw.push(new Float64Array(n * WIDTHS[k + 1]));
    linear(layer, inputs[k], raw[k], n);
    if (k < LAYERS - 1) inputs.push(raw[k].map(silu));
  });
  const guess = raw[LAYERS - 1];
  let loss = 0, back = new Float64Array(2 * n);
  for (let i = 0; i < n; i++) {
    const weight = (s.T * omega(s, steps[i])) / n;
    for (let d = 0; d < 2; d++) {
      const away = guess[2 * i + d] - eps[2 * i + d];
      loss += weight * away * away;
      back[2 * i + d] = 2 * weight * away;
    }
  }
  const begins = WIDTHS.slice(1).map((_, k) => WIDTHS.slice(1, k + 1).reduce((total, out, j) => total + out * (WIDTHS[j] + 1), 0));
  for (let k = LAYERS - 1; k >= 0; k--) {
    const width = WIDTHS[k], out = WIDTHS[k + 1], from = inputs[k], next = new Float64Array(n * width);
    const { weight } = network[k], begin = begins[k], biases = begin + out * width;
    for (let i = 0; i < n; i++) {
      for (let r = 0; r < out; r++) {
        const b = back[i * out + r];
        slope[biases + r] += b;
        for (let c = 0, w = r * width, j = i * width; c < width; c++, w++, j++) {
          slope[begin + w] += b * from[j];
          next[j] += b * weight[w];
        }
      }
    }
    if (k === 0) break;
    back = next.map((b, j) => {
      const sigma = sigmoid(raw[k - 1][j]);
      return b * sigma * (1 + raw[k - 1][j] * (1 - sigma));
    });
  }
  return { loss, slope };
}
