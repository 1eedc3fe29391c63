/** Two gradients: chapter 5's estimators as rows of estimates, with their variances, measured and exact. */

import { button, radios, slider } from "../controls/controls.js";
import { Handle } from "../controls/handle.js";
import { Plot } from "../drawing/plot.js";
import { COMPONENTS } from "../frame/colors.js";
import { element, join } from "../frame/element.js";
import { defineFigure } from "../frame/figure.js";
import { choice, number } from "../frame/state.js";
import { fixed } from "../frame/words.js";
import { estimates, exactMoments } from "../models/gradients.js";
import { random } from "../numbers/random.js";
import { clamp, linspace, sum } from "../numbers/vectors.js";

const CLOUD = 300, MOST = 50, SEEDS = 9999;
const PHI = { low: -3, high: 3 }, SIGMA = { low: 0.2, high: 2 }, K = { low: 0.5, high: 8 };
const ROWS = /** @type {const} */ ([
  ["score", "score function", COMPONENTS[1]], ["baseline", "with b = E[f]", COMPONENTS[3]], ["path", "pathwise", COMPONENTS[2]],
]);

/** The noise ε of all samples of all estimates; the last is kept, since only "Draw anew" changes it.
 * @type {{ seed: number, values: Float64Array }}
 */
const noise = { seed: 0, values: new Float64Array(CLOUD * MOST) };

/** @param {number} seed @returns {Float64Array} */
function noiseOf(seed) {
  if (noise.seed !== seed) {
    const { normal } = random(seed);
    noise.seed = seed;
    noise.values = noise.values.map(normal);
  }
  return noise.values;
}

defineFigure({
  name: "gradients",
  state: {
    f: choice("square", ["square", "sine"]), phi: number(2, PHI), sigma: number(1, SIGMA), k: number(3, K),
    samples: number(1, { low: 1, high: MOST, digits: 0 }), seed: number(1, { low: 1, high: SEEDS, digits: 0 }),
  },
  build(frame) {
    const above = new Plot(frame.stage, { height: (width) => clamp(width * 0.3, 150, 210) });
    const below = new Plot(frame.stage, { height: () => 270, left: 16, right: 12 });
    const shows = [radios(frame, "f", "f(z)", [["square", "z²"], ["sine", "sin kz"]])];
    shows.push(slider(frame, "k", { label: "k, for sin kz", ...K, step: 0.1, words: (v) => fixed(v, 1) }));
    const wave = /** @type {HTMLInputElement} */ (frame.controls.lastElementChild?.querySelector("input"));
    shows.push(slider(frame, "phi", { label: "φ, mean of q", ...PHI, step: 0.05, words: (v) => fixed(v) }));
    shows.push(slider(frame, "sigma", { label: "σ, width of q", ...SIGMA, step: 0.05, words: (v) => fixed(v) }));
    shows.push(slider(frame, "samples", { label: "samples in a dot", low: 1, high: MOST, step: 1, words: (v) => fixed(v, 0) }));
    button(frame, "Draw anew", () => frame.change({ seed: (frame.state.seed % SEEDS) + 1 }), { main: true });
    const handle = new Handle(above, { color: "var(--q)", move: (z) => frame.change({ phi: clamp(z, PHI.low, PHI.high) }) });

    const known = () => {
      const { f, phi, sigma, k, samples, seed } = frame.state, epsilon = noiseOf(seed);
      const value = (/** @type {number} */ z) => (f === "square" ? z * z : Math.sin(k * z));
      const slope = (/** @type {number} */ z) => (f === "square" ? 2 * z : k * Math.cos(k * z));
      const exact = exactMoments(value, slope, phi, sigma);
      const dots = Array.from({ length: CLOUD }, (_, i) => {
        const mean = { score: 0, baseline: 0, path: 0 };
        for (let s = 0; s < samples; s++) {
          const one = estimates(value, slope, phi, sigma, epsilon[i * MOST + s], exact.level);
          for (const [name] of ROWS) mean[name] += one[name] / samples;
        }
        return mean;
      });
      const rows = ROWS.map(([name, label, color]) => {
        const told = dots.map((dot) => dot[name]), mean = sum(told) / CLOUD;
        const measured = sum(told.map((one) => (one - mean) ** 2)) / (CLOUD - 1);
        return { name, label, color, told, measured, variance: exact.variances[name] / samples };
      });
      return { value, gradient: exact.gradient, rows };
    };
    let now = known();
    const compared = () => {
      const [score, , path] = now.rows, [less, more] = score.variance < path.variance ? [score, path] : [path, score];
      const ratio = more.variance / less.variance;
      return ratio < 1.05 ? "Score function and pathwise are equally sure here."
        : `One ${less.label} dot is as sure as the mean of ${ratio > 1e4 ? "more than 10000" : fixed(ratio, ratio < 10 ? 1 : 0)} ` +
          `${more.label} dots.`;
    };
    return {
      draw() {
        now = known();
        const { phi, sigma, f } = frame.state, { gradient, rows } = now, grid = linspace(-6, 6, 481);
        const top = f === "square" ? 12 : 1.5, low = f === "square" ? 0 : -1.5;
        above.begin({ x: [-6, 6], y: [low, top], xLabel: "z" });
        above.curve("f", grid.map((z) => [z, now.value(z)]), { stroke: "var(--data)" });
        const bell = (/** @type {number} */ z) => low + (top - low) * 0.8 * Math.exp(-0.5 * ((z - phi) / sigma) ** 2);
        above.curve("q", grid.map((z) => [z, bell(z)]), { stroke: "var(--q)" });
        above.legend([{ text: "f", color: "var(--data)" }, { text: "q, its shape", color: "var(--q)" }]);
        handle.draw(phi, bell(phi));

        const ends = [gradient, ...rows.flatMap(({ told, variance }) => [...told, gradient - Math.sqrt(variance), gradient + Math.sqrt(variance)])];
        const from = Math.min(...ends), to = Math.max(...ends), edge = 0.03 * (to - from) || 1;
        below.begin({ x: [from - edge, to + edge], y: [0, 3], xLabel: "estimate of the gradient in φ", hideY: true });
        rows.forEach(({ name, color, told, variance }, r) => {
          const floor = 2 - r, sd = Math.sqrt(variance);
          below.dots(name, told.map((one, i) => [one, floor + 0.2 + 0.36 * ((i * 0.618) % 1)]), { stroke: color, "stroke-opacity": 0.6 });
          below.curve(`${name} sd`, [[gradient - sd, floor + 0.08], [gradient + sd, floor + 0.08]], { stroke: color, "stroke-width": 5 });
          below.curve(`${name} exact`, [[gradient, floor], [gradient, floor + 0.62]], { stroke: "var(--evidence)", "stroke-width": 1.5 });
        });
        join(below.layer("labels", "g", below.front), "text", rows, ({ label, measured, variance }, r) => ({
          x: below.room.left, y: below.y(2.72 - r), class: "ink", text: `${label}: variance ${fixed(measured)}, exactly ${fixed(variance)}`,
        }));
        wave.disabled = f !== "sine";
        for (const show of shows) show();
        frame.numbers.replaceChildren(element("span", {}, "exact gradient ", element("b", {}, fixed(gradient))));
        frame.note.textContent = compared();
      },
      describe: () => `The exact gradient is ${fixed(now.gradient)}. Variances of ${CLOUD} estimates: ` +
        `${now.rows.map(({ label, measured, variance }) => `${label} ${fixed(measured)}, exactly ${fixed(variance)}`).join("; ")}. ${compared()}`,
    };
  },
});
