/** Runs of one model, some with a mistake in the loss, and what checks say of them. The numbers come from Python. */

import { random } from "../numbers/random.js";

/**
 * @typedef {object} Run
 * @property {number[]} loss by epoch, in nats
 * @property {Record<string, [found: number, known: number, tolerance: number]>} checks what each compared
 */

/** @typedef {"right" | "sign" | "mean" | "sample" | "prior" | "beta"} Name of a run: which mistake is in it */
/** @typedef {"evidence" | "samples" | "known" | "pixels" | "moved" | "sure" | "nudge"} Check */

/** @type {readonly Name[]} */
export const NAMES = ["right", "sign", "mean", "sample", "prior", "beta"];
/** @type {readonly Check[]} */
export const CHECKS = ["evidence", "samples", "known", "pixels", "moved", "sure", "nudge"];

/**
 * Whether a check fails: a bound is above the evidence, or two numbers differ that should be the same.
 * @param {Run} run
 * @param {Check} check
 * @returns {boolean}
 */
export function fails(run, check) {
  const [found, known, tolerance] = run.checks[check];
  return (check === "evidence" ? found - known : Math.abs(found - known)) > tolerance;
}

/**
 * Which run has which letter, A first.
 * @param {number} seed
 * @returns {Name[]}
 */
export const orderOf = (seed) => random(seed).shuffled([...NAMES]);

/**
 * The checks that answer differently for two runs: by verdict, or, where both fail, by number.
 * @param {Run} one
 * @param {Run} other
 * @returns {Check[]} those whose verdicts differ, first
 */
export function tellApart(one, other) {
  const verdicts = CHECKS.filter((check) => fails(one, check) !== fails(other, check));
  const numbers = CHECKS.filter((check) => {
    const [a, b] = [one, other].map((run) => run.checks[check][0] - run.checks[check][1]);
    return fails(one, check) && fails(other, check) && Math.abs(a - b) > 0.1;
  });
  return [...verdicts, ...numbers];
}
