/** Climbing a smooth function of a few numbers: BFGS with steps that are shortened until they rise. */

import { dot } from "./vectors.js";

/** @typedef {{ value: number, slope: Float64Array }} Height */

/**
 * The top of the hill that a start lies on.
 * @param {(at: Float64Array) => Height} height
 * @param {ArrayLike<number>} start
 * @param {ArrayLike<number>} scale rough squared lengths of the hill in each direction
 * @param {{ steps?: number, tolerance?: number, longest?: number }} [limits] steps at most; gain that counts as none;
 *   how far a step goes at most, in any direction
 * @returns {{ at: Float64Array, value: number }} never lower than the start
 */
export function climb(height, start, scale, { steps = 60, tolerance = 1e-9, longest = 1 } = {}) {
  const n = start.length;
  let at = Float64Array.from(start), here = height(at);
  /** @type {number[][]} */
  let inverse = Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => (i === j ? scale[i] : 0)));
  for (let k = 0, fresh = true; k < steps; k++) {
    let way = inverse.map((row) => dot(row, here.slope)), rise = dot(way, here.slope);
    if (!(rise > 0)) {
      way = Array.from(here.slope, (slope, i) => slope * scale[i]);
      rise = dot(way, here.slope);
    }
    if (rise < tolerance) break;
    let rate = Math.min(1, longest / Math.max(...way.map(Math.abs))), to = at, there = here, found = false;
    for (let tries = 0; tries < 40 && !found; tries++, rate /= 3) {
      to = at.map((value, i) => value + rate * way[i]);
      there = height(to);
      found = there.value > here.value + 1e-4 * rate * rise;
    }
    if (!found) {
      if (fresh) break;
      inverse = inverse.map((row, i) => row.map((_, j) => (i === j ? scale[i] : 0)));
      fresh = true;
      continue;
    }
    const s = at.map((value, i) => to[i] - value), y = at.map((_, i) => here.slope[i] - there.slope[i]), sy = dot(s, y);
    const gain = there.value - here.value;
    at = to;
    here = there;
    fresh = false;
    if (sy > 1e-12) inverse = updated(inverse, s, y, sy);
    if (gain < tolerance && dot(inverse.map((row) => dot(row, here.slope)), here.slope) < tolerance) break;
  }
  return { at, value: here.value };
}

/**
 * @param {number[][]} inverse
 * @param {Float64Array} s
 * @param {Float64Array} y
 * @param {number} sy
 * @returns {number[][]} the inverse of the curvature, with what a step has shown
 */
function updated(inverse, s, y, sy) {
  const hy = inverse.map((row) => dot(row, y)), factor = (1 + dot(hy, y) / sy) / sy;
  return inverse.map((row, i) => row.map((value, j) => value + factor * s[i] * s[j] - (hy[i] * s[j] + s[i] * hy[j]) / sy));
}
