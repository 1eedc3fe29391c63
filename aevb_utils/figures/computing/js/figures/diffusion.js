/** Diffusion: points that a reader draws, q's chain that blurs them, and a model that walks back, with its ELBO. */

import { button, play, radios, slider } from "../controls/controls.js";
import { Handle, drag } from "../controls/handle.js";
import { EvidenceBar, swatch } from "../drawing/evidence.js";
import { Plot } from "../drawing/plot.js";
import { element, set, svg } from "../frame/element.js";
import { defineFigure } from "../frame/figure.js";
import { runJob } from "../frame/jobs.js";
import { choice, number, numbers } from "../frame/state.js";
import { fixed } from "../frame/words.js";
import { WIDTH, arcs, jump, schedule } from "../models/diffusion.js";
import { STEPS, WALKERS, drawTruth } from "../models/diffusion_jobs.js";
import { unpackHalves } from "../numbers/bytes.js";
import { random } from "../numbers/random.js";
import { clamp } from "../numbers/vectors.js";

/** @typedef {import("../models/diffusion.js").Point} Point */
/** @typedef {import("../models/diffusion_jobs.js").Known} Known */

const IN_PANEL = 200; // points of a small picture
const MOST = 80, APART = 0.12, WAIT = 600; // centers; the least way between two of a stroke; milliseconds until work begins
const X = /** @type {[number, number]} */ ([-2.9, 2.9]), Y = /** @type {[number, number]} */ ([-2.6, 2.6]);
const PANELS = [0, 0.2, 0.5, 1]; // of the chain
const ROOM = { left: 4, right: 4, top: 4, bottom: 4 };

const LAYOUT = `
.diffusion { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 10px 14px; }
.diffusion .title { margin: 0 0 4px; font-size: 13px; line-height: 1.35; color: var(--quiet); min-height: 2.7em; }
.diffusion .plane { border: 1px solid var(--line); border-radius: 4px; overflow: hidden; }
.chain { display: grid; grid-template-columns: repeat(${PANELS.length}, minmax(0, 1fr)); gap: 3px 8px; margin: 10px 0 6px; font-size: 12.5px; color: var(--quiet); text-align: center; }
.chain canvas { display: block; width: 100%; aspect-ratio: ${X[1] - X[0]} / ${Y[1] - Y[0]}; border: 1px solid var(--line); border-radius: 3px; }
.numbers { min-height: 2.9em; align-content: start; }
.numbers b { display: inline-block; min-width: 3.4em; }
@container (max-width: 34rem) { .numbers { min-height: 4.35em; } .diffusion { gap: 8px; } }
`;

defineFigure({
  name: "diffusion",
  state: {
    points: numbers([], { digits: 3, most: 2 * MOST }), // centers; none: the two arcs
    blank: choice("no", ["no", "yes"]), // whether no points are no points
    model: choice("network", ["network", "ideal"]),
    T: number(40, { low: 5, high: 160, digits: 0 }),
    back: number(100, { low: 0, high: 100, digits: 0 }), // how far the walk has come, in percent
    seed: number(1, { low: 1, high: 9999, digits: 0 }),
  },
  build(frame) {
    const stored = unpackHalves(/** @type {{ weights: string }} */ (frame.data).weights), all = arcs();
    const box = (/** @type {string} */ title) => {
      const heading = element("p", { class: "title" }, title), plane = element("div", { class: "plane" });
      return { heading, plane, made: element("div", {}, heading, plane) };
    };
    const left = box(""), right = box("");
    const panels = [0, 1].map(() => PANELS.map(() => element("canvas")));
    const times = PANELS.map(() => element("span"));
    const chain = element("div", { class: "chain", "aria-hidden": "true" }, ...panels[0], ...times, ...panels[1]);
    frame.stage.append(element("style", {}, LAYOUT), element("div", { class: "diffusion" }, left.made, right.made), chain);
    const height = (/** @type {number} */ width) => ((width - 8) * (Y[1] - Y[0])) / (X[1] - X[0]) + 8;
    const data = new Plot(left.plane, { height, ...ROOM }), walked = new Plot(right.plane, { height, ...ROOM });
    for (const plot of [data, walked]) plot.axes.style.display = "none";
    const surface = svg("rect", { fill: "transparent", class: "touch" });
    data.root.insertBefore(surface, data.body);
    const bar = new EvidenceBar(frame.stage);

    // What is asked, and what is known about it
    const centers = () => (frame.state.points.length || frame.state.blank === "yes"
      ? Array.from({ length: frame.state.points.length >> 1 }, (_, i) => /** @type {Point} */ ([frame.state.points[2 * i], frame.state.points[2 * i + 1]])) : all);
    const own = () => frame.state.points.length > 0 || frame.state.blank === "yes";
    const keyOf = () => [frame.state.points, frame.state.blank, frame.state.model, frame.state.T, frame.state.seed].join(" ");
    /** @type {{ key: string, known: Known, done: boolean } | null} */
    let told = null;
    let asked = "", timer = 0, near = false, stop = () => {};
    const ask = () => {
      const key = keyOf();
      if (!near || key === asked) return;
      asked = key;
      stop();
      clearTimeout(timer);
      if (!centers().length) return;
      timer = setTimeout(() => {
        const { model, T, seed } = frame.state, weights = model === "network" && !own() && T === 40 ? stored : null;
        stop = runJob("diffusion", { truth: { centers: centers(), width: WIDTH }, T, model, weights, seed }, (known, done) => {
          if (known) told = { key, known, done };
          frame.redraw();
        });
      }, told ? WAIT : 0);
    };
    const watcher = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      watcher.disconnect();
      near = true;
      frame.redraw();
    }, { rootMargin: "400px" });
    watcher.observe(frame.stage);

    // What a reader does
    const place = (/** @type {Point[]} */ points) => {
      const kept = points.slice(-MOST).flat().map((v) => Number(v.toFixed(2)));
      frame.change({ points: kept, blank: kept.length ? "no" : "yes" });
    };
    const inside = (/** @type {number[]} */ [a, b]) => /** @type {Point} */ ([clamp(a, ...X), clamp(b, ...Y)]);
    /** @type {Point[]} */
    let before = [];
    drag(surface, (event) => {
      const at = inside(data.at(event));
      if (event.type === "pointerdown") before = own() ? centers() : [];
      const last = before[before.length - 1];
      if (event.type !== "pointerdown" && last && Math.hypot(at[0] - last[0], at[1] - last[1]) < APART) return;
      before = [...before, at];
      place(before);
    });
    const cursor = new Handle(data, {
      color: "var(--link)", label: "Place for a point: Enter places one, Delete takes the nearest away", step: () => [0.1, 0.1],
      move: (a, b) => { const [u, v] = inside([a, b]); cursor.draw(u, v, `${fixed(u)}, ${fixed(v)}`); },
    });
    set(cursor.root, { class: "handle cursor", "pointer-events": "none" });
    cursor.root.addEventListener("keydown", ({ key }) => {
      const at = /** @type {Point} */ ([cursor.place.x, cursor.place.y]), now = own() ? centers() : [];
      const away = now.map(([a, b]) => Math.hypot(a - at[0], b - at[1]));
      if (key === "Enter") place([...now, at]);
      if ((key === "Delete" || key === "Backspace") && now.length) place(now.filter((_, i) => i !== away.indexOf(Math.min(...away))));
    });
    const walking = play(frame, () => {
      const from = frame.state.back >= 100 ? 0 : frame.state.back;
      frame.change({ back: frame.calm ? 100 : Math.min(100, from + 2) });
      return frame.state.back < 100;
    }, 60, "▶ Walk back");
    button(frame, "Clear the plane", () => place([]));
    button(frame, "The two arcs", () => frame.change({ points: [], blank: "no" }));
    button(frame, "Draw anew", () => frame.change({ seed: (frame.state.seed % 9999) + 1 }));
    const shows = [
      slider(frame, "back", { label: "walk back", low: 0, high: 100, step: 1, words: (v) => `t = ${stepOf(v)}`, act: (back) => { walking.stop(); frame.change({ back }); } }),
      radios(frame, "model", "guess at the noise", [["network", "a network"], ["ideal", "the ideal one"]]),
      slider(frame, "T", { label: "steps T", low: 5, high: 160, step: 5, words: (v) => String(v) }),
    ];
    function stepOf(/** @type {number} */ back) {
      return Math.round(frame.state.T * (1 - back / 100));
    }

    // What is shown
    const current = () => (told?.key === keyOf() ? told : null);
    const walkAt = (/** @type {Known} */ known, /** @type {number} */ t) => {
      const T = known.walk.length / (2 * WALKERS) - 1, from = 2 * WALKERS * (T - t);
      return Array.from({ length: WALKERS }, (_, i) => /** @type {Point} */ ([known.walk[from + 2 * i], known.walk[from + 2 * i + 1]]));
    };
    /** @type {{ key: string, x: Point[], eps: Point[] }} fresh points, and the noise that q adds to each */
    let cloud = { key: "", x: [], eps: [] };
    const blurred = (/** @type {number} */ t) => {
      const now = centers(), key = `${frame.state.points} ${own()} ${frame.state.seed}`;
      if (cloud.key !== key) {
        const noise = random(frame.state.seed + 3);
        cloud = { key, x: now.length ? Array.from({ length: WALKERS }, () => drawTruth({ centers: now, width: WIDTH }, noise)) : [], eps: [] };
        cloud.eps = cloud.x.map(() => [noise.normal(), noise.normal()]);
      }
      const s = schedule(frame.state.T);
      return t ? cloud.x.map((x, i) => jump(s, x, t, cloud.eps[i])) : cloud.x;
    };
    const words = () => {
      const now = current();
      if (!centers().length) return "Draw some points on the left: with a stroke, or with Enter.";
      if (!now) return "…";
      const { trained, count } = now.known;
      const who = frame.state.model === "ideal" ? "No network: the best guess at the noise, from the centers."
        : trained < STEPS ? `A network is being trained here: step ${trained} of ${STEPS}.`
        : own() || frame.state.T !== 40 ? `The network has been trained here, ${STEPS} steps.` : "The network is the chapter's own.";
      return `${who} ${now.done ? "" : "So far: "}${count} fresh points.`;
    };
    let shown = "";
    const drawPanels = () => {
      const now = current(), key = `${keyOf()} ${now?.known.trained} ${now?.done} ${frame.color("data")}`;
      if (shown === key) return;
      shown = key;
      PANELS.forEach((share, k) => {
        const t = Math.round(share * frame.state.T);
        times[k].textContent = `t = ${t}`;
        scatter(panels[0][k], blurred(t), frame.color("data"));
        scatter(panels[1][k], now ? walkAt(now.known, t) : [], frame.color(share === 1 ? "prior" : "q"));
      });
    };
    return {
      draw() {
        ask();
        const t = stepOf(frame.state.back), now = current(), marks = centers();
        left.heading.textContent = t ? `q adds noise to the data: z at step ${t}` : "The data. Draw your own here.";
        right.heading.textContent = t ? `p takes noise away: z at step ${t} of its walk` : "Draws of the model, at the end of its walk";
        data.begin({ x: X, y: Y, hideY: true });
        set(surface, { x: 0, y: 0, width: data.width, height: data.height });
        data.dots("blurred", blurred(t), { stroke: "var(--data)", "stroke-opacity": 0.75 });
        data.dots("centers", marks, { stroke: "var(--posterior)", "stroke-width": t ? 1.5 : 3 });
        cursor.draw(cursor.place.x, cursor.place.y, `${fixed(cursor.place.x)}, ${fixed(cursor.place.y)}`);
        walked.begin({ x: X, y: Y, hideY: true });
        walked.dots("walk", now ? walkAt(now.known, t) : [], { stroke: t === frame.state.T ? "var(--prior)" : "var(--q)", "stroke-opacity": 0.75 });
        drawPanels();
        const { truth, elbo, error } = now ? now.known : { truth: NaN, elbo: NaN, error: NaN };
        bar.plot.root.style.visibility = now ? "" : "hidden";
        if (now) bar.draw({ elbo, evidence: truth, kl: truth - elbo }, [Math.min(truth - 0.5, Math.max(elbo - 0.1, truth - 4)), Math.max(truth, elbo) + 0.1]);
        const part = (/** @type {string} */ name, /** @type {string} */ color, /** @type {string} */ value) => element("span", {}, swatch(color), `${name} `, element("b", {}, value));
        const sign = (/** @type {string} */ said) => element("span", { class: "sign" }, said);
        frame.numbers.replaceChildren(...(now ? [
          part("log p*(x)", "evidence", fixed(truth, 3)), sign("="), part("ELBO", "elbo", fixed(elbo, 3)), sign("+"),
          part("missing", "kl", `${fixed(truth - elbo, 3)} ± ${fixed(2 * error, 3)}`), sign("nats a point"),
        ] : []));
        frame.note.textContent = words();
        for (const show of shows) show();
      },
      describe() {
        const now = current(), what = own() ? `${centers().length} centers of yours` : "two arcs";
        if (!now) return `${what}. ${words()}`;
        const { truth, elbo, error } = now.known;
        return `${what}, ${frame.state.T} steps; shown is step ${stepOf(frame.state.back)}. The truth's log density is ${fixed(truth, 3)} nats a point, the ELBO ` +
          `${fixed(elbo, 3)}: ${fixed(truth - elbo, 3)} are missing, give or take ${fixed(2 * error, 3)}. ${words()}`;
      },
    };
  },
});

/** Small dots on a canvas.
 * @param {HTMLCanvasElement} canvas @param {readonly Point[]} points @param {string} color */
function scatter(canvas, points, color) {
  canvas.width = Math.round((canvas.clientWidth || 160) * devicePixelRatio);
  canvas.height = Math.round((canvas.width * (Y[1] - Y[0])) / (X[1] - X[0]));
  const context = canvas.getContext("2d");
  if (!context) return;
  context.fillStyle = color;
  const dot = Math.max(1, Math.round(1.7 * devicePixelRatio));
  for (const [a, b] of points.slice(0, IN_PANEL)) {
    const x = (canvas.width * (a - X[0])) / (X[1] - X[0]), y = (canvas.height * (Y[1] - b)) / (Y[1] - Y[0]);
    context.fillRect(Math.round(x - dot / 2), Math.round(y - dot / 2), dot, dot);
  }
}
