/** What the diffusion's worker does: train where it must, estimate the ELBO, walk back; coarse first. */

import { defineJob } from "../frame/jobs.js";
import { adam } from "../numbers/adam.js";
import { random } from "../numbers/random.js";
import { sum } from "../numbers/vectors.js";
import { D, elbo, idealPredictor, logTruth, schedule, stepBack } from "./diffusion.js";
import { freshWeights, lossAndSlope, networkPredictor } from "./noise_network.js";

/** @typedef {import("./diffusion.js").Truth} Truth */
/** @typedef {import("./diffusion.js").Predictor} Predictor */

/**
 * @typedef {object} Asked
 * @property {Truth} truth
 * @property {number} T
 * @property {"ideal" | "network"} model
 * @property {ArrayLike<number> | null} weights of a network that is trained already; null: train one
 * @property {number} seed
 */

/**
 * @typedef {object} Known
 * @property {number} trained steps of training so far
 * @property {Float32Array} walk z_T, …, z_0 of each draw, (T + 1) · WALKERS · 2
 * @property {number} truth log p*(x), the mean over fresh points
 * @property {number} elbo the mean over the same points
 * @property {number} error one standard error of the difference
 * @property {number} count of these points
 */

export const WALKERS = 300;
export const STEPS = 3000; // of training
const BATCH = 128;
const FEW = 150, MANY = 1500, RATE = 0.005, BETWEEN = [100, 200, 400, 800, 1200, 1600, 2000, 2500]; // when training tells what it has

/**
 * A point of p*.
 * @param {Truth} truth
 * @param {import("../numbers/random.js").Random} noise
 * @returns {[number, number]}
 */
export function drawTruth({ centers, width }, noise) {
  const [a, b] = centers[noise.below(centers.length)];
  return [a + width * noise.normal(), b + width * noise.normal()];
}

/**
 * What a predictor is worth: its ELBO on fresh points, its walk.
 * @param {Asked} asked
 * @param {Predictor} predict
 * @param {number} count of fresh points
 * @param {number} trained
 * @returns {Known}
 */
export function judge({ truth, T, seed }, predict, count, trained) {
  const s = schedule(T), noise = random(seed), pair = () => [noise.normal(), noise.normal()];
  const rows = Array.from({ length: count }, () => {
    const x = drawTruth(truth, noise);
    return { truth: logTruth(truth, x), elbo: elbo(s, predict, x, pair) };
  });
  const mean = (/** @type {(row: { truth: number, elbo: number }) => number} */ of) => sum(rows.map(of)) / count;
  const missing = mean((row) => row.truth - row.elbo);
  const variance = sum(rows.map((row) => (row.truth - row.elbo - missing) ** 2)) / (count - 1);
  const walk = new Float32Array((T + 1) * WALKERS * D), walking = random(seed + 1);
  for (let i = 0; i < WALKERS; i++) {
    /** @type {ArrayLike<number>} */
    let z = [walking.normal(), walking.normal()];
    for (let t = T; ; t--) {
      walk.set(z, ((T - t) * WALKERS + i) * D);
      if (t === 0) break;
      z = stepBack(s, predict, z, t, [walking.normal(), walking.normal()]);
    }
  }
  return { trained, walk, truth: mean((row) => row.truth), elbo: mean((row) => row.elbo), error: Math.sqrt(variance / count), count };
}

/**
 * A job: all about one predictor, a coarse answer first.
 * @param {Asked} asked
 * @returns {Generator<Known | undefined, Known>}
 */
export function* diffuse(asked) {
  const { truth, T, model, seed } = asked, s = schedule(T);
  if (model === "ideal" || asked.weights) {
    const predict = asked.weights && model === "network" ? networkPredictor(asked.weights, T) : idealPredictor(truth, s);
    yield judge(asked, predict, FEW, STEPS);
    return judge(asked, predict, MANY, STEPS);
  }
  const noise = random(seed + 2), weights = freshWeights(noise.uniform), step = adam(weights);
  const x = new Float64Array(D * BATCH), eps = new Float64Array(D * BATCH), steps = new Uint16Array(BATCH);
  for (let k = 0; k < STEPS; k++) {
    if (BETWEEN.includes(k)) yield judge(asked, networkPredictor(weights, T), FEW, k);
    for (let i = 0; i < BATCH; i++) {
      x.set(drawTruth(truth, noise), D * i);
      steps[i] = 1 + noise.below(T);
      for (let d = 0; d < D; d++) eps[D * i + d] = noise.normal();
    }
    step(lossAndSlope(weights, s, x, steps, eps).slope, (-RATE * (1 + Math.cos((Math.PI * k) / STEPS))) / 2);
    yield;
  }
  const predict = networkPredictor(weights, T);
  yield judge(asked, predict, FEW, STEPS);
  return judge(asked, predict, MANY, STEPS);
}

defineJob("diffusion", diffuse);
