/** Chapter 2's Gaussian mixture in the plane, and the two steps of EM on it. All answers are in nats, for all data. */

import { cholesky } from "../numbers/plane.js";
import { logSumExp, sum } from "../numbers/vectors.js";

/** @typedef {[number, number]} Point */
/** @typedef {import("../numbers/plane.js").Symmetric} Symmetric */

/**
 * @typedef {object} Mixture θ
 * @property {number[]} weights π, sum to one
 * @property {Point[]} means μ
 * @property {Symmetric[]} covariances Σ
 */

/** EM cannot go on: a component has lost its data, or has collapsed. */
export class FitError extends Error {}

const LOG_2PI = Math.log(2 * Math.PI);

/**
 * log p(x_i, z_i = c), eq. (2.1).
 * @param {readonly Point[]} x
 * @param {Mixture} theta
 * @returns {number[][]} a row for each datum
 */
export function logJoint(x, { weights, means, covariances }) {
  const ready = covariances.map((covariance, c) => {
    const factor = cholesky(covariance);
    if (!factor) throw new FitError(`Component ${c + 1} has collapsed onto too few points.`);
    const [k11, k21, k22] = factor;
    return { k11, k21, k22, constant: Math.log(weights[c]) - Math.log(k11 * k22) - LOG_2PI };
  });
  return x.map((point) => ready.map(({ k11, k21, k22, constant }, c) => {
    const u = (point[0] - means[c][0]) / k11, v = (point[1] - means[c][1] - k21 * u) / k22;
    return constant - 0.5 * (u * u + v * v);
  }));
}

/**
 * The E-step, eqs. (2.6) and (2.2).
 * @param {readonly Point[]} x
 * @param {Mixture} theta
 * @returns {{ q: number[][], evidence: number }} responsibilities, a row for each datum; log p of all data
 */
export function eStep(x, theta) {
  let evidence = 0;
  const q = logJoint(x, theta).map((row) => {
    const log = logSumExp(row);
    evidence += log;
    return row.map((value) => Math.exp(value - log));
  });
  return { q, evidence };
}

/**
 * The ELBO at any q, eq. (2.4).
 * @param {readonly Point[]} x
 * @param {number[][]} q
 * @param {Mixture} theta
 * @returns {number}
 */
export function elbo(x, q, theta) {
  const joint = logJoint(x, theta);
  return sum(joint.map((row, i) => sum(row.map((value, c) => (q[i][c] > 0 ? q[i][c] * (value - Math.log(q[i][c])) : 0)))));
}

/**
 * KL from q to the responsibilities, straight from its definition.
 * @param {readonly Point[]} x
 * @param {number[][]} q
 * @param {Mixture} theta
 * @returns {number}
 */
export function klToPosterior(x, q, theta) {
  return sum(logJoint(x, theta).map((row, i) => {
    const log = logSumExp(row);
    return sum(row.map((value, c) => (q[i][c] > 0 ? q[i][c] * (Math.log(q[i][c]) - (value - log)) : 0)));
  }));
}

/**
 * The M-step, eqs. (2.7) to (2.9): the θ that maximizes the ELBO at this q, with a floor added to the variances.
 * @param {readonly Point[]} x
 * @param {number[][]} q
 * @param {Point} floor of the variance of each column, see `floorFor`
 * @returns {Mixture}
 */
export function mStep(x, q, floor) {
  const weights = [], means = [], covariances = [];
  for (let c = 0; c < q[0].length; c++) {
    let count = 0, sx = 0, sy = 0;
    for (let i = 0; i < x.length; i++) {
      count += q[i][c];
      sx += q[i][c] * x[i][0];
      sy += q[i][c] * x[i][1];
    }
    if (!(count >= 1e-8)) throw new FitError(`Component ${c + 1} has died: no data are left to it.`);
    const mx = sx / count, my = sy / count;
    let xx = 0, xy = 0, yy = 0;
    for (let i = 0; i < x.length; i++) {
      const u = x[i][0] - mx, v = x[i][1] - my;
      xx += q[i][c] * u * u;
      xy += q[i][c] * u * v;
      yy += q[i][c] * v * v;
    }
    weights.push(count / x.length);
    means.push(/** @type {Point} */ ([mx, my]));
    covariances.push(/** @type {Symmetric} */ ([xx / count + floor[0], xy / count, yy / count + floor[1]]));
  }
  return { weights, means, covariances };
}

/**
 * Mean and covariance of all data.
 * @param {readonly Point[]} x
 * @returns {{ mean: Point, covariance: Symmetric }}
 */
export function moments(x) {
  const N = x.length, mx = sum(x.map((p) => p[0])) / N, my = sum(x.map((p) => p[1])) / N;
  const mean2 = (/** @type {(p: Point) => number} */ f) => sum(x.map(f)) / N;
  return {
    mean: [mx, my],
    covariance: [mean2((p) => (p[0] - mx) ** 2), mean2((p) => (p[0] - mx) * (p[1] - my)), mean2((p) => (p[1] - my) ** 2)],
  };
}

/**
 * The book's floor of each column's variance: 1e-6 of that of the data.
 * @param {readonly Point[]} x
 * @returns {Point}
 */
export function floorFor(x) {
  const [xx, , yy] = moments(x).covariance, other = xx > 0 && yy > 0 ? 0 : xx + yy;
  return [1e-6 * (xx > 0 ? xx : other), 1e-6 * (yy > 0 ? yy : other)];
}

/**
 * A start: equal weights, some points as means, the covariance of all data and the floor.
 * @param {readonly Point[]} x
 * @param {Point[]} means
 * @returns {Mixture}
 */
export function startAt(x, means) {
  const [xx, xy, yy] = moments(x).covariance, floor = floorFor(x);
  return {
    weights: means.map(() => 1 / means.length),
    means: means.map(([u, v]) => [u, v]),
    covariances: means.map(() => [xx + floor[0], xy, yy + floor[1]]),
  };
}
