/** Chapter 5's gradients of E[f(z)] in φ, with z ~ N(φ, σ²): samples of three estimators, and their exact moments. */

import { linspace, trapezoid } from "../numbers/vectors.js";

/** @typedef {{ score: number, baseline: number, path: number }} Estimates */

const GRID = linspace(-12, 12, 2401), SPACING = GRID[1] - GRID[0];
const DENSITY = GRID.map((e) => Math.exp(-0.5 * e * e) / Math.sqrt(2 * Math.PI));

/**
 * What one draw of ε says: score function (5.3), with b = E[f] (5.5), and pathwise (5.8).
 * @param {(z: number) => number} f
 * @param {(z: number) => number} slope of f
 * @param {number} phi
 * @param {number} sigma
 * @param {number} epsilon
 * @param {number} level b
 * @returns {Estimates}
 */
export function estimates(f, slope, phi, sigma, epsilon, level) {
  const z = phi + sigma * epsilon, value = f(z);
  return { score: (value * epsilon) / sigma, baseline: ((value - level) * epsilon) / sigma, path: slope(z) };
}

/**
 * E[f], the gradient and the variances of one draw, by the trapezoidal rule, exact to rounding for a smooth f.
 * @param {(z: number) => number} f
 * @param {(z: number) => number} slope of f
 * @param {number} phi
 * @param {number} sigma
 * @returns {{ level: number, gradient: number, variances: Estimates }}
 */
export function exactMoments(f, slope, phi, sigma) {
  const mean = (/** @type {number[]} */ values) => trapezoid(values.map((value, i) => value * DENSITY[i]), SPACING);
  const level = mean(GRID.map((e) => f(phi + sigma * e)));
  const all = GRID.map((e) => estimates(f, slope, phi, sigma, e, level));
  const gradient = mean(all.map(({ score }) => score));
  const variance = (/** @type {keyof Estimates} */ name) => {
    const centre = mean(all.map((one) => one[name]));
    return mean(all.map((one) => (one[name] - centre) ** 2));
  };
  return {
    level,
    gradient,
    variances: { score: variance("score"), baseline: variance("baseline"), path: variance("path") },
  };
}
