/** evidence = ELBO + KL, as a bar of nats and as a line of numbers. */

import { element, join } from "../frame/element.js";
import { fixed } from "../frame/words.js";
import { clamp } from "../numbers/vectors.js";
import { Plot } from "./plot.js";

/**
 * @typedef {object} Split
 * @property {number} elbo nats
 * @property {number} kl nats
 * @property {number} evidence nats
 */

export class EvidenceBar {
  /** @param {HTMLElement} stage @param {{ brief?: boolean }} [looks] brief: without numbers at the axis */
  constructor(stage, { brief = false } = {}) {
    this.brief = brief;
    this.plot = new Plot(stage, brief ? { height: () => 36, left: 34, right: 12, top: 14, bottom: 6 } : { height: () => 78, left: 22, right: 12, top: 26 });
  }

  /**
   * @param {Split} split
   * @param {[number, number]} span of the axis
   */
  draw({ elbo, evidence }, span) {
    const { plot, brief } = this;
    plot.begin({ x: span, y: [0, 1], hideY: true, hideX: brief, xLabel: brief ? "" : "nats" });
    const from = plot.x(clamp(elbo, ...span)), to = plot.x(clamp(evidence, ...span)), y = plot.y(0.5);
    join(plot.layer("kl"), "path", [0], () => ({ d: `M${from} ${y - 7}H${to}V${y + 7}H${from}Z`, fill: "var(--kl)" }));
    join(plot.layer("evidence"), "path", [0], () => ({ d: `M${to} ${y - 15}V${y + 15}`, stroke: "var(--evidence)", "stroke-width": 3 }));
    markElbo(plot, elbo, y);
  }
}

/**
 * The dot of the ELBO; where it lies left of the axis, at its end, and a sign beside it says so.
 * @param {Plot} plot
 * @param {number} elbo
 * @param {number} y of the dot, in pixels
 */
export function markElbo(plot, elbo, y) {
  const [low, high] = plot.xSpan, at = plot.x(clamp(elbo, low, high));
  join(plot.layer("elbo"), "circle", [0], () => ({ cx: at, cy: y, r: 6.5, fill: "var(--elbo)", stroke: "var(--paper)", "stroke-width": 1.5 }));
  join(plot.layer("beyond", "g", plot.front), "path", elbo < low ? [0] : [], () => ({ d: `M${at - 18} ${y}l9 -6v12Z`, fill: "var(--elbo)" }));
}

/**
 * The three numbers, as `evidence = ELBO + KL`.
 * @param {HTMLElement} line
 * @param {Split} split
 * @param {number} [digits]
 * @param {string} [unit]
 */
export function writeSplit(line, { elbo, kl, evidence }, digits = 2, unit = "nats") {
  const part = (/** @type {string} */ sign, /** @type {string} */ name, /** @type {string} */ color, /** @type {number} */ value) =>
    summand(sign, swatch(color), name, fixed(value, digits));
  const last = part("+", "KL", "kl", kl);
  last.append(element("span", { class: "sign" }, unit));
  line.replaceChildren(part("", "evidence", "evidence", evidence), part("=", "ELBO", "elbo", elbo), last);
}

/**
 * A number of a sum, which stays in one line with the sign before it.
 * @param {string} sign
 * @param {HTMLElement} mark
 * @param {string} name
 * @param {string} value
 * @returns {HTMLElement}
 */
export function summand(sign, mark, name, value) {
  const before = sign ? [element("span", { class: "sign" }, sign)] : [];
  return element("span", { class: "part" }, ...before, mark, `${name} `, element("b", {}, value));
}

/**
 * @param {string} color a name of the palette
 * @returns {HTMLElement}
 */
export function swatch(color) {
  return element("span", { class: "swatch", style: `background: var(--${color})`, "aria-hidden": "true" });
}
