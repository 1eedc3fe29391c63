/** Chapter 2's Gaussian mixture, and the two steps of EM on it. All answers are in nats, for all data. */

import { cholesky, cell } from "../numbers/symmetric.js";
import { logSumExp, sum } from "../numbers/vectors.js";

/** @typedef {number[]} Point D numbers */
/** @typedef {import("../numbers/symmetric.js").Packed} Packed */

/**
 * @typedef {object} Mixture θ
 * @property {number[]} weights π, sum to one
 * @property {Point[]} means μ
 * @property {Packed[]} covariances Σ
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
  const D = means[0].length, u = new Float64Array(D);
  const ready = covariances.map((covariance, c) => {
    const factor = cholesky(covariance, D);
    if (!factor) throw new FitError(`Component ${c + 1} has collapsed onto too few points.`);
    let constant = Math.log(weights[c]) - (D / 2) * LOG_2PI;
    for (let d = 0; d < D; d++) constant -= Math.log(factor[cell(d, d)]);
    return { factor, constant };
  });
  return x.map((point) => ready.map(({ factor, constant }, c) => {
    let square = 0;
    for (let d = 0, at = 0; d < D; d++) { // K u = x − μ, row by row
      let rest = point[d] - means[c][d];
      for (let e = 0; e < d; e++, at++) rest -= factor[at] * u[e];
      u[d] = rest / factor[at++];
      square += u[d] * u[d];
    }
    return constant - 0.5 * square;
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
 * @param {number[]} floor of the variance of each column, see `floorFor`
 * @returns {Mixture}
 */
export function mStep(x, q, floor) {
  const D = x[0].length, weights = [], means = [], covariances = [];
  for (let c = 0; c < q[0].length; c++) {
    const share = q.map((row) => row[c]), count = sum(share);
    if (!(count >= 1e-8)) throw new FitError(`Component ${c + 1} has died: no data are left to it.`);
    const { mean, covariance } = weighted(x, share, count);
    for (let d = 0; d < D; d++) covariance[cell(d, d)] += floor[d];
    weights.push(count / x.length);
    means.push(mean);
    covariances.push(covariance);
  }
  return { weights, means, covariances };
}

/**
 * @param {readonly Point[]} x
 * @param {readonly number[]} share of each datum
 * @param {number} count their sum
 * @returns {{ mean: Point, covariance: Packed }}
 */
function weighted(x, share, count) {
  const D = x[0].length, mean = new Array(D).fill(0), covariance = new Array((D * (D + 1)) / 2).fill(0);
  x.forEach((point, i) => point.forEach((value, d) => { mean[d] += (share[i] * value) / count; }));
  for (let i = 0; i < x.length; i++) {
    for (let d = 0, at = 0; d < D; d++) {
      const part = (share[i] * (x[i][d] - mean[d])) / count;
      for (let e = 0; e <= d; e++, at++) covariance[at] += part * (x[i][e] - mean[e]);
    }
  }
  return { mean, covariance };
}

/**
 * Mean and covariance of all data.
 * @param {readonly Point[]} x
 * @returns {{ mean: Point, covariance: Packed }}
 */
export function moments(x) {
  return weighted(x, new Array(x.length).fill(1), x.length);
}

/**
 * The book's floor of each column's variance: 1e-6 of that of the data; where a column does not vary, the others' mean.
 * @param {readonly Point[]} x
 * @returns {number[]}
 */
export function floorFor(x) {
  const { covariance } = moments(x), variances = x[0].map((_, d) => covariance[cell(d, d)]);
  const others = sum(variances) / Math.max(1, variances.filter((variance) => variance > 0).length);
  return variances.map((variance) => 1e-6 * (variance > 0 ? variance : others));
}

/**
 * Whether all components have the same mean and covariance: a saddle of the likelihood, which EM does not leave.
 * @param {Mixture} theta
 * @returns {boolean}
 */
export function areAlike({ means, covariances }) {
  const spread = covariances[0].map((_, k) => Math.abs(covariances[0][k])).reduce((most, value) => Math.max(most, value), 0);
  const near = (/** @type {number[]} */ a, /** @type {number[]} */ b, /** @type {number} */ scale) =>
    a.every((value, k) => Math.abs(value - b[k]) < 1e-6 * scale);
  return means.length > 1 && means.every((mean, c) => near(mean, means[0], Math.sqrt(spread)) && near(covariances[c], covariances[0], spread));
}

/**
 * Whether a component has no width left but the floor, in every direction or in one, so that the likelihood has no top.
 * @param {readonly Point[]} x
 * @param {Mixture} theta
 * @returns {"shrunk onto a point" | "become flat" | null}
 */
export function shrunk(x, { means, covariances }) {
  const D = means[0].length, floor = floorFor(x);
  const kinds = covariances.map((covariance) => {
    const factor = cholesky(covariance, D), thin = floor.map((least, d) => !factor || factor[cell(d, d)] ** 2 < 10 * least);
    return thin.every(Boolean) ? "shrunk onto a point" : thin.some(Boolean) ? "become flat" : null;
  });
  return kinds.find((kind) => kind === "shrunk onto a point") ?? kinds.find(Boolean) ?? null;
}

/**
 * A start: equal weights, some points as means, the covariance of all data and the floor.
 * @param {readonly Point[]} x
 * @param {Point[]} means
 * @param {number[]} [floor] of the variance of each column
 * @returns {Mixture}
 */
export function startAt(x, means, floor = floorFor(x)) {
  const { covariance } = moments(x);
  floor.forEach((value, d) => { covariance[cell(d, d)] += value; });
  return {
    weights: means.map(() => 1 / means.length),
    means: means.map((mean) => [...mean]),
    covariances: means.map(() => [...covariance]),
  };
}
