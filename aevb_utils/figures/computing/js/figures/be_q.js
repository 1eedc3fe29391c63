/** Be q: chapter 1's posterior with two humps, and a Gaussian q that the reader moves. */

import { button, slider } from "../controls/controls.js";
import { Handle } from "../controls/handle.js";
import { EvidenceBar, writeSplit } from "../drawing/evidence.js";
import { Plot } from "../drawing/plot.js";
import { defineFigure } from "../frame/figure.js";
import { number } from "../frame/state.js";
import { fixed } from "../frame/words.js";
import { elbo, klToPosterior, logEvidence, posterior } from "../models/curve.js";
import { clamp, linspace, sum } from "../numbers/vectors.js";

const MEAN = { low: -2.5, high: 2.5 }, SD = { low: 0.05, high: 1.5 }, END = 3, TOP = 2.2; // END, TOP: of the plane

/** Density of N(mean, sd²).
 * @param {number} z @param {number} mean @param {number} sd @returns {number} */
const normal = (z, mean, sd) => Math.exp(-0.5 * ((z - mean) / sd) ** 2) / (sd * Math.sqrt(2 * Math.PI));

defineFigure({
  name: "be_q",
  state: { mean: number(0.4, MEAN), sd: number(0.9, SD) },
  build(frame) {
    const { x, theta } = /** @type {{ x: number[], theta: import("../models/curve.js").Curve }} */ (frame.data);
    const evidence = logEvidence(x, theta), grid = linspace(-END, END, 301), exact = posterior(x, grid, theta);
    const plot = new Plot(frame.stage, { height: (width) => clamp(width * 0.46, 210, 330) });
    const bar = new EvidenceBar(frame.stage);
    const stop = () => cancelAnimationFrame(climbing);
    let climbing = 0;
    frame.whenReset(stop);
    const change = (/** @type {number} */ mean, /** @type {number} */ sd) => {
      frame.change({ mean: clamp(mean, MEAN.low, MEAN.high), sd: clamp(sd, SD.low, SD.high) });
    };
    const sliders = [
      slider(frame, "mean", { label: "mean of q", ...MEAN, step: 0.01, words: (v) => fixed(v), act: (v) => { stop(); change(v, frame.state.sd); } }),
      slider(frame, "sd", { label: "width of q (s.d.)", ...SD, step: 0.01, words: (v) => fixed(v), log: true, act: (v) => { stop(); change(frame.state.mean, v); } }),
    ];
    const center = new Handle(plot, { color: "var(--q)", move: (z) => { stop(); change(z, frame.state.sd); } });
    const side = new Handle(plot, { color: "var(--q)", move: (z) => { stop(); change(frame.state.mean, way * (clamp(z, -END, END) - frame.state.mean)); } });
    let way = 1; // on which side of the mean the width is held: the other one where this one is beyond the plane

    /** Gradient steps on the ELBO in mean and log sd, shortened until they rise. @returns {boolean} whether it rose */
    const climb = () => {
      const { mean, sd } = frame.state, here = elbo(x, mean, sd, theta);
      for (let rate = 0.05; rate > 1e-6; rate /= 2) {
        const to = [mean + rate * here.byMean, sd * Math.exp(clamp(rate * here.bySd * sd, -0.5, 0.5))];
        if (Math.abs(to[0] - mean) < 0.3 && elbo(x, to[0], to[1], theta).elbo > here.elbo + 1e-7) {
          change(to[0], to[1]);
          return true;
        }
      }
      return false;
    };
    button(frame, "Climb the ELBO from here", () => {
      stop();
      if (frame.calm) {
        for (let i = 0; i < 500 && climb(); i++);
        return;
      }
      const go = () => { if (climb()) climbing = requestAnimationFrame(go); };
      go();
    });

    const split = () => {
      const { mean, sd } = frame.state;
      return { elbo: elbo(x, mean, sd, theta).elbo, kl: klToPosterior(x, mean, sd, theta, evidence), evidence };
    };
    const top = Math.max(...exact);
    /** How much of q lies where a part of the grid is. @param {(z: number, i: number) => boolean} part @returns {number} */
    const share = (part) => {
      const { mean, sd } = frame.state, heights = grid.map((z) => normal(z, mean, sd));
      return sum(heights.filter((_, i) => part(grid[i], i))) / sum(heights);
    };
    const isHump = (/** @type {number} */ i) => exact[i] > 0.05 * top;
    const words = () => {
      const { mean, sd } = frame.state, slope = elbo(x, mean, sd, theta);
      const right = share((z, i) => z > 0 && isHump(i)), left = share((z, i) => z < 0 && isHump(i));
      const beside = grid[exact.indexOf(top)] < Math.abs(mean) ? "beside" : "between";
      const where = Math.min(right, left) > 0.15 ? "q covers both humps, and the valley between them."
        : Math.max(right, left) > 0.5 ? `q lies on the ${right > left ? "right" : "left"} hump, and leaves out the other.`
          : `q lies mostly ${beside} the humps, where the posterior has next to nothing.`;
      const wider = sd * slope.bySd, isTop = Math.max(Math.abs(wider), Math.abs(sd * slope.byMean)) < 0.05;
      const rest = isTop ? (Math.max(right, left) > 0.5 ? "No small move is better." : "A low top of the ELBO: no small move is better, but a hump is.")
        : wider < -0.3 ? "Too wide: narrower is better." : wider > 0.3 ? "Too narrow: wider is better." : Math.abs(sd * slope.byMean) > 0.3 ? "A move to the side is better." : "A small move is better.";
      return `${where} ${rest}`;
    };
    frame.note.classList.add("two");
    return {
      draw() {
        const { mean, sd } = frame.state;
        frame.note.textContent = words();
        const fine = [...grid, ...linspace(mean - 4 * sd, mean + 4 * sd, 81)].filter((z) => Math.abs(z) <= END).sort((a, b) => a - b);
        plot.begin({ x: [-END, END], y: [0, TOP], xLabel: "z", yLabel: "" });
        const pairs = (/** @type {number[]} */ heights) => grid.map((z, i) => /** @type {[number, number]} */ ([z, heights[i]]));
        plot.curve("prior", pairs(grid.map((z) => normal(z, 0, 1))), { stroke: "var(--prior)", "stroke-width": 1.5 });
        plot.curve("area", pairs(exact), { fill: "var(--posterior)", "fill-opacity": 0.14, base: 0 });
        plot.curve("posterior", pairs(exact), { stroke: "var(--posterior)" });
        plot.curve("q", fine.map((z) => [z, normal(z, mean, sd)]), { stroke: "var(--q)" });
        plot.legend([
          { text: "prior", color: "var(--prior)" }, { text: "posterior", color: "var(--posterior)" }, { text: "q", color: "var(--q)" },
        ]);
        center.draw(mean, Math.min(TOP, normal(mean, mean, sd)));
        if (Math.abs(mean + way * sd) > END) way = -way;
        side.draw(mean + way * sd, Math.min(TOP, normal(mean + sd, mean, sd)));
        for (const show of sliders) show();
        bar.draw(split(), [-12, 0]);
        writeSplit(frame.numbers, split(), 3);
      },
      describe() {
        const { mean, sd } = frame.state, now = split();
        return `q has mean ${fixed(mean)} and standard deviation ${fixed(sd)}. ELBO ${fixed(now.elbo)} plus KL ${fixed(now.kl)} ` +
          `is the evidence, ${fixed(now.evidence)} nats. ${words()}`;
      },
    };
  },
});
