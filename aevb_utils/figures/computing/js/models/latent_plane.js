/** The plane of chapter 4's two latents: a grid that knows the decoder, and what it says about one digit. */

import { defineJob } from "../frame/jobs.js";
import { climb } from "../numbers/climb.js";
import { clamp, logSumExp } from "../numbers/vectors.js";
import { D, binomialVae, decode, elbo, elboAndSlope, encode, logChoose, logJoint, partOfZ, refine } from "./binomial_vae.js";

/**
 * @typedef {object} Grid midpoints of side² cells of the square from −LIMIT to LIMIT
 * @property {number} side
 * @property {Float32Array} logits (side², 64), z₂ running fastest
 * @property {Float64Array} ofZ what log p(x, z) has without x, (side²)
 */

/** @typedef {{ z1: number, z2: number }} Place */

/**
 * @typedef {object} Seen what a grid says about a digit
 * @property {number} evidence log p(x) in nats, as far as the grid is fine enough
 * @property {Float64Array} cells midpoints of the cells that matter, as pairs of coordinates
 * @property {Place[]} peaks of the posterior, the highest first
 * @property {boolean} edge whether the posterior reaches the grid's edge, so that the sum over the grid is not all of p(x)
 * @property {number[][]} near two corners of a box around the points that the posterior has in sight
 */

export const LIMIT = 6.5;
export const STEPS = 100; // of refinement
export const SIDES = [87, 261]; // of the grids, a coarse one first
const FAR = 25, DEEPEST = 4, FEW = 50, IN_SIGHT = 4, AT_EDGE = 10, ORDER = 6, MOST_PEAKS = 3, KEEP = 12;

/** @param {number} i @param {number} side @returns {number} the midpoint of a cell */
export const midpoint = (i, side) => LIMIT * ((2 * i + 1) / side - 1);

/**
 * A job: the grids, a coarse one first.
 * @param {{ weights: ArrayLike<number> }} input
 * @returns {Generator<Grid | undefined, void>}
 */
export function* latentGrids({ weights }) {
  const model = binomialVae(weights);
  for (const side of SIDES) {
    const logits = new Float32Array(side * side * D), ofZ = new Float64Array(side * side);
    for (let i = 0, g = 0; i < side; i++) {
      for (let j = 0; j < side; j++, g++) {
        const eta = decode(model, midpoint(i, side), midpoint(j, side));
        logits.set(eta, g * D);
        ofZ[g] = partOfZ(eta, midpoint(i, side), midpoint(j, side));
      }
      yield;
    }
    yield { side, logits, ofZ };
  }
}

/**
 * log p(x, z) at each point of a grid, without the binomial coefficients.
 * @param {Grid} grid
 * @param {ArrayLike<number>} x
 * @returns {Float64Array}
 */
export function logJointTable({ logits, ofZ }, x) {
  const inked = Array.from({ length: D }, (_, d) => d).filter((d) => x[d] > 0), counts = inked.map((d) => x[d]);
  return ofZ.map((start, g) => {
    let total = start;
    for (let k = 0, from = g * D; k < inked.length; k++) total += counts[k] * logits[from + inked[k]];
    return total;
  });
}

/**
 * What a table of log p(x, z) says: log p(x) as far as the grid is fine enough, the cells that matter, the peaks.
 * @param {Grid} grid
 * @param {Float64Array} table
 * @param {ArrayLike<number>} x
 * @returns {Seen}
 */
export function look({ side }, table, x) {
  const top = table.reduce((high, value) => Math.max(high, value), -Infinity);
  const far = table.reduce((count, value) => count + Number(value > top - FAR), 0) < FEW ? 3 * FAR : FAR; // a narrow peak hides between points
  const cells = [], near = [[LIMIT, LIMIT], [-LIMIT, -LIMIT]];
  /** @type {{ height: number, place: Place }[]} */
  const peaks = [];
  let edge = false;
  for (let i = 0, g = 0; i < side; i++) {
    for (let j = 0; j < side; j++, g++) {
      const height = table[g];
      if (height < top - far) continue;
      const place = { z1: midpoint(i, side), z2: midpoint(j, side) };
      cells.push(place.z1, place.z2);
      edge ||= height > top - AT_EDGE && (i % (side - 1) === 0 || j % (side - 1) === 0);
      if (height > top - IN_SIGHT) [Math.min, Math.max].forEach((end, k) => { near[k] = [end(near[k][0], place.z1), end(near[k][1], place.z2)]; });
      const around = [-1, 0, 1].flatMap((a) => [-1, 0, 1].map((b) => [i + a, j + b]));
      const below = around.every(([a, b]) => a < 0 || b < 0 || a >= side || b >= side || table[a * side + b] <= height);
      if (below && height > top - 0.8 * far) peaks.push({ height, place });
    }
  }
  peaks.sort((a, b) => b.height - a.height);
  const evidence = logSumExp(table) + 2 * Math.log((2 * LIMIT) / side) + logChoose(x);
  return { evidence, cells: Float64Array.from(cells), peaks: peaks.slice(0, MOST_PEAKS).map(({ place }) => place), edge, near };
}

/**
 * A table's value between its points, by cubic lines through four points along each coordinate.
 * @param {number} side
 * @param {Float64Array} table
 * @param {number} z1
 * @param {number} z2
 * @returns {number}
 */
export function valueAt(side, table, z1, z2) {
  const [[i, u], [j, v]] = [z1, z2].map((z) => {
    const at = clamp(((z / LIMIT + 1) * side - 1) / 2, 1, side - 2.001), cell = Math.floor(at);
    return [cell, at - cell];
  });
  const along = (/** @type {number} */ a) => cubic(v, table[a * side + j - 1], table[a * side + j], table[a * side + j + 1], table[a * side + j + 2]);
  return cubic(u, along(i - 1), along(i), along(i + 1), along(i + 2));
}

/** @param {number} t @param {number} a @param {number} b @param {number} c @param {number} d @returns {number} */
function cubic(t, a, b, c, d) {
  return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)));
}

/**
 * log p(x), eq. (4.11), over the cells that matter, on grids that are three times as fine each, until the points lie about
 * as close as the posterior is narrow, where the midpoint rule is right to six digits. What lies far below the top is not
 * summed finer: it counts as the coarser grid has it.
 * @param {import("./binomial_vae.js").Model} model
 * @param {ArrayLike<number>} x
 * @param {Float64Array} cells
 * @param {number} side of the grid that the cells are from
 * @returns {number} nats
 */
function fineEvidence(model, x, cells, side) {
  let h = (2 * LIMIT) / side, middles = cells, offsets = [[0, 0]];
  const sums = [];
  for (let level = 0; ; level++) {
    const points = new Float64Array(offsets.length * middles.length), values = new Float64Array(points.length / 2);
    let top = 0;
    for (let c = 0, at = 0; c < middles.length; c += 2) {
      for (const [a, b] of offsets) {
        points[2 * at] = middles[c] + a * h;
        points[2 * at + 1] = middles[c + 1] + b * h;
        values[at] = logJoint(model, x, points[2 * at], points[2 * at + 1]);
        if (values[at] > values[top]) top = at;
        at++;
      }
    }
    const narrow = narrowest(model, x, points[2 * top], points[2 * top + 1], h / 4);
    const done = level === DEEPEST || h < (level ? 1.15 : 0.5) * narrow;
    const least = done ? Infinity : values[top] - KEEP - (h / narrow) ** 2 / 4;
    sums.push(logSumExp(values.filter((value) => value <= least)) + 2 * Math.log(h));
    if (done) return logSumExp(sums) + logChoose(x);
    middles = points.filter((_, i) => values[i >> 1] > least);
    offsets = [-1, 0, 1].flatMap((a) => [-1, 0, 1].map((b) => [a, b]));
    h /= 3;
  }
}

/**
 * The smallest standard deviation of a Gaussian that bends as log p(x, z) does at a point.
 * @param {import("./binomial_vae.js").Model} model
 * @param {ArrayLike<number>} x
 * @param {number} z1
 * @param {number} z2
 * @param {number} d
 * @returns {number}
 */
function narrowest(model, x, z1, z2, d) {
  const at = (/** @type {number} */ a, /** @type {number} */ b) => logJoint(model, x, z1 + a * d, z2 + b * d), middle = at(0, 0);
  const [xx, yy] = [[1, 0], [0, 1]].map(([a, b]) => 2 * middle - at(a, b) - at(-a, -b));
  const xy = (at(1, -1) + at(-1, 1) - at(1, 1) - at(-1, -1)) / 4;
  return d / Math.sqrt(Math.max((xx + yy) / 2 + Math.hypot((xx - yy) / 2, xy), 1e-12));
}

/**
 * λ* of the best q, eq. (4.5), that is found from some starts.
 * @param {import("./binomial_vae.js").Model} model
 * @param {ArrayLike<number>} x
 * @param {import("./binomial_vae.js").Lambda[]} starts
 * @returns {Float64Array}
 */
export function best(model, x, starts) {
  const ends = starts.map((start) => {
    const scale = [Math.exp(2 * start[2]), Math.exp(2 * start[3]), 0.5, 0.5];
    return climb((at) => elboAndSlope(model, x, at, ORDER), start, scale, { tolerance: 1e-7 });
  });
  return ends.reduce((high, end) => (end.value > high.value ? end : high)).at;
}

/**
 * A start for the search of q* on a peak of the posterior: as wide as the curvature says.
 * @param {import("./binomial_vae.js").Model} model
 * @param {ArrayLike<number>} x
 * @param {Place} peak
 * @returns {number[]} λ
 */
function onPeak(model, x, { z1, z2 }) {
  const h = 0.02, at = (/** @type {number} */ a, /** @type {number} */ b) => logJoint(model, x, z1 + a, z2 + b), middle = at(0, 0);
  const bends = [[h, 0], [0, h]].map(([a, b]) => -(at(a, b) + at(-a, -b) - 2 * middle) / (h * h));
  return [z1, z2, ...bends.map((bend) => -0.5 * Math.log(clamp(bend, 1, 1e4)))];
}

/**
 * @typedef {object} Answer what is known so far about one digit, in nats
 * @property {number} evidence log p(x)
 * @property {Float64Array} star λ of q*
 * @property {number} elboStar its ELBO
 * @property {Float64Array[]} [trail] λ after each step of refinement, the encoder's first
 */

/**
 * A job: all that is searched for about one digit, the evidence and q* first.
 * @param {{ weights: ArrayLike<number>, x: number[], cells: Float64Array, side: number, peaks: Place[] }} input
 * @returns {Generator<Answer | undefined, Answer>}
 */
export function* answer(input) {
  const { x, cells, side, peaks } = input, model = binomialVae(input.weights), lambda = encode(model, x);
  const evidence = fineEvidence(model, x, cells, side);
  yield;
  let star = best(model, x, [lambda, ...peaks.map((peak) => onPeak(model, x, peak))]);
  yield { evidence, star, elboStar: elbo(model, x, star) };
  const trail = [];
  for (const work = refine(model, x, lambda, STEPS); ;) {
    const step = work.next();
    if (step.done) {
      trail.push(...step.value);
      break;
    }
    yield;
  }
  const end = trail[STEPS];
  if (elbo(model, x, end) > elbo(model, x, star)) star = best(model, x, [star, end]);
  return { evidence, star, elboStar: elbo(model, x, star), trail };
}

defineJob("latent grids", latentGrids);
defineJob("digit", answer);
