/** Chapter 1's curved model (1.5), for one datum: z ~ N(0, 1), x_d given z ~ N(a_d + b_d z + c_d z², σ²). */

import { linspace, logSumExp, trapezoid } from "../numbers/vectors.js";

/**
 * @typedef {object} Curve
 * @property {number[]} a
 * @property {number[]} b
 * @property {number[]} c
 * @property {number} log_sigma
 */

const LOG_2PI = Math.log(2 * Math.PI);

/**
 * log p(x, z), in nats.
 * @param {number[]} x
 * @param {number} z
 * @param {Curve} theta
 * @returns {number}
 */
export function logJoint(x, z, theta) {
  const { a, b, c, log_sigma } = theta;
  const variance = Math.exp(2 * log_sigma);
  let total = -0.5 * (LOG_2PI + z * z);
  for (let d = 0; d < x.length; d++) {
    const r = x[d] - a[d] - b[d] * z - c[d] * z * z;
    total -= 0.5 * (LOG_2PI + (r * r) / variance) + log_sigma;
  }
  return total;
}

/**
 * log p(x), eq. (1.8): the sum over the chapter's grid.
 * @param {number[]} x
 * @param {Curve} theta
 * @returns {number} nats
 */
export function logEvidence(x, theta) {
  const grid = linspace(-10, 10, 1001);
  return logSumExp(grid.map((z) => logJoint(x, z, theta))) + Math.log(grid[1] - grid[0]);
}

/**
 * The ELBO of q = N(mean, sd²), eq. (1.22), and its slopes.
 * @param {number[]} x
 * @param {number} mean
 * @param {number} sd
 * @param {Curve} theta
 * @returns {{ elbo: number, byMean: number, bySd: number }} nats
 */
export function elbo(x, mean, sd, theta) {
  const { a, b, c, log_sigma } = theta;
  const variance = Math.exp(2 * log_sigma), s2 = sd * sd;
  let R = 0, byMean = 0, bySd = 0;
  for (let d = 0; d < x.length; d++) {
    const r = x[d] - a[d] - b[d] * mean - c[d] * mean * mean;
    const g = b[d] + 2 * c[d] * mean;
    R += r * r + s2 * g * g - 2 * s2 * r * c[d] + 3 * s2 * s2 * c[d] * c[d];
    byMean += -2 * r * g + 4 * s2 * g * c[d] + 2 * s2 * g * c[d];
    bySd += 2 * sd * g * g - 4 * sd * r * c[d] + 12 * s2 * sd * c[d] * c[d];
  }
  const reconstruction = -0.5 * (x.length * (LOG_2PI + 2 * log_sigma) + R / variance);
  const kl = 0.5 * (s2 + mean * mean - 1) - Math.log(sd);
  return {
    elbo: reconstruction - kl,
    byMean: -byMean / (2 * variance) - mean,
    bySd: -bySd / (2 * variance) - sd + 1 / sd,
  };
}

/**
 * KL(q ‖ p(z given x)), by quadrature on a grid of its own as wide as q, which knows nothing of the ELBO.
 * @param {number[]} x
 * @param {number} mean
 * @param {number} sd
 * @param {Curve} theta
 * @param {number} [evidence] log p(x), where it is known
 * @returns {number} nats
 */
export function klToPosterior(x, mean, sd, theta, evidence = logEvidence(x, theta)) {
  const grid = linspace(mean - 10 * sd, mean + 10 * sd, 1301);
  const terms = grid.map((z) => {
    const logQ = -0.5 * (LOG_2PI + ((z - mean) / sd) ** 2) - Math.log(sd);
    return Math.exp(logQ) * (logQ - logJoint(x, z, theta) + evidence);
  });
  return trapezoid(terms, grid[1] - grid[0]);
}

/**
 * The posterior's density at points.
 * @param {number[]} x
 * @param {number[]} points
 * @param {Curve} theta
 * @returns {number[]}
 */
export function posterior(x, points, theta) {
  const log = logEvidence(x, theta);
  return points.map((z) => Math.exp(logJoint(x, z, theta) - log));
}
