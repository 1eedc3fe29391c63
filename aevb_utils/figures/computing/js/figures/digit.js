/** Draw a digit: chapter 4's binomial VAE on one picture, its exact posterior, q, the best q, and both gaps. */

import { button, play, radios, slider } from "../controls/controls.js";
import { Handle } from "../controls/handle.js";
import { GapBar, writeGaps } from "../drawing/gaps.js";
import { paint } from "../drawing/paint.js";
import { PAD_STYLE, Pad, SIDE, countsOf, inkOf } from "../drawing/pixels.js";
import { Plot } from "../drawing/plot.js";
import { defineFigure } from "../frame/figure.js";
import { element, join } from "../frame/element.js";
import { runJob } from "../frame/jobs.js";
import { choice, number, numbers, text } from "../frame/state.js";
import { fixed } from "../frame/words.js";
import { binomialVae, decode, elbo, encode } from "../models/binomial_vae.js";
import { LIMIT, SIDES, STEPS, logJointTable, look, valueAt } from "../models/latent_plane.js";
import { unpackMultiples } from "../numbers/bytes.js";
import { contour } from "../numbers/plane.js";
import { clamp, sigmoid } from "../numbers/vectors.js";

/** @typedef {import("../models/latent_plane.js").Grid} Grid */
/** @typedef {import("../models/latent_plane.js").Answer} Answer */
/** @typedef {import("../models/latent_plane.js").Seen} Seen */

const TILES = 9, TILE = SIDE + 2, FINE = 128; // pictures along the map, their pixels; pixels along the close-up
const ROOM = { left: 34, right: 8, top: 22, bottom: 36 };
/** @type {Seen} */
const NOTHING = { evidence: NaN, cells: new Float64Array(0), peaks: [], edge: false, near: [] };
const square = (/** @type {number} */ width) => width - ROOM.left - ROOM.right + ROOM.top + ROOM.bottom;

const LAYOUT = `${PAD_STYLE}
.digit { display: grid; grid-template: auto 1fr / 168px minmax(0, 1fr) minmax(0, 1fr); grid-template-areas: "pad map close" "picture map close"; gap: 8px 14px; }
.digit .title { margin: 0 0 6px; font: inherit; font-size: 13px; line-height: 1.35; color: var(--quiet); min-height: 2.7em; }
.of-pad { grid-area: pad; } .of-picture { grid-area: picture; } .of-map { grid-area: map; } .of-close { grid-area: close; }
.picture { width: 96px; }
.plane { position: relative; cursor: crosshair; }
.plane canvas { position: absolute; left: ${ROOM.left}px; top: ${ROOM.top}px; width: calc(100% - ${ROOM.left + ROOM.right}px); aspect-ratio: 1; }
.plane .tiles { image-rendering: pixelated; opacity: 0.5; }
.plane svg { position: relative; }
.keys { display: flex; flex-wrap: wrap; gap: 2px 14px; font-size: 13px; margin-left: ${ROOM.left}px; }
.keys span::before { content: ""; display: inline-block; width: 14px; border-top: 3px solid var(--of); vertical-align: 4px; margin-right: 6px; }
.keys .dashed::before { border-top-style: dashed; border-top-width: 2px; }
.keys .heat::before { height: 10px; border: 0; background: var(--of); vertical-align: -1px; border-radius: 2px; }
.numbers { font-size: 14px; gap: 2px 9px; }
.numbers b { display: inline-block; min-width: 3.4em; }
@container (max-width: 36rem) {
  .numbers { min-height: 4.6em; align-content: start; }
  .digit { grid-template: auto auto auto / minmax(0, 204px) minmax(0, 1fr); grid-template-areas: "pad picture" "map map" "close close"; gap: 14px; }
  .digit .title { min-height: 0; }
  .of-pad .title, .of-picture .title { min-height: 4.05em; }
  .picture { width: 100%; max-width: 120px; }
}
`;

defineFigure({
  name: "digit",
  state: {
    digit: number(72, { low: 0, high: 360, digits: 0 }), // 0: the reader's own
    ink: text("0".repeat(SIDE * SIDE), new RegExp(`^[0-9a-g]{${SIDE * SIDE}}$`)),
    pen: choice("pen", ["pen", "eraser"]),
    steps: number(0, { low: 0, high: STEPS, digits: 0 }),
    close: choice("all", ["all", "posterior"]),
    z: numbers([], { digits: 4, most: 2 }), // none: the mean of q
  },
  build(frame) {
    const { digits, labels } = /** @type {{ digits: string[], labels: string }} */ (frame.data);
    const weights = unpackMultiples(frame.data.weights), model = binomialVae(weights);
    const box = (/** @type {string} */ name, /** @type {string} */ title) => {
      const heading = element("p", { class: "title" }, title), made = element("div", { class: `of-${name}` }, heading);
      return { made, heading };
    };
    const parts = {
      pad: box("pad", "x: draw here"), picture: box("picture", "decoded"), map: box("map", "The latent plane, and what its points decode to"),
      close: box("close", "Close-up of the box: the posterior"),
    };
    frame.stage.append(element("style", {}, LAYOUT), element("div", { class: "digit" }, ...Object.values(parts).map(({ made }) => made)));
    const pad = new Pad(parts.pad.made, {
      counts: () => [...seen.x], erases: () => frame.state.pen === "eraser", change: (counts) => own(counts),
    });
    const pixels = element("canvas", { class: "pixels" });
    parts.picture.made.append(element("div", { class: "picture" }, pixels));
    const plane = (/** @type {HTMLElement} */ made, /** @type {string} */ name) => {
      const canvas = element("canvas", { class: name }), place = element("div", { class: "plane" }, canvas);
      made.append(place);
      return { canvas, plot: new Plot(place, { height: square, ...ROOM }), place };
    };
    const map = plane(parts.map.made, "tiles"), close = plane(parts.close.made, "heat");
    parts.close.made.append(element("div", { class: "keys", "aria-hidden": "true" },
      element("span", { class: "heat", style: "--of: var(--posterior)" }, "posterior"), element("span", { style: "--of: var(--q)" }, "q"),
      element("span", { class: "dashed", style: "--of: var(--evidence)" }, "best q: q*")));
    const bar = new GapBar(frame.stage);

    // What is known
    /** @type {Grid | null} */
    let grid = null;
    /** @type {Seen & { key: string, side: number, x: number[], lambda: Float64Array, table: Float64Array, elbo: number }} */
    let seen = { key: "", side: 0, x: new Array(SIDE * SIDE).fill(0), lambda: new Float64Array(4), table: new Float64Array(0), elbo: NaN, ...NOTHING };
    /** @type {{ key: string, answer: Answer } | null} */
    let told = null;
    /** @type {number[] | null} */
    let hover = null;
    let working = "", tiles = "";
    const written = () => (frame.state.digit ? digits[frame.state.digit - 1] : frame.state.ink);
    const answer = () => (told?.key === seen.key ? told.answer : null);
    const measure = () => {
      const key = written();
      if (key === seen.key && (grid?.side ?? 0) === seen.side) return;
      const x = countsOf(key);
      const table = grid ? logJointTable(grid, x) : new Float64Array(0), found = grid ? look(grid, table, x) : NOTHING;
      const lambda = key === seen.key ? seen.lambda : encode(model, x);
      seen = { key, side: grid?.side ?? 0, x, lambda, table, elbo: key === seen.key ? seen.elbo : elbo(model, x, lambda), ...found };
    };
    const ask = () => {
      if (!grid || seen.edge || seen.side < SIDES[1] || working || told?.key === seen.key) return;
      working = seen.key;
      const { key, x, cells, side, peaks } = seen;
      runJob("digit", { weights, x, cells, side, peaks }, (result, done) => {
        if (result) told = { key, answer: result };
        if (done) working = "";
        frame.redraw();
      });
    };
    const start = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      start.disconnect();
      runJob("latent grids", { weights }, (result) => {
        if (result) grid = result;
        frame.redraw();
      });
    }, { rootMargin: "800px" });
    start.observe(frame.stage);

    // What a reader does
    const own = (/** @type {number[]} */ counts) => {
      refining.stop();
      frame.change({ digit: 0, ink: inkOf(counts), steps: 0 });
    };
    const take = (/** @type {number} */ digit) => {
      refining.stop();
      frame.change({ digit, steps: 0 });
    };
    const shows = [slider(frame, "digit", {
      label: "test digit", low: 1, high: digits.length, step: 1, words: (v) => (v ? `${v}: a ${labels[v - 1]}` : "yours"), act: take,
    })];
    button(frame, "Next test digit", () => take((frame.state.digit % digits.length) + 1), { main: true });
    button(frame, "Clear the page", () => own(new Array(SIDE * SIDE).fill(0)));
    shows.push(radios(frame, "pen", "draw with", [["pen", "pen"], ["eraser", "eraser"]]));
    shows.push(slider(frame, "steps", {
      label: "gradient steps", low: 0, high: STEPS, step: 1, words: (v) => String(v), act: (steps) => { refining.stop(); frame.change({ steps }); },
    }));
    const stepsSlider = /** @type {HTMLInputElement} */ (frame.controls.lastElementChild?.querySelector("input"));
    const refining = play(frame, () => {
      const from = frame.state.steps >= STEPS ? 0 : frame.state.steps;
      frame.change({ steps: frame.calm ? STEPS : from + 1 });
      return frame.state.steps < STEPS;
    }, 60, "▶ Refine q");
    shows.push(radios(frame, "close", "close-up", [["all", "posterior and q"], ["posterior", "posterior alone"]]));
    const back = button(frame, "Decode q's mean", () => frame.change({ z: [] }));

    const setPoint = (/** @type {number} */ a, /** @type {number} */ b) => {
      frame.change({ z: [clamp(a, -LIMIT, LIMIT), clamp(b, -LIMIT, LIMIT)].map((v) => Number(v.toFixed(3))) });
    };
    for (const { place, plot } of [map, close]) {
      const inside = (/** @type {number[]} */ [a, b]) => a >= plot.xSpan[0] && a <= plot.xSpan[1] && b >= plot.ySpan[0] && b <= plot.ySpan[1];
      place.addEventListener("pointermove", (event) => {
        if (event.pointerType !== "mouse") return;
        const at = plot.at(event);
        hover = inside(at) ? at : null;
        frame.redraw();
      });
      place.addEventListener("pointerleave", () => {
        hover = null;
        frame.redraw();
      });
      place.addEventListener("click", (event) => {
        const at = plot.at(event);
        if (inside(at)) setPoint(at[0], at[1]);
      });
    }
    const ring = new Handle(map.plot, {
      color: "transparent", label: "Point of the plane that is decoded", move: setPoint, step: () => [0.1, 0.1],
    });
    ring.root.lastElementChild?.setAttribute("stroke", "var(--ink)");

    // What is shown
    const lambdaNow = () => answer()?.trail?.[frame.state.steps] ?? seen.lambda;
    let measured = { lambda: seen.lambda, elbo: NaN };
    const gaps = () => {
      const known = answer();
      const lambda = lambdaNow();
      if (lambda !== measured.lambda) measured = { lambda, elbo: lambda === seen.lambda ? seen.elbo : elbo(model, seen.x, lambda) };
      return { elbo: measured.elbo, star: known?.elboStar, evidence: known?.evidence };
    };
    const point = () => hover ?? (frame.state.z.length === 2 ? frame.state.z : Array.from(lambdaNow().slice(0, 2)));
    const name = () => (frame.state.digit ? `test digit ${frame.state.digit}, a ${labels[frame.state.digit - 1]}` : "your own digit");
    let now = { elbo: 0, star: /** @type {number | undefined} */ (undefined), evidence: /** @type {number | undefined} */ (undefined) };

    /** The square around the posterior and, if wanted, all q. @returns {[number, number, number]} its middle and half its width */
    const window_ = () => {
      const qs = [answer()?.star, ...(frame.state.close === "all" ? [seen.lambda, lambdaNow()] : [])].filter((q) => q !== undefined);
      const points = qs.flatMap((q) => [-2.2, 2.2].map((far) => [q[0] + far * Math.exp(q[2]), q[1] + far * Math.exp(q[3])]));
      points.push(...seen.near);
      const [low, high] = [Math.min, Math.max].map((end) => [0, 1].map((k) => end(...points.map((each) => each[k]))));
      return [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, Math.max(high[0] - low[0], high[1] - low[1]) * 0.56 + 0.03];
    };
    const drawMap = (/** @type {number[]} */ [a, b, half], /** @type {number[]} */ [z1, z2]) => {
      const reach = Math.max(Math.abs(a) + half, Math.abs(b) + half) > 5 ? LIMIT : 5, color = frame.color("ink");
      const { plot, canvas } = map;
      plot.begin({ x: [-reach, reach], y: [-reach, reach], xLabel: "z₁", yLabel: "z₂" });
      if (tiles !== `${reach} ${color}`) {
        tiles = `${reach} ${color}`;
        const middle = (/** @type {number} */ t) => reach * ((2 * t + 1) / TILES - 1);
        const means = Array.from({ length: TILES * TILES }, (_, t) => Float64Array.from(decode(model, middle(t % TILES), -middle(Math.floor(t / TILES)))));
        paint(canvas, TILES * TILE, TILES * TILE, color, (i, j) => {
          const logits = means[Math.floor(j / TILE) * TILES + Math.floor(i / TILE)], [column, row] = [i % TILE - 1, j % TILE - 1];
          return column < 0 || row < 0 || column >= SIDE || row >= SIDE ? 0 : sigmoid(logits[row * SIDE + column]);
        });
      }
      const q = lambdaNow(), pixel = (2 * reach) / Math.max(1, plot.width - ROOM.left - ROOM.right), side = Math.max(half, 9 * pixel);
      plot.curve("window-paper", corners(a, b, side), { stroke: "var(--paper)", "stroke-width": 5 });
      plot.curve("window", corners(a, b, side), { stroke: "var(--posterior)", "stroke-width": 2 });
      plot.points("q", [[q[0], q[1]]], () => ({ r: 5, fill: "var(--q)", stroke: "var(--paper)", "stroke-width": 1.5 }));
      ring.draw(z1, z2, `${fixed(z1)}, ${fixed(z2)}`);
    };
    const drawClose = (/** @type {number[]} */ [a, b, half], /** @type {number[]} */ [z1, z2]) => {
      const { plot, canvas } = close, q = lambdaNow(), trail = answer()?.trail, star = answer()?.star;
      plot.begin({ x: [a - half, a + half], y: [b - half, b + half], xLabel: "z₁", yLabel: "z₂" });
      const heights = new Float64Array(FINE * FINE);
      let top = -Infinity;
      if (grid && seen.side === grid.side) {
        for (let j = 0, g = 0; j < FINE; j++) {
          for (let i = 0; i < FINE; i++, g++) {
            heights[g] = valueAt(grid.side, seen.table, a + half * ((2 * i + 1) / FINE - 1), b - half * ((2 * j + 1) / FINE - 1));
            top = Math.max(top, heights[g]);
          }
        }
      }
      paint(canvas, FINE, FINE, frame.color("posterior"), (i, j) => (top === -Infinity ? 0 : Math.exp(heights[j * FINE + i] - top)));
      const ellipses = (/** @type {ArrayLike<number>} */ l) => [1, 2].map((radius) =>
        contour([l[0], l[1]], [Math.exp(l[2]), 0, Math.exp(l[3])], radius));
      const draw = (/** @type {string} */ layer, /** @type {ArrayLike<number> | undefined} */ l, /** @type {import("../drawing/plot.js").Drawn} */ looks) =>
        (l ? ellipses(l) : [[], []]).forEach((line, i) => plot.curve(`${layer} ${i}`, line, { "stroke-width": i ? 1.4 : 2.2, ...looks }));
      plot.curve("trail", trail ? trail.slice(0, frame.state.steps + 1).map((l) => [l[0], l[1]]) : [], { stroke: "var(--q)", "stroke-width": 1.4 });
      draw("q*", star, { stroke: "var(--evidence)", "stroke-dasharray": "5 3" });
      draw("q", q, { stroke: "var(--q)" });
      join(plot.layer("point"), "circle", hover || frame.state.z.length ? [0] : [], () => ({
        cx: plot.x(z1), cy: plot.y(z2), r: 6, fill: "none", stroke: "var(--ink)", "stroke-width": 2,
      }));
    };
    const span = () => {
      const low = seen.elbo, high = now.evidence ?? (seen.evidence || low + 10), width = Math.max(high - low, 1);
      return /** @type {[number, number]} */ ([low - 0.08 * width, high + 0.05 * width]);
    };
    const words = () => {
      const { steps } = frame.state, { elbo: bound, star, evidence } = now, trail = answer()?.trail;
      if (seen.edge) return "This posterior reaches beyond the plane that is summed up: its evidence and q* are not known, and q is not refined.";
      if (star === undefined || evidence === undefined) return "The evidence and the best q are being computed.";
      const left = Math.max(0, star - bound);
      if (!steps) return left < 0.5 ? `The encoder's q is nearly the best Gaussian: it costs ${fixed(left)} nats more than q*, dashed.`
        : `The encoder's q costs ${fixed(left)} nats more than the best Gaussian q*, dashed.`;
      if (!trail) return "The way of q is being computed.";
      return steps === STEPS && left > 0.5
        ? `After ${steps} steps q rests on another hill, ${fixed(left)} nats below q*: no uphill way leads from here to q*.`
        : `After ${steps} of ${STEPS} steps up the ELBO, q is ${fixed(left)} nats below q*.`;
    };
    frame.note.classList.add("two");
    return {
      draw() {
        measure();
        ask();
        now = gaps();
        const square_ = window_(), z = point();
        pad.draw(seen.x, frame.color("ink"));
        paint(pixels, SIDE, SIDE, frame.color("ink"), ((eta) => (i, j) => sigmoid(eta[j * SIDE + i]))(decode(model, z[0], z[1])));
        parts.pad.heading.textContent = frame.state.digit ? `x: test digit ${frame.state.digit}, a ${labels[frame.state.digit - 1]}. Draw on it.` : "x: your own digit";
        parts.picture.heading.textContent = `decoded from ${hover ? "the pointer's z" : frame.state.z.length ? "your z" : "q's mean"}, (${fixed(z[0])}, ${fixed(z[1])})`;
        drawMap(square_, z);
        drawClose(square_, z);
        bar.draw(now, span());
        writeGaps(frame.numbers, now, frame.state.steps && !seen.edge ? "left of amortization" : "amortization");
        frame.note.textContent = words();
        refining.made.disabled = stepsSlider.disabled = seen.edge;
        back.disabled = frame.state.z.length === 0;
        for (const show of shows) show();
      },
      describe() {
        const q = lambdaNow(), { elbo: bound, star, evidence } = now;
        const where = `${name()}. q has mean ${fixed(q[0])}, ${fixed(q[1])} and standard deviations ${fixed(Math.exp(q[2]), 3)}, ${fixed(Math.exp(q[3]), 3)}.`;
        if (star === undefined || evidence === undefined) return `${where} ELBO ${fixed(bound)} nats.`;
        return `${where} ELBO ${fixed(bound)} plus ${fixed(star - bound)} to the best q plus approximation gap ${fixed(evidence - star)} ` +
          `is log p(x), ${fixed(evidence)} nats. ${words()}`;
      },
    };
  },
});

/** The corners of a square, in a closed line.
 * @param {number} a @param {number} b @param {number} half @returns {[number, number][]} */
function corners(a, b, half) {
  return [[a - half, b - half], [a + half, b - half], [a + half, b + half], [a - half, b + half], [a - half, b - half]];
}
