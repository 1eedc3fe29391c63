/** evidence = ELBO + amortization gap + approximation gap, eq. (4.5), as a bar and as a line of numbers. */

import { element, join } from "../frame/element.js";
import { fixed } from "../frame/words.js";
import { clamp } from "../numbers/vectors.js";
import { markElbo, summand, swatch } from "./evidence.js";
import { Plot } from "./plot.js";

/**
 * @typedef {object} Gaps in nats; what is not known yet is undefined
 * @property {number} elbo
 * @property {number} [star] the ELBO of q*
 * @property {number} [evidence]
 */

/** The lighter color of the approximation gap. */
const LIGHT = "color-mix(in srgb, var(--kl) 42%, var(--paper))";

export class GapBar {
  /** @param {HTMLElement} stage */
  constructor(stage) {
    this.plot = new Plot(stage, { height: () => 78, left: 22, right: 12, top: 26 });
  }

  /**
   * @param {Gaps} gaps
   * @param {[number, number]} span of the axis
   */
  draw({ elbo, star, evidence }, span) {
    const { plot } = this;
    plot.begin({ x: span, y: [0, 1], hideY: true, xLabel: "nats" });
    const place = (/** @type {number} */ nats) => plot.x(clamp(nats, ...span)), y = plot.y(0.5), from = place(elbo);
    const parts = star === undefined || evidence === undefined ? [] : [
      { to: place(star), left: from, fill: "var(--kl)" }, { to: place(evidence), left: place(star), fill: LIGHT },
    ];
    join(plot.layer("gaps"), "path", parts, ({ left, to, fill }) => ({ d: `M${left} ${y - 7}H${to}V${y + 7}H${left}Z`, fill }));
    join(plot.layer("evidence"), "path", evidence === undefined ? [] : [evidence], (nats) => ({
      d: `M${place(nats)} ${y - 15}V${y + 15}`, stroke: "var(--evidence)", "stroke-width": 3,
    }));
    markElbo(plot, elbo, y);
  }
}

/**
 * The four numbers, as `evidence = ELBO + amortization gap + approximation gap`.
 * @param {HTMLElement} line
 * @param {Gaps} gaps
 * @param {string} first what the gap between q and q* is called
 */
export function writeGaps(line, { elbo, star, evidence }, first) {
  const part = (/** @type {string} */ sign, /** @type {string} */ name, /** @type {HTMLElement} */ mark, /** @type {number | undefined} */ value) =>
    summand(sign, mark, name, value === undefined ? "…" : fixed(value));
  const light = swatch("kl");
  light.style.background = LIGHT;
  const known = star !== undefined && evidence !== undefined;
  const last = part("+", "approximation", light, known ? evidence - star : undefined);
  last.append(element("span", { class: "sign" }, "nats"));
  line.replaceChildren(
    part("", "log p(x)", swatch("evidence"), known ? evidence : undefined), part("=", "ELBO", swatch("elbo"), elbo),
    part("+", first, swatch("kl"), known ? star - elbo : undefined), last,
  );
}
