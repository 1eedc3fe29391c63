/** Chapter 10's variational RNN of chorales: its three distributions of a step, its ELBO, and its draws. In nats. */

import { defineJob } from "../frame/jobs.js";
import { byteLinear } from "../numbers/byte_layer.js";
import { unpackBytes, unpackHalves } from "../numbers/bytes.js";
import { nextState } from "../numbers/gated_unit.js";
import { random } from "../numbers/random.js";
import { relu, sigmoid, softplus } from "../numbers/vectors.js";

/** @typedef {import("../numbers/byte_layer.js").ByteLayer} ByteLayer */
/** @typedef {import("../numbers/gated_unit.js").GatedUnit} GatedUnit */
/** @typedef {{ mean: Float64Array, sd: Float64Array }} Gaussian with a diagonal covariance */
/** @typedef {readonly number[]} Chord the keys that sound in a step, from 0, the lowest of the piano */
/** @typedef {{ reconstruction: number, kl: number }} Term of a step in eq. (10.17) */

/**
 * @typedef {object} Vrnn
 * @property {GatedUnit} recurrence rnn_θ
 * @property {ByteLayer[]} encoderOfX a_φ(x_t), with a hidden layer
 * @property {ByteLayer} encoderOfH E
 * @property {ByteLayer} encoderHead
 * @property {ByteLayer[]} prior with a hidden layer
 * @property {ByteLayer[]} decoder with a hidden layer
 */

/** Sizes of a step, of z_t, of h_t and of a hidden layer. */
export const D = 88, L = 32, H = 256;
const HIDDEN = 256, SCALE_FLOOR = 1e-3; // the smallest standard deviation that a network gives

/**
 * The model from what Python wrote: the layers in the order of the names below.
 * @param {{ codes: string, numbers: string }} packed whole numbers of all layers; scales, then biases, layer by layer
 * @returns {Vrnn}
 */
export function vrnn(packed) {
  const codes = new Int8Array(unpackBytes(packed.codes).buffer), halves = unpackHalves(packed.numbers);
  let atCode = 0, atNumber = 0;
  const layer = (/** @type {number} */ out, /** @type {number} */ width, biased = true) => {
    const scale = halves.slice(atNumber, atNumber + out);
    atNumber += out;
    const bias = halves.slice(atNumber, atNumber + (biased ? out : 0));
    atNumber += bias.length;
    atCode += out * width;
    return { codes: codes.slice(atCode - out * width, atCode), scale, bias };
  };
  return {
    recurrence: { ofX: layer(3 * H, D), ofZ: layer(3 * H, L, false), ofH: layer(3 * H, H) },
    encoderOfX: [layer(HIDDEN, D), layer(HIDDEN, HIDDEN)],
    encoderOfH: layer(HIDDEN, H, false),
    encoderHead: layer(2 * L, HIDDEN),
    prior: [layer(HIDDEN, H), layer(2 * L, HIDDEN)],
    decoder: [layer(HIDDEN, L + H), layer(D, HIDDEN)],
  };
}

/**
 * A step as the networks see it: 1 where a key sounds.
 * @param {Chord} chord
 * @returns {Float64Array}
 */
function toKeys(chord) {
  const x = new Float64Array(D);
  for (const key of chord) x[key] = 1;
  return x;
}

/** @param {Float64Array} outputs means, then what softplus makes positive @returns {Gaussian} */
function gaussian(outputs) {
  return { mean: outputs.subarray(0, L), sd: outputs.subarray(L).map((raw) => SCALE_FLOOR + softplus(raw)) };
}

/**
 * p(z_t | h_t), eq. (10.14).
 * @param {Vrnn} model
 * @param {Float64Array} h
 * @returns {Gaussian}
 */
function pOfZ({ prior: [first, last] }, h) {
  return gaussian(byteLinear(last, byteLinear(first, h).map(relu)));
}

/**
 * The logits of p(x_t | z_t, h_t), eq. (10.14): a Bernoulli for each key.
 * @param {Vrnn} model
 * @param {Float64Array} z
 * @param {Float64Array} h
 * @returns {Float64Array}
 */
function logitsOfX({ decoder: [first, last] }, z, h) {
  const input = new Float64Array(L + H);
  input.set(z);
  input.set(h, L);
  return byteLinear(last, byteLinear(first, input).map(relu));
}

/**
 * q(z_t | x_t, h_t), eq. (10.19).
 * @param {Vrnn} model
 * @param {Float64Array} x
 * @param {Float64Array} h
 * @returns {Gaussian}
 */
function qOfZ({ encoderOfX: [first, last], encoderOfH, encoderHead }, x, h) {
  const features = byteLinear(last, byteLinear(first, x).map(relu)), fromH = byteLinear(encoderOfH, h);
  return gaussian(byteLinear(encoderHead, features.map((value, i) => relu(value + fromH[i]))));
}

/**
 * KL(q ‖ p) of two Gaussians with diagonal covariances, eq. (8.7).
 * @param {Gaussian} q
 * @param {Gaussian} p
 * @returns {number}
 */
function klDivergence(q, p) {
  let total = 0;
  for (let i = 0; i < q.mean.length; i++) {
    const ratio = q.sd[i] / p.sd[i], way = (q.mean[i] - p.mean[i]) / p.sd[i];
    total += (ratio * ratio + way * way - 1) / 2 - Math.log(ratio);
  }
  return total;
}

/**
 * log p(x_t | z_t, h_t) from the logits of the keys.
 * @param {Float64Array} x
 * @param {Float64Array} logits
 * @returns {number}
 */
function logProbability(x, logits) {
  let total = 0;
  for (let d = 0; d < D; d++) total += x[d] * logits[d] - softplus(logits[d]);
  return total;
}

/** @param {Gaussian} gaussian @param {() => number} normal standard normal numbers @returns {Float64Array} */
function draw({ mean, sd }, normal) {
  return mean.map((value, i) => value + sd[i] * normal());
}

/**
 * The two terms of each step along one path of q, eq. (10.17) with S = 1.
 * @param {Vrnn} model
 * @param {readonly Chord[]} chords
 * @param {() => number} normal ε, number by number
 * @returns {Generator<undefined, Term[]>}
 */
export function* stepTerms(model, chords, normal) {
  /** @type {Float64Array} */
  let h = new Float64Array(H);
  /** @type {Term[]} */
  const terms = [];
  for (const chord of chords) {
    const x = toKeys(chord), q = qOfZ(model, x, h), z = draw(q, normal);
    terms.push({ reconstruction: logProbability(x, logitsOfX(model, z, h)), kl: klDivergence(q, pOfZ(model, h)) });
    h = nextState(model.recurrence, x, z, h);
    yield;
  }
  return terms;
}

/**
 * Continue a beginning, as the chapter's `complete`: z_t from q where x_t is given, and from its prior where it is drawn.
 * @param {Vrnn} model
 * @param {readonly Chord[]} given
 * @param {number} T steps with those that are given
 * @param {() => number} normal ε of the path of q
 * @param {import("../numbers/random.js").Random} dice for what is drawn
 * @returns {Generator<undefined, Chord[]>}
 */
export function* complete(model, given, T, normal, dice) {
  /** @type {Float64Array} */
  let h = new Float64Array(H);
  const chords = [...given];
  for (let t = 0; t < T; t++) {
    const known = t < given.length;
    const z = known ? draw(qOfZ(model, toKeys(given[t]), h), normal) : draw(pOfZ(model, h), dice.normal);
    if (!known) {
      const logits = logitsOfX(model, z, h), keys = Array.from(logits.keys());
      chords.push(keys.filter((d) => dice.uniform() < sigmoid(logits[d])));
    }
    h = nextState(model.recurrence, toKeys(chords[t]), z, h);
    yield;
  }
  return chords;
}

/**
 * Chords with some keys changed: one that sounds is taken away, one that does not is added.
 * @param {readonly Chord[]} chords
 * @param {readonly number[]} changes D times the step, from 0, plus the key
 * @returns {Chord[]}
 */
export function changed(chords, changes) {
  return chords.map((chord, t) => {
    const keys = new Set(chord);
    for (const change of changes) {
      if (Math.floor(change / D) !== t) continue;
      if (!keys.delete(change % D)) keys.add(change % D);
    }
    return [...keys].sort((a, b) => a - b);
  });
}

/**
 * @typedef {object} Sheet what a reader has made of a piece
 * @property {readonly Chord[]} piece
 * @property {number} from steps that are given; the others are drawn where there is a seed
 * @property {number} seed of the draw; 0: the piece goes on as it is
 * @property {readonly number[]} changes by hand
 * @property {number} noise seed of ε
 */

/** @typedef {{ chords: Chord[], terms: Term[], before: Term[] }} Told `before`: of the piece as it was, by the same ε */

/**
 * A job: the sheet's chords, and what each of its steps costs.
 * @param {Sheet & { model: Vrnn }} sheet
 * @returns {Generator<undefined, Told>}
 */
export function* listen({ model, piece, from, seed, changes, noise }) {
  const before = yield* stepTerms(model, piece, random(noise).normal);
  const chords = changed(yield* continued(model, { piece, from, seed, changes, noise }), changes.filter((c) => !seed || c >= D * from));
  return { chords, terms: yield* stepTerms(model, chords, random(noise).normal), before };
}

/** The chords before changes of what is drawn. @param {Vrnn} model @param {Sheet} sheet @returns {Generator<undefined, readonly Chord[]>} */
function* continued(model, { piece, from, seed, changes, noise }) {
  if (!seed) return piece;
  return yield* complete(model, changed(piece.slice(0, from), changes), piece.length, random(noise).normal, random(seed));
}

defineJob("listen", listen);
