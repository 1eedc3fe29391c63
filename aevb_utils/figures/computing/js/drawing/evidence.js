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
   * @param {[number, number]} span of the axis; an ELBO that is lower is drawn at its end, as an arrow
   */
  draw({ elbo, evidence }, span) {
    const { plot, brief } = this;
    plot.begin({ x: span, y: [0, 1], hideY: true, hideX: brief, xLabel: brief ? "" : "nats" });
    const cut = elbo < span[0], from = plot.x(clamp(elbo, span[0], span[1])), to = plot.x(clamp(evidence, span[0], span[1]));
    const y = plot.y(0.5);
    join(plot.layer("kl"), "path", [0], () => ({
      d: cut ? `M${to} ${y - 7}H${from + 9}L${from - 3} ${y}L${from + 9} ${y + 7}H${to}Z` : `M${from} ${y - 7}H${to}V${y + 7}H${from}Z`,
      fill: "var(--kl)",
    }));
    join(plot.layer("evidence"), "path", [0], () => ({ d: `M${to} ${y - 15}V${y + 15}`, stroke: "var(--evidence)", "stroke-width": 3 }));
    join(plot.layer("elbo"), "circle", cut ? [] : [0], () => ({
      cx: from, cy: y, r: 6.5, fill: "var(--elbo)", stroke: "var(--paper)", "stroke-width": 1.5,
    }));
  }
}

/**
 * The three numbers, as `evidence = ELBO + KL`.
 * @param {HTMLElement} line
 * @param {Split} split
 * @param {number} [digits]
 */
export function writeSplit(line, { elbo, kl, evidence }, digits = 2) {
  const part = (/** @type {string} */ sign, /** @type {string} */ name, /** @type {string} */ color, /** @type {number} */ value) =>
    summand(sign, swatch(color), name, fixed(value, digits));
  const last = part("+", "KL", "kl", kl);
  last.append(element("span", { class: "sign" }, "nats"));
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
