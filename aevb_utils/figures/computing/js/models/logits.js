/** Chapter 3's free parameters of the mixture's q: λ_i for each datum, q_i = softmax(λ_i). */

import { softmax, sum } from "../numbers/vectors.js";
import { logJoint } from "./mixture.js";

/** @typedef {import("./mixture.js").Point} Point */
/** @typedef {import("./mixture.js").Mixture} Mixture */

/**
 * The gradient of the ELBO in λ, eq. (3.6).
 * @param {readonly Point[]} x
 * @param {number[][]} lambda
 * @param {Mixture} theta
 * @returns {number[][]} a row for each datum
 */
export function logitSlopes(x, lambda, theta) {
  return logJoint(x, theta).map((row, i) => {
    const q = softmax(lambda[i]);
    const bracket = row.map((value, c) => (q[c] > 0 ? value - Math.log(q[c]) : 0));
    const elbo = sum(bracket.map((value, c) => q[c] * value));
    return bracket.map((value, c) => q[c] * (value - elbo));
  });
}
