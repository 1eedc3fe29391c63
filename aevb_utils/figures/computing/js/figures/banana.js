/** A posterior that bends: chapter 3's banana, and a Gaussian q that the reader moves, with or without a tilt. */

import { button, play, radios } from "../controls/controls.js";
import { Handle } from "../controls/handle.js";
import { EvidenceBar, writeSplit } from "../drawing/evidence.js";
import { paint } from "../drawing/paint.js";
import { Plot } from "../drawing/plot.js";
import { element } from "../frame/element.js";
import { defineFigure } from "../frame/figure.js";
import { choice, number } from "../frame/state.js";
import { fixed } from "../frame/words.js";
import { climbs, elbo, exact, forwardKl, logJoint, matched, reverseKl } from "../models/banana.js";
import { contour } from "../numbers/plane.js";
import { clamp } from "../numbers/vectors.js";

/** @typedef {import("../models/banana.js").Gaussian} Gaussian */

const ROOM = { left: 40, right: 10, top: 10, bottom: 38 }, HIGH = 6, MIDDLE = 0.4; // of the plane: its height and its middle
const MEAN = { low: -3, high: 3, digits: 4 }, WIDTH = { low: 0.05, high: 2.5, digits: 4 }, TILT = { low: -3, high: 3, digits: 4 };
const STEPS = 400, HELD = [0.5, 0.9]; // of the probability, inside the two lines
const NAMES = { "mean-field": "Mean-field", full: "Full covariance" };

const LAYOUT = `
.banana { position: relative; }
.banana canvas { position: absolute; left: ${ROOM.left}px; top: ${ROOM.top}px; width: calc(100% - ${ROOM.left + ROOM.right}px); }
.banana svg { position: relative; }
`;

defineFigure({
  name: "banana",
  state: {
    family: choice("mean-field", ["mean-field", "full"]), m1: number(0.3, MEAN), m2: number(0.5, MEAN),
    k11: number(0.5, WIDTH), k21: number(0, TILT), k22: number(0.5, WIDTH),
  },
  build(frame) {
    const model = /** @type {import("../models/banana.js").Banana} */ (frame.data), { evidence, cells } = exact(model), { state } = frame;
    const canvas = element("canvas"), plane = element("div", { class: "banana" }, canvas);
    frame.stage.append(element("style", {}, LAYOUT), plane);
    const plot = new Plot(plane, { height: (width) => clamp(width * 0.6, 290, 430), ...ROOM });
    const bar = new EvidenceBar(frame.stage);

    const full = () => state.family === "full";
    const now = () => /** @type {Gaussian} */ ({ m1: state.m1, m2: state.m2, k11: state.k11, k21: full() ? state.k21 : 0, k22: state.k22 });
    const take = (/** @type {Gaussian} */ { m1, m2, k11, k21, k22 }) => frame.change({
      m1: clamp(m1, MEAN.low, MEAN.high), m2: clamp(m2, MEAN.low, MEAN.high), k21: full() ? clamp(k21, TILT.low, TILT.high) : 0,
      k11: clamp(k11, WIDTH.low, WIDTH.high), k22: clamp(k22, WIDTH.low, WIDTH.high),
    });
    /** @type {Gaussian[]} */
    let trail = [];
    let step = 0;
    const moved = (/** @type {Partial<Gaussian>} */ part) => {
      climbing.stop();
      trail = [];
      take({ ...now(), ...part });
    };
    const showFamily = radios(frame, "family", "family of q", [["mean-field", "mean-field"], ["full", "full covariance"]], (family) => {
      climbing.stop();
      trail = [];
      frame.change({ family: /** @type {"full" | "mean-field"} */ (family), k21: 0 });
    });
    const climbing = play(frame, () => {
      if (!trail.length || step >= STEPS) {
        trail = climbs(model, now(), full(), STEPS);
        step = 0;
      }
      step = frame.calm ? STEPS : Math.min(STEPS, step + (step < 40 ? 1 : 4));
      take(trail[step]);
      return step < STEPS;
    }, 30, "▶ Climb the ELBO");
    button(frame, "Match the posterior's moments", () => moved(matched(cells, full())));
    frame.whenReset(() => { trail = []; });

    const move = () => /** @type {[number, number]} */ ([0.05, 0.05]);
    const handles = {
      mean: new Handle(plot, { color: "var(--q)", label: "Mean of q", step: move, move: (m1, m2) => moved({ m1, m2 }) }),
      first: new Handle(plot, {
        color: "var(--q)", label: "Width of q along z₁, and its tilt", step: move,
        move: (z1, z2) => moved({ k11: Math.abs(z1 - state.m1), k21: z1 < state.m1 ? state.m2 - z2 : z2 - state.m2 }),
      }),
      second: new Handle(plot, {
        color: "var(--q)", label: "Width of q along z₂", step: move, move: (_, z2) => moved({ k22: Math.abs(z2 - state.m2) }),
      }),
    };

    let painted = "";
    /** The regions that hold a half and nine tenths of the posterior, as a canvas. @param {number} half of the plane's width */
    const drawPosterior = (half) => {
      const width = plot.width - ROOM.left - ROOM.right, height = plot.height - ROOM.top - ROOM.bottom;
      const key = `${width} ${height} ${frame.color("posterior")}`;
      if (key === painted) return;
      painted = key;
      const falling = cells.weights.map((weight, g) => [weight, cells.logs[g]]).sort((a, b) => b[0] - a[0]);
      const levels = HELD.map((share) => {
        let held = 0;
        return (falling.find(([weight]) => (held += weight) >= share) ?? falling[0])[1];
      });
      paint(canvas, width, height, frame.color("posterior"), (i, j) => {
        const z1 = half * ((2 * i + 1) / width - 1), z2 = MIDDLE - (HIGH / 2) * ((2 * j + 1) / height - 1);
        const log = logJoint(model, z1, z2) - evidence;
        return log >= levels[0] ? 0.65 : log >= levels[1] ? 0.3 : 0;
      });
      canvas.style.height = `${height}px`;
    };
    let split = { elbo: 0, kl: 0, evidence }, forward = 0;
    const words = () => {
      const climbed = trail.length ? `After ${step} of ${STEPS} steps up the ELBO. ` : "";
      return `${climbed}The other KL, from the posterior to q, is ${fixed(forward)} nats.`;
    };
    return {
      draw() {
        const q = now();
        split = { elbo: elbo(model, q).elbo, kl: reverseKl(model, q, evidence), evidence };
        forward = forwardKl(cells, q);
        const width = plane.clientWidth || 640, height = plot.heightFor(width);
        const half = (HIGH / 2) * ((width - ROOM.left - ROOM.right) / (height - ROOM.top - ROOM.bottom));
        plot.begin({ x: [-half, half], y: [MIDDLE - HIGH / 2, MIDDLE + HIGH / 2], xLabel: "z₁", yLabel: "" });
        drawPosterior(half);
        HELD.forEach((share, i) => plot.curve(`q ${share}`, contour([q.m1, q.m2], [q.k11, q.k21, q.k22], Math.sqrt(-2 * Math.log(1 - share))), {
          stroke: "var(--q)", "stroke-width": i ? 1.6 : 2.4,
        }));
        plot.curve("first", [[q.m1, q.m2], [q.m1 + q.k11, q.m2 + q.k21]], { stroke: "var(--q)", "stroke-width": 1.4 });
        plot.curve("second", [[q.m1, q.m2], [q.m1, q.m2 + q.k22]], { stroke: "var(--q)", "stroke-width": 1.4 });
        handles.first.draw(q.m1 + q.k11, q.m2 + q.k21, full() ? `${fixed(q.k11)}, tilt ${fixed(q.k21)}` : fixed(q.k11));
        handles.second.draw(q.m1, q.m2 + q.k22, fixed(q.k22));
        handles.mean.draw(q.m1, q.m2, `${fixed(q.m1)}, ${fixed(q.m2)}`);
        bar.draw(split, [-9, -1]);
        writeSplit(frame.numbers, split, 3);
        frame.note.textContent = words();
        showFamily();
      },
      describe() {
        const q = now();
        return `${NAMES[state.family]} q with mean ${fixed(q.m1)}, ${fixed(q.m2)} and standard deviations ${fixed(q.k11)}, ${fixed(Math.hypot(q.k21, q.k22))}` +
          `${full() ? `, correlation ${fixed(q.k21 / Math.hypot(q.k21, q.k22))}` : ""}. ELBO ${fixed(split.elbo)} plus KL ${fixed(split.kl)} ` +
          `is the evidence, ${fixed(evidence)} nats. ${words()}`;
      },
    };
  },
});
