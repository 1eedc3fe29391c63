/** The ladder as a dial: chapter 2's mixture learned by EM, by AEVB, or anywhere between, on the same points from the same start. */

import { button, play, radios, slider } from "../controls/controls.js";
import { writeSplit } from "../drawing/evidence.js";
import { Plot } from "../drawing/plot.js";
import { COMPONENTS, mixed } from "../frame/colors.js";
import { element, set } from "../frame/element.js";
import { defineFigure } from "../frame/figure.js";
import { choice, number } from "../frame/state.js";
import { fixed } from "../frame/words.js";
import { FitError, startAt } from "../models/mixture.js";
import { Run } from "../models/turns.js";
import { contour } from "../numbers/plane.js";
import { random } from "../numbers/random.js";
import { cholesky } from "../numbers/symmetric.js";
import { clamp } from "../numbers/vectors.js";

/** @typedef {import("../models/mixture.js").Point} Point */
/** @typedef {import("../models/turns.js").Setting} Setting */
/** @typedef {import("../models/turns.js").Noted} Noted */

const C = 3, HIDDEN = 8, ALL = 600, NEAR = 0.05, HIGHER = 0.02, MOST = 600, ROUNDS = 300, SEEDS = 99; // NEAR, HIGHER: nats from where EM ends
const BUDGET = 5, EVERY = 60, FLOOR = -5; // milliseconds of work in a frame, and from one move of Play to the next; log10 of a KL that is drawn as 0
const RUNGS = /** @type {const} */ ([ // the ladder, and how many passes show what a rung does
  ["EM", { q: "exact", theta: "closed", rows: "600" }, 20],
  ["λᵢ by gradient", { q: "table", inner: 10, theta: "closed", rows: "600" }, 110],
  ["A network", { q: "network", inner: 10, theta: "closed", rows: "600" }, 110],
  ["Both at once: AEVB", { q: "network", inner: 1, theta: "gradient", rows: "20" }, 20],
]);
const LAYOUT = `
.turns { flex: 0 0 100%; height: 0; }
.key { margin: 6px 0 0; font-size: 13px; line-height: 1.35; color: var(--quiet); }
.dial { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1.15fr); gap: 8px 16px; align-items: start; }
.numbers b { display: inline-block; min-width: 4.1em; }
@container (max-width: 36rem) { .dial { grid-template-columns: minmax(0, 1fr); } .numbers { min-height: 3em; } .note { min-height: 5.8em; } }
`;

defineFigure({
  name: "dial",
  state: {
    q: choice("table", ["exact", "table", "linear", "network"]),
    inner: number(10, { low: 1, high: 50, digits: 0 }),
    theta: choice("closed", ["closed", "gradient"]),
    rows: choice("600", ["600", "100", "20", "5"]),
    passes: number(110, { low: 0, high: MOST, digits: 4 }),
    seed: number(5, { low: 1, high: SEEDS, digits: 0 }),
  },
  build(frame) {
    const { state } = frame, x = /** @type {Point[]} */ (frame.data.x);
    const left = element("div"), right = element("div");
    frame.stage.append(element("style", {}, LAYOUT), element("div", { class: "dial" }, left, right));
    const plane = new Plot(left, { height: (width) => clamp(width * 0.95, 250, 360), left: 30, bottom: 24, top: 8 });
    const trace = new Plot(right, { height: () => 228, left: 44, bottom: 24 });
    left.append(element("p", { class: "key" }, "Color: q. Orange: more than 0.1 nats of KL. Dotted: where EM ends."));
    const strip = new Plot(right, { height: () => 150, left: 44 });

    /** @type {{ run: Run, turn: Generator<void, void> | null, stuck: string }} turn: one that is not over yet */
    let now;
    /** @type {{ run: Run, best: number | null }} EM from the same start; best: where it ends */
    let em;
    let clock = 0; // Play's, in passes: a turn of many passes takes longer
    /** @param {Setting} setting @returns {Run} */
    const begin = (setting) => {
      const { uniform, shuffled } = random(state.seed), start = startAt(x, shuffled([...x]).slice(0, C));
      return new Run(x, start, setting, { hidden: state.q === "linear" ? 0 : HIDDEN, uniform, shuffled });
    };
    const setting = () => /** @type {Setting} */ ({
      q: state.q === "linear" ? "network" : state.q, inner: state.inner, closed: state.theta === "closed", rows: Number(state.rows),
    });
    const again = () => {
      now = { run: begin(setting()), turn: null, stuck: "" };
      clock = state.passes;
    };
    const anew = () => {
      em = { run: begin({ q: "exact", inner: 1, closed: true, rows: ALL }), best: null };
      again();
    };
    const behind = () => !now.stuck && (now.turn !== null || now.run.passes < state.passes - 0.5 / ALL);
    /** A step of what is left to compute: EM first, to its end. */
    const step = () => {
      if (em.best === null) {
        [...em.run.turn()];
        const [before, after] = [em.run.noted.at(-3), em.run.noted.at(-1)];
        if (before && after && (after.evidence - before.evidence < 1e-8 || em.run.turns === ROUNDS)) em.best = after.evidence;
        return;
      }
      try {
        now.turn ??= now.run.turn();
        if (now.turn.next().done) now.turn = null;
      } catch (error) {
        if (!(error instanceof FitError)) throw error;
        now.stuck = error.message;
      }
    };
    /** Work for some milliseconds, and go on in the next frame. */
    const work = () => {
      const until = performance.now() + BUDGET;
      while ((em.best === null || behind()) && performance.now() < until) step();
      if (em.best === null || behind()) frame.redraw();
    };

    // What a reader does
    const change = (/** @type {Partial<typeof state>} */ changes) => {
      frame.change(changes);
      again();
    };
    const rungs = RUNGS.map(([name, dials, passes]) => ({
      dials,
      made: button(frame, name, () => {
        running.stop();
        change({ ...dials, passes });
      }),
    }));
    const shows = [
      radios(frame, "q", "q", [["exact", "exact posterior"], ["table", "λᵢ for each point"], ["linear", "linear network"], ["network", "8 hidden units"]], (q) => change({ q: /** @type {any} */ (q) })),
      slider(frame, "inner", { label: "inference steps", low: 1, high: 50, step: 1, log: true, words: (v) => fixed(v, 0), act: (inner) => change({ inner }) }),
    ];
    const inner = /** @type {HTMLInputElement} */ (frame.controls.lastElementChild?.querySelector("input"));
    shows.push(
      radios(frame, "theta", "θ", [["closed", "in closed form"], ["gradient", "one gradient step"]], (theta) => change({ theta: /** @type {any} */ (theta) })),
      radios(frame, "rows", "points in a turn", [["600", "all"], ["100", "100"], ["20", "20"], ["5", "5"]], (rows) => change({ rows: /** @type {any} */ (rows) })),
    );
    frame.controls.append(element("span", { class: "turns" }));
    const forth = (/** @type {number} */ passes) => frame.change({ passes: Math.min(MOST, now.run.passes + passes) });
    const one = button(frame, "One turn", () => {
      running.stop();
      if (!behind()) forth(now.run.cost);
    }, { main: true });
    const running = play(frame, () => {
      if (behind()) return true; // one thing after the other
      if (frame.calm) {
        forth(50);
        return false;
      }
      clock += 0.1 + clock / 60;
      if (clock > now.run.passes) forth(Math.max(now.run.cost, clock - now.run.passes));
      return !now.stuck && now.run.passes < MOST;
    }, EVERY);
    button(frame, "Start again", () => { running.stop(); change({ passes: 0 }); });
    button(frame, "Another start", () => {
      running.stop();
      frame.change({ seed: (state.seed % SEEDS) + 1 });
      anew();
    });
    frame.whenReset(anew);
    anew();

    // What is shown
    /** Passes after which a run is near where EM ends, and stays there. @param {readonly Noted[]} noted @returns {number | null} */
    const arrival = (noted) => {
      if (em.best === null) return null;
      const last = noted.findLastIndex(({ evidence }) => (em.best ?? 0) - evidence > NEAR);
      return last + 1 < noted.length ? noted[last + 1].passes : null;
    };
    /** Where the run stands: it is noted less often than this is drawn, where a turn is a small part of a pass. */
    let at = /** @type {Noted} */ ({ passes: 0, elbo: NaN, evidence: NaN, kl: NaN }); // measured when it is drawn
    /** All that is noted of the run, and where it stands. @returns {readonly Noted[]} */
    const traced = () => (now.run.noted[now.run.noted.length - 1].passes < at.passes ? [...now.run.noted, at] : now.run.noted);
    const words = () => {
      const { turns, passes } = now.run;
      if (now.stuck) return `${now.stuck} The closed form believes the ${state.rows} points of its turn alone. Start again, with more points or gradient steps.`;
      if (em.best === null || behind()) return "Computing …";
      const counted = (/** @type {number} */ n) => (n < 0.1 ? String(Number(n.toPrecision(1))) : fixed(n, Number.isInteger(n) ? 0 : 1));
      const read = counted(Math.round(passes * 1000) / 1000);
      const done = `${turns} ${turns === 1 ? "turn" : "turns"}, ${read} ${read === "1" ? "pass" : "passes"} through the data${now.run.together ? ", q and θ in one step" : ""}.`;
      const own = arrival(traced()), theirs = arrival(em.run.noted), below = em.best - at.evidence;
      const near = below < -HIGHER ? `The evidence is ${fixed(-below, 3)} nats above EM's end: a higher hill.`
        : own === null ? `The evidence is ${fixed(Math.max(0, below), 3)} nats below EM's end.`
          : `Within ${NEAR} nats of EM's end since pass ${counted(Math.round(own * 10) / 10)}.`;
      const isEm = state.q === "exact" && state.theta === "closed" && state.rows === String(ALL);
      return `${done} ${near}${isEm ? "" : ` EM is there after pass ${theirs === null ? "…" : counted(theirs)}.`}`;
    };
    const drawPlane = () => {
      const { mixture } = now.run, { q, kl } = now.run.guesses();
      plane.begin({ x: [-3.5, 5.5], y: [-3.2, 5.8] });
      plane.dots("far", x.filter((_, i) => kl[i] > 0.1), { stroke: "var(--kl)", "stroke-width": 11, "stroke-opacity": 0.55 });
      plane.points("points", x, (i) => ({ r: 2.6, fill: mixed(q[i]) }));
      const ends = em.best === null ? null : em.run.mixture;
      for (let c = 0; c < C; c++) {
        const last = ends && cholesky(ends.covariances[c], 2), factor = cholesky(mixture.covariances[c], 2);
        plane.curve(`EM ${c}`, ends && last ? contour(ends.means[c], last, 2) : [], { stroke: "var(--evidence)", "stroke-width": 1.4, "stroke-dasharray": "2 4" });
        for (const radius of [1, 2]) {
          plane.curve(`ellipse ${c} ${radius}`, factor ? contour(mixture.means[c], factor, radius) : [], { stroke: COMPONENTS[c], "stroke-opacity": radius === 1 ? 1 : 0.55 });
        }
      }
    };
    const drawTraces = () => {
      const noted = traced(), begun = noted[0].evidence, best = em.best ?? begun + 1;
      const end = [10, 20, 50, 120, 250, MOST].find((most) => now.run.passes <= most && state.passes <= most) ?? now.run.passes;
      trace.begin({ x: [0, end], y: [Math.min(best - 0.3, Math.max(begun - 0.3, best - 1.4)), best + 0.06] });
      const line = (/** @type {readonly Noted[]} */ all, /** @type {"elbo" | "evidence"} */ name) =>
        all.map((one) => /** @type {[number, number]} */ ([one.passes, one[name]]));
      trace.curve("gap", [...line(noted, "evidence"), ...line(noted, "elbo").reverse()], { fill: "var(--kl)", "fill-opacity": 0.6, stroke: "none" });
      trace.curve("best", em.best === null ? [] : [[0, best], [end, best]], { stroke: "var(--evidence)", "stroke-width": 1, "stroke-dasharray": "2 4" });
      const ends = em.best === null ? [] : [...em.run.noted, { ...em.run.noted[em.run.noted.length - 1], passes: MOST }];
      trace.curve("EM", line(ends, "evidence"), { stroke: "var(--prior)", "stroke-width": 1.8, "stroke-dasharray": "6 4" });
      trace.curve("ELBO", line(noted, "elbo"), { stroke: "var(--elbo)", "stroke-width": 1.8 });
      trace.curve("evidence", line(noted, "evidence"), { stroke: "var(--evidence)", "stroke-width": 1.8 });
      trace.legend([{ text: "evidence", color: "var(--evidence)" }, { text: "ELBO", color: "var(--elbo)" }, { text: "EM", color: "var(--prior)", dash: true }]);
      const logs = noted.map(({ passes, kl }) => /** @type {[number, number]} */ ([passes, Math.max(FLOOR, Math.log10(Math.max(kl, 1e-12)))]));
      strip.begin({ x: [0, end], y: [FLOOR, logs.reduce((top, [, log]) => Math.max(top, Math.ceil(log)), 0)], xLabel: "passes through the data", yLabel: "log₁₀ of the KL" });
      strip.curve("KL", logs, { stroke: "var(--kl)", "stroke-width": 1.8 });
    };
    return {
      draw() {
        work();
        at = now.run.measure();
        drawPlane();
        drawTraces();
        writeSplit(frame.numbers, at, 4, "nats per point");
        frame.note.textContent = words();
        for (const { dials, made } of rungs) {
          set(made, { "aria-pressed": String(Object.entries(dials).every(([name, value]) => state[/** @type {"q"} */ (name)] === value)) });
        }
        one.disabled = Boolean(now.stuck) || now.run.passes >= MOST;
        inner.disabled = state.q === "exact";
        for (const show of shows) show();
      },
      describe() {
        const { kl, evidence, elbo } = at, { weights, means } = now.run.mixture;
        const parts = means.map(([u, v], c) => `component ${c + 1} holds ${fixed(100 * weights[c], 0)} % around ${fixed(u, 1)}, ${fixed(v, 1)}`);
        return `${words()} ELBO ${fixed(elbo, 4)} plus KL ${fixed(kl, 4)} is the evidence, ${fixed(evidence, 4)} nats per point; ${parts.join("; ")}.`;
      },
    };
  },
});
