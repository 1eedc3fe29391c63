/** Chapter 3's banana (3.7), z ~ N(0, I), x given z ~ N(z₂ + z₁², σ²), and Gaussians q = N(m, K Kᵀ). All answers are in nats. */

import { adam } from "../numbers/adam.js";
import { logSumExp } from "../numbers/vectors.js";

/** @typedef {{ x: number, sigma: number }} Banana the sensor's value and its standard deviation */

/**
 * @typedef {object} Gaussian q
 * @property {number} m1
 * @property {number} m2
 * @property {number} k11 positive
 * @property {number} k21
 * @property {number} k22 positive
 */

/** @typedef {{ points: [number, number][], weights: number[], logs: number[] }} Cells of a grid, with what the posterior holds there */

const LOG_2PI = Math.log(2 * Math.PI), SIDE = 200, BOX = [8, 12], LEAST = 1e-20;

/** log p(x, z). @param {Banana} model @param {number} z1 @param {number} z2 @returns {number} */
export function logJoint({ x, sigma }, z1, z2) {
  const r = (x - z2 - z1 * z1) / sigma;
  return -1.5 * LOG_2PI - 0.5 * (z1 * z1 + z2 * z2 + r * r) - Math.log(sigma);
}

/**
 * log p(x) by the midpoint rule (3.8) on the chapter's grid, and the posterior in its cells, those with next to nothing aside.
 * @param {Banana} model
 * @returns {{ evidence: number, cells: Cells }}
 */
export function exact(model) {
  const places = /** @type {[number, number][]} */ ([]), at = (/** @type {number} */ i, /** @type {number} */ end) => end * ((2 * i + 1) / SIDE - 1);
  for (let i = 0; i < SIDE; i++) for (let j = 0; j < SIDE; j++) places.push([at(i, BOX[0]), at(j, BOX[1])]);
  const joint = places.map(([z1, z2]) => logJoint(model, z1, z2)), logCell = Math.log((4 * BOX[0] * BOX[1]) / SIDE ** 2);
  const evidence = logSumExp(joint) + logCell;
  /** @type {Cells} */
  const cells = { points: [], weights: [], logs: [] };
  joint.forEach((value, g) => {
    const weight = Math.exp(value - evidence + logCell);
    if (weight < LEAST) return;
    cells.points.push(places[g]);
    cells.weights.push(weight);
    cells.logs.push(value - evidence);
  });
  return { evidence, cells };
}

/** log q(z). @param {Gaussian} q @param {number} z1 @param {number} z2 @returns {number} */
function logQ({ m1, m2, k11, k21, k22 }, z1, z2) {
  const u = (z1 - m1) / k11, v = (z2 - m2 - k21 * u) / k22;
  return -LOG_2PI - Math.log(k11 * k22) - 0.5 * (u * u + v * v);
}

/**
 * The ELBO of q and its slopes in m and in κ of eq. (3.4): log k₁₁, k₂₁, log k₂₂. The moments of a Gaussian up to the fourth
 * give what three Gauss–Hermite nodes (3.9) give.
 * @param {Banana} model
 * @param {Gaussian} q
 * @returns {{ elbo: number, slope: number[] }}
 */
export function elbo({ x, sigma }, { m1, m2, k11, k21, k22 }) {
  const s11 = k11 * k11, s12 = k11 * k21, s22 = k21 * k21 + k22 * k22, variance = sigma * sigma;
  const e = x - m2 - m1 * m1 - s11;
  const square = e * e + s22 + 4 * m1 * s12 + 4 * m1 * m1 * s11 + 2 * s11 * s11; // E (x − z₂ − z₁²)²
  const by11 = -2 * e + 4 * m1 * m1 + 4 * s11, by12 = 4 * m1;
  return {
    elbo: 1 - 0.5 * LOG_2PI - 0.5 * (m1 * m1 + m2 * m2 + s11 + s22) - 0.5 * square / variance - Math.log(sigma) + Math.log(k11 * k22),
    slope: [
      -m1 - (-4 * m1 * e + 4 * s12 + 8 * m1 * s11) / (2 * variance),
      -m2 + e / variance,
      1 - s11 - (2 * s11 * by11 + s12 * by12) / (2 * variance),
      -k21 - (k11 * by12 + 2 * k21) / (2 * variance),
      1 - k22 * k22 * (1 + 1 / variance),
    ],
  };
}

/**
 * KL(q ‖ posterior) by the midpoint rule on a grid as wide as q, which knows nothing of the ELBO.
 * @param {Banana} model
 * @param {Gaussian} q
 * @param {number} evidence log p(x)
 * @returns {number}
 */
export function reverseKl(model, q, evidence) {
  const h = 0.25, ends = 32;
  let total = 0;
  for (let i = -ends; i <= ends; i++) {
    for (let j = -ends; j <= ends; j++) {
      const u = i * h, v = j * h, z1 = q.m1 + q.k11 * u, z2 = q.m2 + q.k21 * u + q.k22 * v;
      const weight = (h * h * Math.exp(-0.5 * (u * u + v * v))) / (2 * Math.PI);
      total += weight * (logQ(q, z1, z2) - logJoint(model, z1, z2) + evidence);
    }
  }
  return total;
}

/** KL(posterior ‖ q) on the grid. @param {Cells} cells @param {Gaussian} q @returns {number} */
export function forwardKl({ points, weights, logs }, q) {
  let total = 0;
  for (let g = 0; g < points.length; g++) total += weights[g] * (logs[g] - logQ(q, points[g][0], points[g][1]));
  return total;
}

/**
 * The Gaussian with the posterior's moments, eq. (3.11), which minimizes the forward KL.
 * @param {Cells} cells
 * @param {boolean} full whether its covariance is the posterior's, or only the diagonal is
 * @returns {Gaussian}
 */
export function matched({ points, weights }, full) {
  const mean = (/** @type {(z: [number, number]) => number} */ f) => points.reduce((total, z, g) => total + weights[g] * f(z), 0);
  const m1 = mean(([z1]) => z1), m2 = mean(([, z2]) => z2), k11 = Math.sqrt(mean(([z1]) => (z1 - m1) ** 2));
  const k21 = full ? mean(([z1, z2]) => (z1 - m1) * (z2 - m2)) / k11 : 0;
  return { m1, m2, k11, k21, k22: Math.sqrt(mean(([, z2]) => (z2 - m2) ** 2) - k21 * k21) };
}

/**
 * The chapter's climb from a q, `fit_q`: Adam (0.8, 0.95) at rate 0.05, after 250 steps 0.005.
 * @param {Banana} model
 * @param {Gaussian} start
 * @param {boolean} full whether q may tilt
 * @param {number} steps
 * @returns {Gaussian[]} q after each step, the start first
 */
export function climbs(model, start, full, steps) {
  const at = Float64Array.of(start.m1, start.m2, Math.log(start.k11), start.k21, Math.log(start.k22)), climb = adam(at, [0.8, 0.95]), trail = [start];
  for (let t = 1; t <= steps; t++) {
    const { slope } = elbo(model, trail[t - 1]);
    if (!full) slope[3] = 0;
    climb(slope, t > 250 ? 0.005 : 0.05);
    trail.push({ m1: at[0], m2: at[1], k11: Math.exp(at[2]), k21: at[3], k22: Math.exp(at[4]) });
  }
  return trail;
}
