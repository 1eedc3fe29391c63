/** Compose: chapter 10's variational RNN goes on with a chorale, and says what every step costs it. */

import { button, slider } from "../controls/controls.js";
import { Handle } from "../controls/handle.js";
import { Plot } from "../drawing/plot.js";
import { Roll, SIDES } from "../drawing/roll.js";
import { COMPONENTS } from "../frame/colors.js";
import { element, join } from "../frame/element.js";
import { defineFigure } from "../frame/figure.js";
import { runJob } from "../frame/jobs.js";
import { Later } from "../frame/later.js";
import { number, numbers } from "../frame/state.js";
import { fixed } from "../frame/words.js";
import { isTriad, nameOf } from "../models/chords.js";
import { D, changed, vrnn } from "../models/vrnn.js";
import { clamp, sum } from "../numbers/vectors.js";
import { Player } from "../sound/player.js";

/** @typedef {import("../models/chords.js").Chord} Chord */
/** @typedef {import("../models/vrnn.js").Told} Told */
/** @typedef {import("../models/vrnn.js").Term} Term */

const T = 32, SEEDS = 9999, FAINT = 0.55;
const costs = (/** @type {readonly Term[]} */ terms) => terms.map(({ reconstruction, kl }) => kl - reconstruction);
const counted = (/** @type {number} */ n, /** @type {string} */ word) => `${n} ${word}${n === 1 ? "" : "s"}`;
const WITHOUT = "The network is not in this notebook. On the book's website it draws and counts, and here, while a kernel runs, " +
  'after ComputingFigure("compose", whole=True).';

const LAYOUT = `
.keys { display: flex; flex-wrap: wrap; gap: 2px 14px; font-size: 13px; margin: 4px 0 4px ${SIDES.left}px; }
.keys b { font-weight: 600; }
.keys span::before { content: ""; display: inline-block; width: 12px; height: 10px; background: var(--of); opacity: var(--much); border-radius: 2px; margin-right: 6px; }
.keys .line::before { height: 0; background: none; border-top: 2px solid var(--evidence); vertical-align: 4px; border-radius: 0; }
.note { min-height: 2.9em; }
@container (max-width: 36rem) { .numbers { min-height: 4.5em; align-content: start; } .numbers .sign { margin: 0; } .note { min-height: 5.8em; } .keys { margin-left: 2px; } }
`;

defineFigure({
  name: "compose",
  state: {
    piece: number(1, { low: 1, high: 12, digits: 0 }),
    from: number(16, { low: 0, high: T - 1, digits: 0 }), // steps that are given
    seed: number(0, { low: 0, high: SEEDS, digits: 0 }), // of the draw; 0: the piece goes on as it is
    changes: numbers([], { most: 200 }), // by hand: 88 times the step, plus the key, both from 0
    noise: number(1, { low: 1, high: SEEDS, digits: 0 }), // the seed of ε
  },
  build(frame) {
    const { state } = frame, { chorales, drawn, control } = /** @type {Record<string, Chord[][]>} */ (frame.data);
    const pieces = [...chorales, ...drawn, ...control];
    const nameOfPiece = () => {
      if (state.piece <= chorales.length) return `Bach, test chorale ${state.piece}`;
      return state.piece === pieces.length ? "drawn by the control, from nothing" : "drawn by the network, from nothing";
    };
    const roll = new Roll(frame.stage, (step, key) => change({ changes: flipped(step * D + key) }));
    const mark = (/** @type {string} */ color, /** @type {string} */ words, opacity = 1) =>
      element("span", { style: `--of: ${color}; --much: ${opacity}` }, words);
    frame.stage.append(element("style", {}, LAYOUT), element("div", { class: "keys", "aria-hidden": "true" },
      mark(COMPONENTS[2], "a triad"), mark("var(--data)", "another chord"), element("b", {}, "Nats a step:"), mark("var(--kl)", "KL"),
      mark("var(--data)", "−log p(x | z, h)", FAINT), element("span", { class: "line" }, "the piece as it was")));
    const bars = new Plot(frame.stage, { height: () => 132, top: 12, bottom: 36, ...SIDES });

    // What is known
    const network = new Later(frame, vrnn);
    /** @type {{ key: string, told: Told } | null} */
    let known = null;
    let asked = "", stop = () => {};
    const piece = () => pieces[state.piece - 1];
    const key = () => [state.piece, state.seed && state.from, state.seed, state.noise, ...state.changes].join(" ");
    const ask = () => {
      const { value: model } = network;
      if (!model || asked === key()) return;
      asked = key();
      stop();
      const { from, seed, changes, noise } = state, now = asked;
      stop = runJob("listen", { model, piece: piece(), from, seed, changes: [...changes], noise }, (told, done) => {
        if (done) known = { key: now, told };
        frame.redraw();
      });
    };
    /** @returns {Told | null} what is said of the sheet as it stands */
    const told = () => (known?.key === key() ? known.told : null);
    /** The sheet; while a draw is computed, the last one. @returns {readonly Chord[]} */
    const chords = () => {
      if (!state.seed) return changed(piece(), state.changes);
      return told()?.chords ?? known?.told.chords ?? piece();
    };

    // What a reader does
    const flipped = (/** @type {number} */ cell) =>
      state.changes.includes(cell) ? state.changes.filter((other) => other !== cell) : [...state.changes, cell];
    /** Changes of the steps that stay when the others are drawn. @param {number} from @returns {number[]} */
    const given = (from) => state.changes.filter((cell) => cell < D * Math.min(from, state.seed ? state.from : T));
    const change = (/** @type {Partial<typeof state>} */ changes) => {
      player.stop();
      void network.wake();
      frame.change(changes);
    };
    let sounding = /** @type {number | null} */ (null);
    const player = new Player((step) => {
      sounding = step;
      playButton.textContent = player.playing ? "■ Stop" : "▶ Play";
      frame.redraw();
    });
    const drawButton = button(frame, "Draw what comes next", () => {
      change({ seed: (state.seed % SEEDS) + 1, changes: given(state.from) });
    }, { main: true });
    const playButton = button(frame, "▶ Play", () => {
      if (player.playing) return player.stop();
      player.play(chords());
      playButton.textContent = "■ Stop";
    });
    playButton.style.minWidth = "6em";
    const back = button(frame, "Take back", () => change({ seed: 0, changes: [] }));
    const noiseButton = button(frame, "Other noise", () => change({ noise: (state.noise % SEEDS) + 1 }));
    const show = slider(frame, "piece", {
      label: "piece", low: 1, high: pieces.length, step: 1, words: (v) => (v <= chorales.length ? `Bach ${v}` : v === pieces.length ? "control" : "network"),
      act: (value) => change({ piece: value, seed: 0, changes: [] }),
    });
    const setFrom = (/** @type {number} */ x) => {
      const from = clamp(Math.round(x - 0.5), 0, T - 1);
      if (from !== state.from) change({ from, changes: state.seed ? given(from) : state.changes });
    };
    const line = new Handle(roll.plot, { color: "var(--q)", label: "Continue from here: steps that are given", move: setFrom, step: () => [1, 0] });
    frame.whenReset(() => player.stop());
    if (state.seed || state.changes.length) void network.wake();

    // What is shown
    const words = () => {
      const now = told(), sheet = chords();
      if (network.stage === "none" && frame.distant) return "The network could not be loaded. Touch the figure to try again.";
      if (network.stage === "none") return WITHOUT;
      if (network.stage === "asleep") return "Touch the figure, and the network is loaded (0.65 MB).";
      if (!now) return network.stage === "loading" ? "The network is being loaded." : "The network is at work.";
      const { terms, before } = now, cost = costs(terms), was = costs(before);
      if (state.seed) {
        const { from } = state, after = (/** @type {readonly Chord[]} */ all) => all.slice(from).filter(isTriad).length;
        return `Of the ${counted(T - from, "step")} that were drawn ${after(sheet)} are triads; in the piece as it was, ${after(piece())}. ` +
          `A drawn step costs ${fixed(sum(cost.slice(from)) / (T - from))} nats, one of the piece ${fixed(sum(was.slice(from)) / (T - from))}.`;
      }
      if (!state.changes.length) return "Drag the purple dot to where the network is to go on, or click into the roll: a note comes or goes.";
      const steps = new Set(state.changes.map((cell) => Math.floor(cell / D))), first = Math.min(...steps);
      const more = cost.map((nats, t) => nats - was[t]), there = sum(more.filter((_, t) => steps.has(t)));
      const later = sum(more.filter((_, t) => t > first && !steps.has(t)));
      return `${signed(there)} nats at the ${steps.size === 1 ? "step" : "steps"} that you changed, ${signed(later)} at those after ${steps.size === 1 ? "it" : "them"}.`;
    };
    return {
      draw() {
        ask();
        const sheet = chords(), now = told(), shown = known?.told;
        const marked = state.changes.map((cell) => ({ step: Math.floor(cell / D), key: cell % D }));
        roll.draw(sheet, { room: [...piece()], from: state.seed ? state.from : T, now: frame.calm ? null : sounding, marked });
        line.draw(state.from + 0.5, roll.plot.ySpan[1], `${counted(state.from, "step")} given, then the network`);
        roll.plot.curve("from", [[state.from + 0.5, roll.plot.ySpan[0]], [state.from + 0.5, roll.plot.ySpan[1]]], { stroke: "var(--q)", "stroke-width": 2 });
        join(roll.plot.layer("title", "g", roll.plot.front), "text", [0], () => ({ x: 2, y: 12, class: "ink", text: `${nameOfPiece()}${state.seed ? `, continued by draw ${state.seed}` : ""}` }));

        const parts = shown ? shown.terms : [], was = shown ? costs(shown.before) : [];
        const highest = Math.max(20, ...costs(parts), ...was);
        bars.begin({ x: [0.5, T + 0.5], y: [0, highest], xLabel: "step", yLabel: "" });
        const wide = bars.x(1) - bars.x(0);
        const bar = (/** @type {number} */ t, /** @type {number} */ low, /** @type {number} */ high) => ({
          x: bars.x(t + 0.5) + wide * 0.15, width: wide * 0.7, y: bars.y(high), height: Math.max(0, bars.y(low) - bars.y(high)),
        });
        join(bars.layer("kl"), "rect", parts, ({ kl }, t) => ({ ...bar(t, 0, kl), fill: "var(--kl)" }));
        join(bars.layer("x"), "rect", parts, ({ kl, reconstruction }, t) => ({ ...bar(t, kl, kl - reconstruction), fill: "var(--data)", "fill-opacity": FAINT }));
        join(bars.layer("before"), "path", [0], () => ({
          d: was.map((nats, t) => `M${bars.x(t + 0.5)} ${bars.y(nats)}h${wide}`).join(""), stroke: "var(--evidence)", "stroke-width": 2, fill: "none",
        }));
        const all = now ? { log: sum(now.terms.map((t) => t.reconstruction)), kl: sum(now.terms.map((t) => t.kl)) } : null;
        const part = (/** @type {string} */ name, /** @type {number | undefined} */ nats) =>
          element("span", {}, `${name} `, element("b", {}, nats === undefined ? "…" : fixed(nats)));
        const sign = (/** @type {string} */ text) => element("span", { class: "sign" }, text);
        frame.numbers.replaceChildren(
          part("ELBO", all ? all.log - all.kl : undefined), sign("="), part("log p(x | z, h)", all?.log), sign("−"), part("KL", all?.kl), sign("nats;"),
          part("a step costs", all ? (all.kl - all.log) / T : undefined),
        );
        drawButton.disabled = noiseButton.disabled = network.stage === "none" && !frame.distant;
        back.disabled = !state.seed && !state.changes.length;
        frame.note.textContent = words();
        show();
      },
      describe() {
        const sheet = chords(), now = told(), triads = sheet.filter(isTriad).length;
        const hand = state.changes.map((cell) => `${nameOf(cell % D)} at step ${Math.floor(cell / D) + 1}`);
        return `A piano roll of ${T} steps: ${nameOfPiece()}${state.seed ? `, continued by the network after ${counted(state.from, "step")}` : ""}. ` +
          `${triads} steps are triads.${hand.length ? ` Changed by hand: ${hand.join(", ")}.` : ""} ` +
          `${now ? `The ELBO along one path is ${fixed(-sum(costs(now.terms)))} nats. ` : ""}${words()}`;
      },
    };
  },
});

/** @param {number} nats @returns {string} with its sign */
function signed(nats) {
  return nats < 0 ? fixed(nats, 1) : `+${fixed(nats, 1)}`;
}
