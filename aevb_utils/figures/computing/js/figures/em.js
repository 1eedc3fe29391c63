/** EM on the reader's own points, on iris, or on Old Faithful: two steps as buttons, and evidence = ELBO + KL below. */

import { button, play, radios, slider } from "../controls/controls.js";
import { Handle, drag } from "../controls/handle.js";
import { EvidenceBar, writeSplit } from "../drawing/evidence.js";
import { Plot } from "../drawing/plot.js";
import { COMPONENTS, mixed } from "../frame/colors.js";
import { set, svg } from "../frame/element.js";
import { defineFigure } from "../frame/figure.js";
import { choice, number, numbers, text } from "../frame/state.js";
import { fixed } from "../frame/words.js";
import { FitError, areAlike, eStep, elbo, floorFor, klToPosterior, mStep, moments, shrunk, startAt } from "../models/mixture.js";
import { contour } from "../numbers/plane.js";
import { random } from "../numbers/random.js";
import { cell, cholesky } from "../numbers/symmetric.js";
import { clamp } from "../numbers/vectors.js";

/** @typedef {import("../models/mixture.js").Mixture} Mixture */
/** @typedef {import("../models/mixture.js").Point} Point */

const MOST = 5, MOST_POINTS = 200, MOST_STEPS = 300, PATIENT = 24; // half-steps that Play shows one by one
/** @typedef {{ x: [number, number], y: [number, number], xLabel: string, yLabel: string, shown: [number, number] }} Plane shown: which columns of the data */
/** @type {Record<string, Plane>} */
const PLANES = {
  sixty: { x: [-3.5, 5.5], y: [-3, 5], xLabel: "", yLabel: "", shown: [0, 1] },
  own: { x: [-3.5, 5.5], y: [-3, 5], xLabel: "", yLabel: "", shown: [0, 1] },
  iris: { x: [0, 8], y: [-0.7, 3.2], xLabel: "petal length (cm)", yLabel: "petal width (cm)", shown: [2, 3] },
  faithful: { x: [1.2, 5.6], y: [38, 102], xLabel: "duration (min)", yLabel: "waiting time (min)", shown: [0, 1] },
};
/** @param {string} data @returns {boolean} whether the data are measurements, which stay where they are */
const isMeasured = (data) => data === "faithful" || data === "iris";
/** The points without those that are there twice. @param {Point[]} points @returns {Point[]} */
const unlike = (points) => [...new Map(points.map((p) => [String(p), p])).values()];
/** How many different points a fit needs. @param {number} C components */
const fewest = (C) => Math.max(3, C);
/** What a step has done to a number of nats. @param {string} name @param {number} nats @param {number} least what counts as a change @param {string} [unit] */
const changed = (name, nats, least, unit = "") => Math.abs(nats) < least ? `${name} did not move`
  : `${name} ${nats > 0 ? "rose" : "fell"} by ${Math.abs(nats) < 0.005 ? "less than 0.01" : fixed(Math.abs(nats))}${unit}`;
/** How many numbers a component has. @param {number} D */
const numbersFor = (D) => 1 + D + (D * (D + 1)) / 2;

/** @param {Mixture} theta @returns {number[]} */
const flat = ({ weights, means, covariances }) => [...weights, ...means.flat(), ...covariances.flat()];

/** @param {number[]} values @param {number} D @returns {Mixture | null} null where they are no mixture of Gaussians in D dimensions */
function unflat(values, D) {
  const C = values.length / numbersFor(D);
  if (!Number.isInteger(C) || C < 1 || C > MOST) return null;
  const part = (/** @type {number} */ from, /** @type {number} */ width) =>
    Array.from({ length: C }, (_, c) => values.slice(from + width * c, from + width * (c + 1)));
  const theta = {
    weights: values.slice(0, C), means: part(C, D), covariances: part((1 + D) * C, numbersFor(D) - 1 - D),
  };
  return theta.weights.every((w) => w > 0) && theta.covariances.every((covariance) => cholesky(covariance, D)) ? theta : null;
}

defineFigure({
  name: "em",
  state: {
    data: choice("sixty", ["sixty", "iris", "faithful", "own"]),
    points: numbers([], { digits: 4, most: 2 * MOST_POINTS }),
    C: number(3, { low: 1, high: MOST, digits: 0 }),
    start: choice("apart", ["apart", "alike", "chapter"]), // chapter: with the flowers of chapter 2 as means
    seed: number(3, { low: 0, high: 9999, digits: 0 }),
    theta: numbers([], { most: numbersFor(4) * MOST }),
    under: numbers([], { most: numbersFor(4) * MOST }),
    steps: text("", /^[EM]*$/),
  },
  build(frame) {
    const { state } = frame;
    const data = /** @type {Record<string, Point[]>} */ (frame.data);
    const plot = new Plot(frame.stage, frame.brief ? { height: (width) => clamp(width * 0.43, 140, 250), left: 34, top: 18 }
      : { height: (width) => clamp(width * 0.62, 270, 430), left: 40 });
    const bar = new EvidenceBar(frame.stage, frame);
    const surface = svg("rect", { fill: "transparent", class: "touch" });
    plot.root.insertBefore(surface, plot.body);

    /** @type {Point[]} */
    let x = [];
    /** @type {Mixture | null} what the ellipses show; null: too few points */
    let theta = null;
    /** @type {Mixture | null} the one under which q was the posterior; null: q is even */
    let under = null;
    /** @type {number[][]} */
    let q = [];
    let split = { elbo: 0, kl: 0, evidence: 0 }, said = "", stuck = false, atGrab = 0; // stuck: there is no M-step for this q; the evidence where a drag began
    /** @type {[number, number]} */
    let span = [0, 1];

    const shownOf = (/** @type {Point} */ p) => /** @type {[number, number]} */ (PLANES[state.data].shown.map((d) => p[d]));
    const isChapters = () => state.data === "iris" && state.start === "chapter" && state.C === data.flowers.length;
    const floor = () => (isChapters() ? x[0].map(() => 0) : floorFor(x)); // the chapter has none here
    const even = () => x.map(() => new Array(state.C).fill(1 / state.C));
    const measure = () => {
      if (theta) split = { elbo: elbo(x, q, theta), kl: klToPosterior(x, q, theta), evidence: eStep(x, theta).evidence };
    };
    const firstTheta = () => {
      const different = unlike(x);
      if (different.length < fewest(state.C)) return null;
      if (isChapters()) return startAt(x, data.flowers, floor());
      const means = state.start === "alike" ? new Array(state.C).fill(moments(x).mean) : random(state.seed).shuffled(different).slice(0, state.C);
      return startAt(x, means);
    };
    /** What an M-step did. @param {number} elbo how much it rose @param {number} evidence how much it rose @param {number} least what counts as a change */
    const toldOfM = (elbo, evidence, least) => {
      const fit = /** @type {Mixture} */ (theta), thin = shrunk(x, fit), still = [elbo, evidence].every((nats) => Math.abs(nats) < least);
      if (still && split.kl >= least) return "The M-step found nothing to do: the Gaussians are already the best for this q. Press E-step.";
      if (still && thin) return `EM stands still: a Gaussian has ${thin}. The density has no top there: only a floor of the variances stops it.`;
      if (still && areAlike(fit)) return "EM stands still, and not at a top: all Gaussians are alike, a saddle. Drag a mean a little, and play on.";
      if (still) return "EM stands still: neither step moves anything. Is this a top? Drag a mean a little, and play on.";
      const rose = changed("ELBO", elbo, least, " nats");
      if (areAlike(fit)) return `q was even, so the M-step made all Gaussians alike: a saddle. ${frame.brief ? "Press New start" : "Press Back and begin with the E-step"}, or drag a mean a little.`;
      if (thin) return `M-step: a Gaussian has ${thin}, where the density has no top. The ${rose}.`;
      const moved = changed("the evidence", evidence, least);
      return evidence < -0.005 ? `M-step: the ${rose}, ${moved}: q was not the posterior. E first, then M.` : `M-step: the best θ for this q. The ${rose}, ${moved}.`;
    };
    /** Do a step. @param {string} letter @returns {boolean} whether it could be done */
    const step = (letter) => {
      if (!theta || (stuck && letter === "M")) return false;
      const before = split, least = 1e-6 * x.length, last = theta;
      try {
        if (letter === "E") {
          q = eStep(x, theta).q;
          under = theta;
        } else theta = mStep(x, q, floor());
        measure();
      } catch (error) {
        if (!(error instanceof FitError)) throw error;
        said = `${error.message} ${theta !== last ? "The density has no top there: take a new start."
          : `${split.kl < least ? "Drag its mean onto points and press" : "Press"} E-step, or take a new start.`}`;
        theta = last;
        stuck = true;
        return false;
      }
      stuck = false;
      const [rose, up] = [split.elbo - before.elbo, split.evidence - before.evidence];
      said = letter === "M" ? toldOfM(rose, up, least)
        : before.kl < least ? "E-step: nothing to do, q is the posterior already. Press M-step."
          : `E-step: q is now the posterior. ${changed("The ELBO", rose, 0, " nats")} and touches the evidence, which did not move.`;
      return true;
    };
    /** The bar's axis stays while both ends are on it, so that a step is seen to move one of them. */
    const widen = () => {
      const width = Math.max(1, split.evidence - span[0]);
      span = [split.elbo < span[0] ? split.elbo - 0.1 * width : span[0], split.evidence > span[1] ? split.evidence + 0.5 * width : span[1]];
    };
    /** All of it anew, from the state. */
    const begin = () => {
      x = data[state.data] ?? Array.from({ length: state.points.length >> 1 }, (_, i) => [state.points[2 * i], state.points[2 * i + 1]]);
      const D = x[0]?.length ?? 2;
      theta = unflat(state.theta, D) ?? firstTheta();
      if (theta) state.C = theta.weights.length;
      under = unflat(state.under, D);
      if (under?.weights.length !== state.C) under = null;
      q = under && theta ? eStep(x, under).q : even();
      stuck = false;
      said = !theta ? `Too few points: ${state.C} ${state.C === 1 ? "Gaussian needs" : "Gaussians need"} at least ${fewest(state.C)}. Click to place some.`
        : under ? "q is the posterior under the Gaussians of the last E-step." : "The start: q is even, each point shared by all.";
      measure();
      const gap = Math.max(4, split.kl);
      span = [split.elbo - 0.2 * gap, split.evidence + 3 * gap];
      for (const letter of state.steps) if (step(letter)) widen();
    };
    const anew = (/** @type {object} */ changes) => {
      running.stop();
      frame.change({ theta: [], under: [], steps: "", ...changes });
      begin();
    };
    const doStep = (/** @type {string} */ letter) => {
      if (!step(letter)) {
        frame.redraw();
        return false;
      }
      widen();
      const steps = state.steps + letter;
      if (theta && steps.length > MOST_STEPS) frame.change({ theta: flat(theta), under: under ? flat(under) : [], steps: "" });
      else frame.change({ steps });
      return true;
    };

    const eButton = button(frame, "E-step", () => { running.stop(); doStep("E"); }, { main: true });
    const mButton = button(frame, "M-step", () => { running.stop(); doStep("M"); }, { main: true });
    const running = play(frame, () => {
      for (let k = state.steps.length; k >= 0; k -= PATIENT) {
        if (!doStep(state.steps.endsWith("E") ? "M" : "E") || said.startsWith("EM stands")) return false;
      }
      return true;
    }, 420);
    /** @type {(() => void)[]} */
    const shows = [];
    if (!frame.brief) {
      const back = button(frame, "Back", () => {
        running.stop();
        frame.change({ steps: state.steps.slice(0, -1) });
        begin();
      });
      shows.push(() => { back.disabled = state.steps === ""; });
    }
    button(frame, "New start", () => anew({ start: "apart", seed: (state.seed + 1) % 10000 }));
    if (!frame.brief) {
      button(frame, "Start all alike", () => anew({ start: "alike" }));
      const kinds = /** @type {const} */ ([["sixty", "sixty points"], ["iris", "iris"], ["faithful", "Old Faithful"], ["own", "your own"]]);
      shows.push(radios(frame, "data", "Data", kinds, (value) => {
        anew({ data: value, C: value === "faithful" ? 2 : 3, start: value === "iris" ? "chapter" : "apart" });
      }));
      button(frame, "Clear the plane", () => anew({ data: "own", points: [] }));
      shows.push(slider(frame, "C", { label: "components", low: 1, high: MOST, step: 1, words: (v) => fixed(v, 0), act: (C) => anew({ C, start: state.start === "chapter" ? "apart" : state.start }) }));
    }

    // The reader's own points: a click places one, a drag moves one, one that is dragged out of the plane is gone.
    const within = (/** @type {readonly number[]} */ [u, v]) => {
      const { x: [x0, x1], y: [y0, y1] } = PLANES.own;
      return u >= x0 && u <= x1 && v >= y0 && v <= y1;
    };
    const place = (/** @type {Point[]} */ points) => {
      const kept = points.filter(within).slice(0, MOST_POINTS), enough = unlike(kept).length >= fewest(state.C);
      const fit = theta && enough ? { theta: flat(theta), under: under ? flat(under) : [] } : null;
      anew({ data: "own", points: kept.flat().map((v) => Math.round(v * 100) / 100), ...fit });
      if (fit) said = `${x.length} points. The Gaussians stay: ${under ? "q is the posterior under those of the last E-step." : "q is even."}`;
    };
    let held = -1;
    drag(surface, (event) => {
      const at = plot.at(event);
      if (event.type === "pointerdown") {
        const near = x.map(([u, v]) => Math.hypot(plot.x(u) - plot.x(at[0]), plot.y(v) - plot.y(at[1])));
        held = near.findIndex((d) => d === Math.min(...near) && d < 14);
        if (held < 0) {
          place([...x, at]);
          held = x.length - 1;
        }
      } else if (held >= 0) {
        const out = !within(at);
        place(x.map((p, i) => (i === held ? at : p)));
        if (out) held = -1;
      }
    }, () => !isMeasured(state.data));

    const cursor = new Handle(plot, {
      color: "var(--link)",
      label: "Place for a point: Enter places one, Delete takes the nearest away",
      step: () => [0.25, 0.25],
      move: (u, v) => { cursor.draw(clamp(u, ...PLANES.own.x), clamp(v, ...PLANES.own.y), `${fixed(u)}, ${fixed(v)}`); },
    });
    set(cursor.root, { class: "handle cursor", "pointer-events": "none" });
    cursor.place = { x: 1.5, y: 1.5 };
    cursor.root.addEventListener("keydown", ({ key }) => {
      const at = [cursor.place.x, cursor.place.y];
      const away = x.map(([u, v]) => Math.hypot(u - at[0], v - at[1]));
      if (key === "Enter") place([...x, at]);
      if (key === "Delete" || key === "Backspace") place(x.filter((_, i) => i !== away.indexOf(Math.min(...away))));
    });

    const handles = COMPONENTS.slice(0, MOST).map((color, c) => new Handle(plot, {
      color,
      label: `Mean of component ${c + 1}`,
      step: () => {
        const plane = PLANES[state.data];
        return [(plane.x[1] - plane.x[0]) / 60, (plane.y[1] - plane.y[0]) / 60];
      },
      grab: () => { atGrab = split.evidence; },
      move: (u, v) => {
        if (!theta) return;
        running.stop();
        const plane = PLANES[state.data];
        const means = [...theta.means];
        means[c] = [...means[c]];
        means[c][plane.shown[0]] = clamp(u, ...plane.x);
        means[c][plane.shown[1]] = clamp(v, ...plane.y);
        theta = { ...theta, means };
        stuck = false;
        measure();
        widen();
        said = `You moved a mean: ${changed("the evidence", split.evidence - atGrab, 0.005, " nats")}. q stays, and the KL is what q lacks now.`;
        frame.change({ theta: flat(theta), under: under ? flat(under) : [], steps: "" });
      },
    }));

    frame.note.classList.add("two");
    frame.whenReset(begin);
    begin();
    return {
      draw() {
        const plane = PLANES[state.data];
        plot.begin(plane);
        set(surface, { x: plot.room.left, y: plot.room.top, width: plot.width - plot.room.left - plot.room.right, height: plot.height - plot.room.top - plot.room.bottom, class: isMeasured(state.data) ? undefined : "touch" });
        cursor.root.style.display = isMeasured(state.data) ? "none" : "";
        cursor.draw(cursor.place.x, cursor.place.y, `${fixed(cursor.place.x)}, ${fixed(cursor.place.y)}`);
        plot.points("points", x.map(shownOf), (i) => ({ r: isMeasured(state.data) ? 3.6 : 5, fill: theta ? mixed(q[i]) : "var(--data)", stroke: "var(--paper)", "stroke-width": 0.8 }));
        for (let c = 0; c < MOST; c++) {
          const shown = theta && c < state.C ? theta : null, [a, b] = plane.shown;
          const factor = shown && cholesky([cell(a, a), cell(b, a), cell(b, b)].map((at) => shown.covariances[c][at]), 2);
          for (const radius of [1, 2]) {
            plot.curve(`ellipse ${c} ${radius}`, shown && factor ? contour(shownOf(shown.means[c]), factor, radius) : [], {
              stroke: COMPONENTS[c], "stroke-opacity": radius === 1 ? 1 : 0.55,
            });
          }
          handles[c].root.style.display = shown ? "" : "none";
          if (shown) handles[c].draw(...shownOf(shown.means[c]), shownOf(shown.means[c]).map((v) => fixed(v, 1)).join(", "));
        }
        bar.plot.root.style.visibility = theta ? "" : "hidden"; // its place stays
        if (theta) {
          bar.draw(split, span);
          writeSplit(frame.numbers, split, frame.brief ? 1 : 2);
        } else frame.numbers.replaceChildren();
        frame.note.textContent = said;
        eButton.disabled = !theta;
        mButton.disabled = !theta || stuck;
        for (const show of shows) show();
      },
      describe() {
        if (!theta) return said;
        const parts = theta.means.map(shownOf).map(([u, v], c) => `component ${c + 1} holds ${fixed(100 * (theta?.weights[c] ?? 0), 0)} % around ${fixed(u, 1)}, ${fixed(v, 1)}`);
        return `${x.length} points. ${said} ELBO ${fixed(split.elbo)} plus KL ${fixed(split.kl)} is the evidence, ${fixed(split.evidence)} nats; ${parts.join("; ")}.`;
      },
    };
  },
});
