/** Which cluster? Chapter 9's q(y | x) of a digit that a reader draws, and relaxed draws of y at a temperature. */

import { button, play, radios, slider } from "../controls/controls.js";
import { swatch } from "../drawing/evidence.js";
import { paint } from "../drawing/paint.js";
import { PAD_STYLE, Pad, SIDE, countsOf, inkOf } from "../drawing/pixels.js";
import { Plot } from "../drawing/plot.js";
import { DIGITS } from "../frame/colors.js";
import { element, join } from "../frame/element.js";
import { defineFigure } from "../frame/figure.js";
import { Later } from "../frame/later.js";
import { choice, number, text } from "../frame/state.js";
import { fixed } from "../frame/words.js";
import { C, D, biasOf, bits, classEncoder, classProbabilities, gumbel, klToUniform, leadingBias, relaxed } from "../models/relaxation.js";
import { unpackBytes, unpackFloats, unpackHalves } from "../numbers/bytes.js";
import { random } from "../numbers/random.js";

const SHOWN = 120, DRAWS = 2000; // draws that are shown, and that are averaged
const TAU = { low: 0.05, high: 5 }, START = 1;
const OUT = 1, PICTURE = 1.24, REACH = 1.42; // of the corners, their pictures, the plane

const LAYOUT = `${PAD_STYLE}
.clusters { display: grid; grid-template: auto 1fr / 150px minmax(0, 1fr) minmax(0, 0.9fr); grid-template-areas: "pad simplex bars" "seen simplex bars"; gap: 10px 18px; }
.clusters .title { margin: 0 0 6px; font-size: 13px; line-height: 1.35; color: var(--quiet); min-height: 2.7em; }
.of-pad { grid-area: pad; } .of-seen { grid-area: seen; } .of-simplex { grid-area: simplex; } .of-bars { grid-area: bars; }
.picture { width: 84px; }
.simplex { position: relative; }
.simplex canvas { position: absolute; width: 10%; aspect-ratio: 1; transform: translate(-50%, -50%); image-rendering: pixelated; border: 1px solid var(--line); border-radius: 3px; }
.numbers { min-height: 2.9em; align-content: start; }
.numbers b { display: inline-block; min-width: 3.2em; }
@container (max-width: 36rem) {
  .numbers { min-height: 4.35em; }
  .clusters { grid-template: auto auto auto / minmax(0, 180px) minmax(0, 1fr); grid-template-areas: "pad seen" "simplex simplex" "bars bars"; }
}
`;

/** The Gumbel noise of all draws: the same at every setting. @type {number[][]} */
const noise = [];

/** @param {number} seed @returns {number[][]} */
function noiseOf(seed) {
  const { uniform } = random(seed);
  return Array.from({ length: DRAWS }, () => Array.from({ length: C }, () => gumbel(Math.max(uniform(), 1e-12))));
}

/** Where a point of the simplex is drawn: the mean of the corners, weighted by it.
 * @param {ArrayLike<number>} y @param {number} [out] @returns {[number, number]} */
function place(y, out = OUT) {
  let a = 0, b = 0;
  for (let c = 0; c < C; c++) {
    a += y[c] * Math.sin((2 * Math.PI * c) / C);
    b += y[c] * Math.cos((2 * Math.PI * c) / C);
  }
  return [out * a, out * b];
}

const corner = (/** @type {number} */ c) => Array.from({ length: C }, (_, k) => Number(k === c));

defineFigure({
  name: "which_cluster",
  state: {
    digit: number(29, { low: 0, high: 60, digits: 0 }), // 0: the reader's own
    ink: text("0".repeat(D), new RegExp(`^[0-9a-g]{${D}}$`)),
    pen: choice("pen", ["pen", "eraser"]),
    tau: number(START, { ...TAU, digits: 2 }),
  },
  build(frame) {
    const data = /** @type {{ digits: string[], labels: string, q: string, pictures: string }} */ (frame.data);
    const table = unpackFloats(data.q), pictures = unpackBytes(data.pictures);
    if (!noise.length) noise.push(...noiseOf(1));

    // Its parts
    const box = (/** @type {string} */ name, /** @type {string} */ title) => {
      const heading = element("p", { class: "title" }, title), made = element("div", { class: `of-${name}` }, heading);
      return { made, heading };
    };
    const parts = {
      pad: box("pad", ""), seen: box("seen", "what the encoder sees"), simplex: box("simplex", ""), bars: box("bars", "q(y | x), and the draws' mean"),
    };
    frame.stage.append(element("style", {}, LAYOUT), element("div", { class: "clusters" }, ...Object.values(parts).map(({ made }) => made)));
    const pad = new Pad(parts.pad.made, {
      counts: () => counts(), erases: () => frame.state.pen === "eraser", change: (next) => own(next),
    });
    const seen = element("canvas", { class: "pixels" }), room = element("div", { class: "simplex" });
    parts.seen.made.append(element("div", { class: "picture" }, seen));
    parts.simplex.made.append(room);
    const plot = new Plot(room, { height: (width) => width, left: 0, right: 0, top: 0, bottom: 0 });
    plot.axes.style.display = "none";
    const prototypes = Array.from({ length: C }, (_, c) => {
      const canvas = element("canvas"), [a, b] = place(corner(c), PICTURE);
      canvas.style.left = `${50 + (50 * a) / REACH}%`;
      canvas.style.top = `${50 - (50 * b) / REACH}%`;
      room.append(canvas);
      return canvas;
    });
    const bars = new Plot(parts.bars.made, { height: (width) => Math.max(200, Math.min(290, width)), left: 34, right: 4, top: 10, bottom: 26 });

    const encoder = new Later(frame, ({ weights }) => classEncoder(unpackHalves(weights)));

    // What a reader does
    const counts = () => countsOf(frame.state.digit ? data.digits[frame.state.digit - 1] : frame.state.ink);
    const own = (/** @type {number[]} */ next) => frame.change({ digit: 0, ink: inkOf(next) });
    const take = (/** @type {number} */ digit) => frame.change({ digit });
    const shows = [slider(frame, "tau", { label: "temperature τ", ...TAU, step: 0.01, words: (v) => fixed(v), log: true, act: (tau) => { cooling.stop(); frame.change({ tau }); } })];
    const cooling = play(frame, () => {
      const from = frame.state.tau <= TAU.low ? TAU.high : frame.state.tau, to = frame.calm ? TAU.low : Math.max(TAU.low, 0.95 * from);
      frame.change({ tau: Number(to.toFixed(2)) });
      return to > TAU.low;
    }, 60, "▶ Cool down");
    shows.push(slider(frame, "digit", {
      label: "test digit", low: 1, high: data.digits.length, step: 1, words: (v) => (v ? `${v}: a ${data.labels[v - 1]}` : "yours"), act: take,
    }));
    button(frame, "Next test digit", () => take((frame.state.digit % data.digits.length) + 1));
    button(frame, "Clear the page", () => own(new Array(D).fill(0)));
    shows.push(radios(frame, "pen", "draw with", [["pen", "pen"], ["eraser", "eraser"]]));

    // What is shown
    const known = () => {
      const { digit, tau } = frame.state;
      if (digit === 0 && !encoder.value) return null;
      const q = encoder.value ? classProbabilities(encoder.value, bits(counts())) : Array.from(table.slice(C * (digit - 1), C * digit));
      const logits = q.map((each) => Math.log(each)), draws = noise.map((each) => relaxed(logits, each, tau));
      return { q, draws, bias: biasOf(draws), leading: leadingBias(q, tau), kl: klToUniform(q) };
    };
    let now = known();
    const best = (/** @type {number[]} */ q) => q.indexOf(Math.max(...q));
    const whose = () => (frame.state.digit ? `test digit ${frame.state.digit}, a ${data.labels[frame.state.digit - 1]}` : "your digit");
    const words = () => {
      if (!now && encoder.stage !== "none") return "The encoder is being loaded.";
      if (!now) return frame.distant ? "The encoder did not come: touch the figure once more." : 'The encoder is not in this notebook: it is on the book\'s website, and in ComputingFigure("which_cluster", whole=True).';
      const { q, bias, draws } = now, top = best(q), inside = draws.filter((y) => Math.max(...y) < 0.95).length / DRAWS;
      return `${fixed(100 * inside, 0)} % of the draws are no corner (largest entry below 0.95). In cluster ${top + 1} the draws' mean is ` +
        `${fixed(bias.means[top])}, and q says ${fixed(q[top])}.`;
    };
    return {
      draw() {
        if (frame.state.digit === 0 && encoder.stage === "asleep") void encoder.wake();
        now = known();
        const ink = frame.color("ink"), x = counts(), binary = bits(x);
        pad.draw(x, ink);
        paint(seen, SIDE, SIDE, ink, (i, j) => binary[j * SIDE + i]);
        prototypes.forEach((canvas, c) => paint(canvas, SIDE, SIDE, ink, (i, j) => pictures[c * D + j * SIDE + i] / 255));
        parts.pad.heading.textContent = frame.state.digit ? `x: ${whose()}. Draw on it.` : "x: your own digit";
        parts.simplex.heading.textContent = `${SHOWN} relaxed draws among ten corners: what each cluster's mean decodes to`;

        plot.begin({ x: [-REACH, REACH], y: [-REACH, REACH], hideY: true });
        const corners = Array.from({ length: C + 1 }, (_, c) => place(corner(c % C)));
        plot.curve("edge", corners, { stroke: "var(--prior)", "stroke-width": 1 });
        const shown = now ? now.draws.slice(0, SHOWN) : [];
        DIGITS.forEach((color, c) => plot.dots(`draws ${c}`, shown.filter((y) => best(y) === c).map((y) => place(y)), { stroke: color, "stroke-width": 5.5, "stroke-opacity": 0.7 }));
        join(plot.layer("exact"), "path", now ? [place(now.q)] : [], ([a, b]) => ({
          d: `M${plot.x(a) - 8} ${plot.y(b)}h16M${plot.x(a)} ${plot.y(b) - 8}v16`, stroke: "var(--evidence)", "stroke-width": 2.5,
        }));
        plot.points("mean", now ? [place(now.bias.means)] : [], () => ({ r: 8, fill: "none", stroke: "var(--q)", "stroke-width": 2.5 }));

        bars.begin({ x: [0.4, C + 0.6], y: [0, 1], xLabel: "" });
        const { q, bias } = now ?? { q: [], bias: { means: [] } };
        join(bars.layer("bars"), "rect", q, (each, c) => ({
          x: bars.x(c + 0.62), width: bars.x(c + 1.38) - bars.x(c + 0.62), y: bars.y(each), height: bars.y(0) - bars.y(each), fill: DIGITS[c],
        }));
        join(bars.layer("means"), "path", bias.means, (each, c) => ({
          d: `M${bars.x(c + 0.55)} ${bars.y(each)}H${bars.x(c + 1.45)}`, stroke: "var(--q)", "stroke-width": 3,
        }));

        const part = (/** @type {Node | string} */ mark, /** @type {string} */ name, /** @type {string} */ value) => element("span", {}, mark, `${name} `, element("b", {}, value));
        frame.numbers.replaceChildren(...(now ? [
          part(swatch("kl"), "KL(q(y | x) ‖ p(y))", `${fixed(now.kl)} of ${fixed(Math.log(C))} nats`),
          part("", "bias of Σ ỹ²:", `${fixed(now.bias.bent, 3)} ± ${fixed(2 * now.bias.error, 3)}`),
          part("", "leading term −τ Σ q (1 − q):", fixed(now.leading, 3)),
        ] : []));
        frame.note.textContent = words();
        for (const show of shows) show();
      },
      describe() {
        if (!now) return words();
        const { q, bias, leading } = now;
        const high = q.map((each, c) => ({ each, c })).filter(({ each }) => each > 0.05).sort((a, b) => b.each - a.each);
        return `${whose()}: q says ${high.map(({ each, c }) => `cluster ${c + 1} ${fixed(each)}`).join(", ")}. At temperature ${fixed(frame.state.tau)} ` +
          `the bias of the sum of squares is ${fixed(bias.bent, 3)}, its leading term ${fixed(leading, 3)}. ${words()}`;
      },
    };
  },
});
