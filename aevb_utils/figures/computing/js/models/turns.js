/**
 * Learning chapter 2's mixture in the plane on each rung of the ladder: q exact, from a table of λ (chapter 3) or from a network
 * (chapter 4); θ in closed form or by gradient; all rows at a time, or a few; φ and θ in turns, or both at once (chapter 6).
 * Gradients are written out, and Adam climbs them. All answers are in nats per datum.
 */

import { adam } from "../numbers/adam.js";
import { cholesky } from "../numbers/symmetric.js";
import { FitError, floorFor, mStep } from "./mixture.js";

/** @typedef {import("./mixture.js").Point} Point */
/** @typedef {import("./mixture.js").Mixture} Mixture */

/**
 * @typedef {object} Setting of the dials
 * @property {"exact" | "table" | "network"} q where q comes from
 * @property {number} inner gradient steps of q in a turn; no matter where q is exact
 * @property {boolean} closed whether θ takes its closed form, and not one gradient step
 * @property {number} rows in a minibatch
 */

/**
 * @typedef {object} Noted what is noted of a run
 * @property {number} passes readings of a row so far, over the number of rows
 * @property {number} elbo
 * @property {number} evidence
 * @property {number} kl from q to the posterior
 */

const LOG_2PI = Math.log(2 * Math.PI), PER = 6; // free numbers of a component: α, μ₁, μ₂, κ₁₁, κ₂₁, κ₂₂
const RATES = { table: 0.3, network: 0.03, theta: 0.03 };

/** Numbers that Adam moves up a gradient, which is gathered. */
class Adam {
  /** @param {Float64Array} values that it moves @param {number} rate */
  constructor(values, rate) {
    this.values = values;
    this.rate = rate;
    this.gradient = new Float64Array(values.length);
    this.up = adam(values);
  }

  /** Take a step, and forget the gradient. */
  step() {
    this.up(this.gradient, this.rate);
    this.gradient.fill(0);
  }
}

/**
 * θ as free numbers, eq. (3.4), component by component.
 * @param {Mixture} theta
 * @returns {Float64Array}
 */
function toFree({ weights, means, covariances }) {
  const free = new Float64Array(PER * weights.length);
  covariances.forEach((covariance, c) => {
    const factor = cholesky(covariance, 2);
    if (!factor) throw new FitError(`Component ${c + 1} has collapsed onto too few points.`);
    const [k11, k21, k22] = factor;
    free.set([Math.log(weights[c]), means[c][0], means[c][1], Math.log(k11), k21, Math.log(k22)], PER * c);
  });
  return free;
}

/**
 * θ of free numbers, eq. (3.4).
 * @param {Float64Array} free
 * @returns {Mixture}
 */
function fromFree(free) {
  /** @type {Mixture} */
  const theta = { weights: [], means: [], covariances: [] };
  let total = 0;
  for (let at = 0; at < free.length; at += PER) total += Math.exp(free[at]);
  for (let at = 0; at < free.length; at += PER) {
    const k11 = Math.exp(free[at + 3]), k21 = free[at + 4], k22 = Math.exp(free[at + 5]);
    theta.weights.push(Math.exp(free[at]) / total);
    theta.means.push([free[at + 1], free[at + 2]]);
    theta.covariances.push([k11 * k11, k11 * k21, k21 * k21 + k22 * k22]);
  }
  return theta;
}

/** λ_i of each datum, a row of its own, eq. (3.6): all 0 at first, so that q is even. */
class Table {
  /** @param {number} N @param {number} C */
  constructor(N, C) {
    this.C = C;
    this.adam = new Adam(new Float64Array(N * C), RATES.table);
  }

  /** @param {number} i @param {Float64Array} logits filled */
  forward(i, logits) {
    for (let c = 0; c < this.C; c++) logits[c] = this.adam.values[i * this.C + c];
  }

  /** @param {number} i @param {Float64Array} slope by the logits */
  backward(i, slope) {
    for (let c = 0; c < this.C; c++) this.adam.gradient[i * this.C + c] += slope[c];
  }
}

/** f_φ of eq. (4.1): one hidden layer of tanh, or none, on standardized data. The last layer is 0 at first: q is even. */
class Network {
  /**
   * @param {readonly Point[]} x whose mean and standard deviation standardize the input
   * @param {number} C
   * @param {number} hidden units
   * @param {() => number} uniform
   */
  constructor(x, C, hidden, uniform) {
    const N = x.length, center = [0, 1].map((d) => x.reduce((total, row) => total + row[d], 0) / N);
    const scale = center.map((m, d) => Math.sqrt(x.reduce((total, row) => total + (row[d] - m) ** 2, 0) / (N - 1)));
    this.C = C;
    this.hidden = hidden;
    this.inputs = x.map((row) => row.map((value, d) => (value - center[d]) / scale[d]));
    this.units = new Float64Array(hidden);
    const first = 3 * hidden, values = new Float64Array(first + C * ((hidden || 2) + 1));
    for (let k = 0; k < first; k++) values[k] = (2 * uniform() - 1) / Math.SQRT2; // as torch's Linear begins
    this.adam = new Adam(values, RATES.network);
  }

  /** @param {number} i @param {Float64Array} logits filled */
  forward(i, logits) {
    const { C, hidden, units, adam: { values } } = this, input = this.inputs[i], first = 3 * hidden, width = hidden || 2;
    for (let h = 0; h < hidden; h++) {
      units[h] = Math.tanh(values[2 * h] * input[0] + values[2 * h + 1] * input[1] + values[2 * hidden + h]);
    }
    const last = hidden ? units : input;
    for (let c = 0; c < C; c++) {
      let total = values[first + C * width + c];
      for (let h = 0; h < width; h++) total += values[first + c * width + h] * last[h];
      logits[c] = total;
    }
  }

  /** Add Jᵀ times a slope, eq. (4.3), right after the datum's `forward`.
   * @param {number} i @param {Float64Array} slope by the logits */
  backward(i, slope) {
    const { C, hidden, units, adam: { values, gradient } } = this, input = this.inputs[i], first = 3 * hidden, width = hidden || 2;
    const last = hidden ? units : input;
    for (let c = 0; c < C; c++) {
      gradient[first + C * width + c] += slope[c];
      for (let h = 0; h < width; h++) gradient[first + c * width + h] += slope[c] * last[h];
    }
    for (let h = 0; h < hidden; h++) {
      let wish = 0;
      for (let c = 0; c < C; c++) wish += slope[c] * values[first + c * width + h];
      wish *= 1 - units[h] * units[h];
      gradient[2 * h] += wish * input[0];
      gradient[2 * h + 1] += wish * input[1];
      gradient[2 * hidden + h] += wish;
    }
  }
}

/** Learning from a start, turn by turn, as the dials are set. */
export class Run {
  /**
   * @param {readonly Point[]} x
   * @param {Mixture} start
   * @param {Setting} setting
   * @param {object} given
   * @param {number} given.hidden units of the network
   * @param {() => number} given.uniform random numbers in [0, 1), for the network's start
   * @param {(items: number[]) => number[]} given.shuffled puts the rows into the order of an epoch
   */
  constructor(x, start, setting, { hidden, uniform, shuffled }) {
    this.x = x;
    this.setting = setting;
    this.C = start.weights.length;
    this.theta = new Adam(toFree(start), RATES.theta);
    this.inference = setting.q === "network" ? new Network(x, this.C, hidden, uniform) : new Table(x.length, this.C);
    this.shuffled = shuffled;
    this.left = /** @type {number[]} */ ([]); // rows of this epoch that are still to come
    this.read = 0;
    this.turns = 0;
    this.logits = new Float64Array(this.C);
    this.joint = new Float64Array(this.C);
    this.slope = new Float64Array(this.C);
    this.ready = new Float64Array(PER * this.C);
    this.whole = Array.from(x, (_, i) => i);
    this.floor = floorFor(x);
    this.noted = [this.measure()];
    this.due = 0;
  }

  /** How much of the data has been read. */
  get passes() {
    return this.read / this.x.length;
  }

  /** θ, as a mixture. */
  get mixture() {
    return fromFree(this.theta.values);
  }

  /** What (2.1) needs of θ, once for all rows: log π_c, 1 / K₁₁, 1 / K₂₂, the constant, π_c. */
  prepare() {
    const { C, ready, theta: { values } } = this;
    let top = -Infinity, total = 0;
    for (let c = 0; c < C; c++) top = Math.max(top, values[PER * c]);
    for (let c = 0; c < C; c++) total += Math.exp(values[PER * c] - top);
    for (let c = 0; c < C; c++) {
      const at = PER * c, log = values[at] - top - Math.log(total);
      ready[at] = Math.exp(log);
      ready[at + 1] = Math.exp(-values[at + 3]);
      ready[at + 2] = Math.exp(-values[at + 5]);
      ready[at + 3] = log - values[at + 3] - values[at + 5] - LOG_2PI;
    }
  }

  /** a_c = log p(x_i, c), eq. (2.1), into `joint`. @param {number} i @returns {number} log p(x_i), eq. (2.2) */
  look(i) {
    const { C, ready, joint, theta: { values } } = this, [x0, x1] = this.x[i];
    let top = -Infinity, total = 0;
    for (let c = 0; c < C; c++) {
      const at = PER * c, u = (x0 - values[at + 1]) * ready[at + 1], v = (x1 - values[at + 2] - values[at + 4] * u) * ready[at + 2];
      joint[c] = ready[at + 3] - 0.5 * (u * u + v * v);
      top = Math.max(top, joint[c]);
    }
    for (let c = 0; c < C; c++) total += Math.exp(joint[c] - top);
    return top + Math.log(total);
  }

  /** log q of a datum, into `logits`. @param {number} i */
  guess(i) {
    const { C, logits } = this;
    this.inference.forward(i, logits);
    let top = -Infinity, total = 0;
    for (let c = 0; c < C; c++) top = Math.max(top, logits[c]);
    for (let c = 0; c < C; c++) total += Math.exp(logits[c] - top);
    const log = top + Math.log(total);
    for (let c = 0; c < C; c++) logits[c] -= log;
  }

  /**
   * One gradient step on the mean ELBO of some rows.
   * @param {number[]} rows
   * @param {boolean} phi whether q moves
   * @param {boolean} theta whether θ moves
   */
  climb(rows, phi, theta) {
    const { C, logits, joint, slope, ready, theta: { values, gradient } } = this, share = 1 / rows.length;
    this.prepare();
    for (const i of rows) {
      this.look(i);
      this.guess(i);
      if (phi) { // eq. (3.6)
        let elbo = 0;
        for (let c = 0; c < C; c++) elbo += Math.exp(logits[c]) * (joint[c] - logits[c]);
        for (let c = 0; c < C; c++) slope[c] = share * Math.exp(logits[c]) * (joint[c] - logits[c] - elbo);
        this.inference.backward(i, slope);
      }
      if (!theta) continue;
      const [x0, x1] = this.x[i];
      for (let c = 0; c < C; c++) { // the mean over q of the gradient of log p(x_i, c), eq. (1.25)
        const at = PER * c, q = share * Math.exp(logits[c]);
        const u = (x0 - values[at + 1]) * ready[at + 1], v = (x1 - values[at + 2] - values[at + 4] * u) * ready[at + 2];
        const g2 = v * ready[at + 2], g1 = (u - values[at + 4] * g2) * ready[at + 1];
        gradient[at] += q - share * ready[at];
        gradient[at + 1] += q * g1;
        gradient[at + 2] += q * g2;
        gradient[at + 3] += q * (u * g1 / ready[at + 1] - 1);
        gradient[at + 4] += q * g2 * u;
        gradient[at + 5] += q * (v * v - 1);
      }
    }
    if (phi) this.inference.adam.step();
    if (theta) this.theta.step();
    this.read += rows.length;
  }

  /** θ of the ELBO's top at this q, eqs. (2.7) to (2.9), for some rows. @param {number[]} rows */
  jump(rows) {
    this.prepare();
    const q = rows.map((i) => {
      this.look(i);
      this.guess(i);
      return Array.from(this.logits, Math.exp);
    });
    this.theta.values.set(toFree(mStep(rows.map((i) => this.x[i]), q, this.floor)));
    this.read += rows.length;
  }

  /** The exact E-step for some rows: λ_ic = log p(x_i, c), eq. (2.6). @param {number[]} rows */
  solve(rows) {
    const { C, joint, inference: { adam: { values } } } = this;
    this.prepare();
    for (const i of rows) {
      this.look(i);
      for (let c = 0; c < C; c++) values[i * C + c] = joint[c];
    }
  }

  /** ELBO, evidence and KL of all rows. @returns {Noted} */
  measure() {
    const { C, logits, joint } = this, N = this.x.length;
    let elbo = 0, evidence = 0, kl = 0;
    this.prepare();
    for (let i = 0; i < N; i++) {
      const log = this.look(i);
      this.guess(i);
      evidence += log;
      for (let c = 0; c < C; c++) {
        const q = Math.exp(logits[c]);
        elbo += q * (joint[c] - logits[c]);
        kl += q * (logits[c] - joint[c] + log);
      }
    }
    return { passes: this.passes, elbo: elbo / N, evidence: evidence / N, kl: kl / N };
  }

  /** The rows of the next minibatch: epochs are shuffled, all rows at a time are not. @returns {number[]} */
  batch() {
    const { rows } = this.setting;
    if (rows >= this.x.length) return this.whole;
    if (this.left.length === 0) this.left = this.shuffled(this.whole);
    return this.left.splice(0, rows);
  }

  /** q of all rows, and the KL of each. @returns {{ q: number[][], kl: number[] }} */
  guesses() {
    const { logits, joint } = this, q = /** @type {number[][]} */ ([]), kl = /** @type {number[]} */ ([]);
    this.prepare();
    for (const i of this.whole) {
      const log = this.look(i);
      this.guess(i);
      const shares = Array.from(logits, Math.exp);
      q.push(shares);
      kl.push(shares.reduce((total, share, c) => total + share * (logits[c] - joint[c] + log), 0));
    }
    return { q, kl };
  }

  /** Note where the run stands: after every step that read all rows, else ten times a pass, later more rarely. @param {number[]} rows */
  note(rows) {
    if (rows.length < this.x.length && this.passes < this.due) return;
    this.noted.push(this.measure());
    this.due = this.passes + Math.max(0.1, this.passes / 200);
  }

  /** How many passes a turn takes: a reading of its rows for each gradient, and for each closed form of θ. */
  get cost() {
    const { q, inner, rows } = this.setting;
    return ((q === "exact" || this.together ? 1 : inner + 1) * rows) / this.x.length;
  }

  /** Whether q and θ move in one step, by one backward pass. */
  get together() {
    const { q, inner, closed } = this.setting;
    return q !== "exact" && inner === 1 && !closed;
  }

  /** A turn of E and M on one minibatch, which pauses between its steps. @returns {Generator<void, void>} */
  *turn() {
    const { q, inner, closed } = this.setting, rows = this.batch();
    if (this.together) this.climb(rows, true, true);
    else {
      if (q === "exact") {
        this.solve(rows);
        this.note(rows);
      }
      for (let k = 0; k < (q === "exact" ? 0 : inner); k++) {
        this.climb(rows, true, false);
        this.note(rows);
        yield;
      }
      if (closed) this.jump(rows);
      else this.climb(rows, false, true);
    }
    this.turns++;
    this.note(rows);
  }
}
