/** The latent plane: chapter 7's decoder at every point that a reader drags, and along a path between two points. */

import { button, play, slider } from "../controls/controls.js";
import { Handle, drag } from "../controls/handle.js";
import { swatch } from "../drawing/evidence.js";
import { paint } from "../drawing/paint.js";
import { Plot } from "../drawing/plot.js";
import { DIGITS } from "../frame/colors.js";
import { element, join, set, svg } from "../frame/element.js";
import { defineFigure } from "../frame/figure.js";
import { Later } from "../frame/later.js";
import { number, numbers } from "../frame/state.js";
import { fixed } from "../frame/words.js";
import {
  D, SIDE, flipped, logLikelihood, logPrior, logits, nearer, pixelsOf, planeDecoder, probabilities,
} from "../models/plane_vae.js";
import { unpackBytes, unpackHalves } from "../numbers/bytes.js";
import { contour } from "../numbers/plane.js";
import { clamp } from "../numbers/vectors.js";

/** @typedef {[number, number]} Point */
/** @typedef {{ x: string, label: number, m: Point, s: Point }} Seen a test digit: its pixels, and q(z | x) */

const LIMIT = 3.2, ENDS = 100, FILM = 7, GAP = 2, LONELY = 0.25; // of the plane; steps of a path; pictures along it, pixels between
const HOW_TO_HAVE_IT = 'The decoder is not in this notebook: it is in the figure on the book\'s website, and in ComputingFigure("latent_plane", whole=True).';
const ROOM = { left: 30, right: 8, top: 8, bottom: 36 };
/** @type {Point} */
const START = [-0.2, 1.3];
/** @type {Point} */
const FAR_END = [1.5, -0.6];

const LAYOUT = `
.walk { display: grid; grid-template: auto auto 1fr / minmax(0, 1.5fr) minmax(0, 1fr); grid-template-areas: "map decoded" "map digit" "map ."; gap: 10px 22px; }
.walk .title { margin: 0 0 6px; font-size: 13px; line-height: 1.35; color: var(--quiet); min-height: 1.35em; font-variant-numeric: tabular-nums; }
.of-map { grid-area: map; } .of-decoded { grid-area: decoded; } .of-digit { grid-area: digit; }
.picture { position: relative; aspect-ratio: 1; max-width: 224px; border: 1px solid var(--quiet); border-radius: 4px; overflow: hidden; background: var(--paper); }
.of-digit .picture { max-width: 112px; }
.picture canvas { position: absolute; inset: 0; width: 100%; height: 100%; image-rendering: pixelated; }
.film { position: relative; margin-top: 10px; }
.film canvas { display: block; width: 100%; image-rendering: pixelated; aspect-ratio: ${FILM * (SIDE + GAP)} / ${SIDE}; }
.film i { position: absolute; bottom: -5px; width: 3px; height: 9px; margin-left: -1.5px; background: var(--q); }
.numbers { min-height: 2.9em; align-content: start; }
@container (max-width: 34rem) {
  .numbers { min-height: 4.35em; }
  .walk { grid-template: auto auto / minmax(0, 1fr) minmax(0, 1fr); grid-template-areas: "map map" "decoded digit"; }
  .of-decoded .title, .of-digit .title { min-height: 2.7em; }
}
`;

defineFigure({
  name: "latent_plane",
  state: {
    z: numbers(START, { digits: 4, most: 2 }),
    to: numbers(FAR_END, { digits: 4, most: 2 }),
    along: number(0, { low: 0, high: ENDS, digits: 0 }), // of the way from z to the other end
    digit: number(0, { low: 0, high: 40, digits: 0 }), // 0: none
  },
  build(frame) {
    const data = /** @type {{ hidden: number[], codes: string, labels: string, digits: Seen[], start: string, megabytes: number }} */ (frame.data);
    const codes = codesOf(data.codes), labels = Array.from(data.labels, Number), start = unpackBytes(data.start);
    const ofLabel = DIGITS.map((_, c) => codes.filter((_, i) => labels[i] === c));
    const medians = ofLabel.map((points) => /** @type {Point} */ ([0, 1].map((k) => median(points.map((z) => z[k])))));
    const names = spread(medians, 0.5);
    const pixels = data.digits.map(({ x }) => pixelsOf(unpackBytes(x)));

    // Its parts
    const box = (/** @type {string} */ name, /** @type {string} */ title) => {
      const heading = element("p", { class: "title" }, title), made = element("div", { class: `of-${name}` }, heading);
      return { made, heading };
    };
    const parts = { map: box("map", "The plane of z: codes of 1,500 test digits"), decoded: box("decoded", ""), digit: box("digit", "") };
    const film = element("canvas"), mark = element("i"), strip = element("div", { class: "film", "aria-hidden": "true" }, film, mark);
    frame.stage.append(element("style", {}, LAYOUT), element("div", { class: "walk" }, ...Object.values(parts).map(({ made }) => made)), strip);
    const plot = new Plot(parts.map.made.appendChild(element("div")), { height: (width) => width - ROOM.left - ROOM.right + ROOM.top + ROOM.bottom, ...ROOM });
    const surface = plot.axes.appendChild(svg("rect", { fill: "transparent", class: "touch" }));
    const [decoded, digit] = [parts.decoded, parts.digit].map(({ made }) => {
      const canvas = element("canvas");
      made.append(element("div", { class: "picture" }, canvas));
      return canvas;
    });

    const decoder = new Later(frame, ({ weights }) => planeDecoder(unpackHalves(weights), data.hidden));
    const isStart = () => [frame.state.z, frame.state.to, frame.state.along, frame.state.digit].join() === [START, FAR_END, 0, 0].join();

    // What a reader does
    const change = (/** @type {Partial<typeof frame.state>} */ changes) => {
      walking.stop();
      frame.change(changes);
    };
    const within = (/** @type {number} */ a, /** @type {number} */ b) => [a, b].map((v) => Number(clamp(v, -LIMIT, LIMIT).toFixed(3)));
    const here = (/** @type {number} */ a, /** @type {number} */ b) => change({ z: within(a, b), along: 0 });
    const there = (/** @type {number} */ a, /** @type {number} */ b) => change({ to: within(a, b), along: ENDS });
    const take = (/** @type {number} */ k) => change({ digit: k, ...(k ? { z: within(...data.digits[k - 1].m), along: 0 } : {}) });
    drag(surface, (event) => here(...plot.at(event)));
    const end = new Handle(plot, { color: "var(--prior)", label: "The other end of the path", move: there, step: () => [0.1, 0.1] });
    const point = new Handle(plot, { color: "var(--q)", label: "z, the point that is decoded", move: here, step: () => [0.1, 0.1] });
    const walking = play(frame, () => {
      const from = frame.state.along >= ENDS ? 0 : frame.state.along;
      frame.change({ along: frame.calm ? ENDS : Math.min(ENDS, from + 1) });
      return frame.state.along < ENDS;
    }, 40, "▶ Walk the path");
    const named = (/** @type {number} */ k) => (k ? `${k}: a ${data.digits[k - 1].label}` : "none");
    button(frame, "Next test digit", () => take((frame.state.digit % data.digits.length) + 1));
    const shows = [
      slider(frame, "along", { label: "along the path", low: 0, high: ENDS, step: 1, words: (v) => `${v} %`, act: (along) => change({ along }) }),
      slider(frame, "digit", { label: "test digit x", low: 0, high: data.digits.length, step: 1, words: named, act: take }),
    ];

    // What is shown
    const pair = (/** @type {number[]} */ values, /** @type {Point} */ otherwise) => (values.length === 2 ? /** @type {Point} */ (values.map((v) => clamp(v, -LIMIT, LIMIT))) : otherwise);
    const between = (/** @type {number} */ share) => {
      const a = pair(frame.state.z, START), b = pair(frame.state.to, FAR_END);
      return /** @type {Point} */ ([0, 1].map((k) => a[k] + share * (b[k] - a[k])));
    };
    const known = () => {
      const z = between(frame.state.along / ENDS), { value } = decoder, a = value && logits(value, z), k = frame.state.digit;
      const away = codes.map((code) => Math.hypot(code[0] - z[0], code[1] - z[1])), nearest = away.indexOf(Math.min(...away));
      const seen = k ? data.digits[k - 1] : null;
      const joint = a && seen ? logLikelihood(pixels[k - 1], a) + logPrior(z) : NaN;
      const best = value && seen ? logLikelihood(pixels[k - 1], logits(value, seen.m)) + logPrior(seen.m) : NaN;
      return { z, a, p: a && probabilities(a), away: away[nearest], label: labels[nearest], seen, joint, best };
    };
    let now = known(), filmed = "";

    const words = () => {
      if (decoder.stage === "loading") return "The decoder is being loaded.";
      if (decoder.stage === "none") return frame.distant ? "The decoder did not come: touch the plane once more." : HOW_TO_HAVE_IT;
      if (decoder.stage === "asleep") return `Touch the plane: then the decoder is loaded, ${fixed(data.megabytes, 1)} MB.`;
      const { away, label, seen, joint, best } = now;
      if (seen) {
        const gain = best - joint, nats = `${fixed(Math.abs(gain), 1)} nats`;
        return Math.abs(gain) < 0.05 ? `z is at the mean of q(z | x), where the encoder expects the code of this ${seen.label}.`
          : `At the mean of its q, log p(x, z) of this ${seen.label} is ${nats} ${gain > 0 ? "higher" : "lower"} than here.`;
      }
      return away > LONELY ? `The nearest of 1,500 codes, a ${label}'s, is ${fixed(away)} away: hardly a digit has its code here.`
        : `The nearest of 1,500 codes is a ${label}'s, ${fixed(away)} away.`;
    };
    const drawMap = (/** @type {Point} */ z) => {
      plot.begin({ x: [-LIMIT, LIMIT], y: [-LIMIT, LIMIT], xLabel: "z₁" });
      set(surface, { x: plot.x(-LIMIT), y: plot.y(LIMIT), width: plot.x(LIMIT) - plot.x(-LIMIT), height: plot.y(-LIMIT) - plot.y(LIMIT) });
      ofLabel.forEach((points, c) => plot.dots(`codes ${c}`, points, { stroke: DIGITS[c], "stroke-width": 2.6, "stroke-opacity": 0.75 }));
      for (const radius of [1, 2, 3]) plot.curve(`ring ${radius}`, contour([0, 0], [1, 0, 1], radius), { stroke: "var(--prior)", "stroke-width": 1.2 });
      const { seen } = now;
      [1, 2].forEach((radius) => plot.curve(`q ${radius}`, seen ? contour(seen.m, [seen.s[0], 0, seen.s[1]], radius, 48) : [], { stroke: "var(--q)", "stroke-width": 1.6 }));
      plot.curve("path", [between(0), between(1)], { stroke: "var(--ink)", "stroke-width": 1.4, "stroke-dasharray": "5 4" });
      plot.points("walker", [z], () => ({ r: 5, fill: "var(--ink)", stroke: "var(--paper)", "stroke-width": 1.5 }));
      join(plot.layer("whose"), "path", names, ([a, b], c) => ({
        d: `M${plot.x(a)} ${plot.y(b)}L${plot.x(medians[c][0])} ${plot.y(medians[c][1])}`, stroke: "var(--ink)", "stroke-width": 1,
      }));
      join(plot.layer("names"), "text", names, ([a, b], c) => ({
        x: plot.x(a).toFixed(1), y: (plot.y(b) + 5).toFixed(1), "text-anchor": "middle", class: "ink", text: String(c),
        style: "font-weight: 700; font-size: 15px; paint-order: stroke; stroke: var(--paper); stroke-width: 4px",
      }));
      point.draw(...between(0), `${fixed(between(0)[0])}, ${fixed(between(0)[1])}`);
      end.draw(...between(1), `${fixed(between(1)[0])}, ${fixed(between(1)[1])}`);
    };
    const drawFilm = (/** @type {string} */ color) => {
      const key = `${between(0)} ${between(1)} ${color}`;
      mark.style.left = `${(100 * (SIDE / 2 + (frame.state.along / ENDS) * (FILM - 1) * (SIDE + GAP))) / (FILM * (SIDE + GAP))}%`;
      const { value } = decoder;
      if (!value || filmed === key) return;
      filmed = key;
      const all = Array.from({ length: FILM }, (_, k) => probabilities(logits(value, between(k / (FILM - 1)))));
      paint(film, FILM * (SIDE + GAP), SIDE, color, (i, j) => (i % (SIDE + GAP) < SIDE ? all[Math.floor(i / (SIDE + GAP))][j * SIDE + (i % (SIDE + GAP))] : 0));
    };
    return {
      draw() {
        if (decoder.stage === "asleep" && !isStart()) void decoder.wake();
        now = known();
        const { z, p, seen, joint, a } = now, color = frame.color("ink");
        drawMap(z);
        paint(decoded, SIDE, SIDE, color, (i, j) => (p ? p[j * SIDE + i] : isStart() ? start[j * SIDE + i] / 255 : 0));
        parts.decoded.heading.textContent = `decoded at (${fixed(z[0])}, ${fixed(z[1])})`;
        parts.digit.made.style.visibility = seen ? "" : "hidden";
        parts.digit.heading.textContent = seen ? `x: test digit ${named(frame.state.digit)}` : "x";
        paint(digit, SIDE, SIDE, color, (i, j) => (seen ? pixels[frame.state.digit - 1][j * SIDE + i] : 0));
        drawFilm(color);
        const part = (/** @type {string} */ name, /** @type {string} */ value) => element("span", {}, `${name} `, element("b", {}, value));
        const sign = (/** @type {string} */ text) => element("span", { class: "sign" }, text);
        const prior = element("span", {}, swatch("prior"), "log p(z) ", element("b", {}, fixed(logPrior(z))));
        frame.numbers.replaceChildren(...(seen && a
          ? [part("log p(x | z)", fixed(joint - logPrior(z))), sign("+"), prior, sign("="), part("log p(x, z)", fixed(joint)), sign("nats")]
          : [prior, sign("nats"), part("prior nearer to 0:", `${fixed(100 * nearer(z), 0)} %`),
            part("pixels that a draw flips:", p ? `${fixed(flipped(p), 1)} of ${D}` : "…")]));
        frame.note.textContent = words();
        for (const show of shows) show();
      },
      describe() {
        const { z, p, seen, joint, label, away } = now, where = `z is ${fixed(z[0])}, ${fixed(z[1])}`;
        const near = `the nearest of 1,500 codes is a ${label}'s, ${fixed(away)} away`;
        if (!p) return `${where}; ${near}.`;
        if (seen) return `${where}; test digit ${named(frame.state.digit)}: log p(x, z) is ${fixed(joint)} nats. ${words()}`;
        return `${where}; ${near}. Of ${D} pixels, a draw flips ${fixed(flipped(p), 1)} in the mean.`;
      },
    };
  },
});

/** @param {string} text base64 of thousandths, as little-endian int16 @returns {Point[]} */
function codesOf(text) {
  const values = new Int16Array(unpackBytes(text).buffer);
  return Array.from({ length: values.length / 2 }, (_, i) => [values[2 * i] / 1000, values[2 * i + 1] / 1000]);
}

/** @param {number[]} values @returns {number} */
function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[(sorted.length - 1) >> 1];
}

/** Points moved away from each other until all are apart, or nearly.
 * @param {Point[]} points @param {number} apart @returns {Point[]} */
function spread(points, apart) {
  let spots = points;
  for (let round = 0; round < 200; round++) {
    spots = spots.map((at, i) => spots.reduce((to, other, j) => {
      const away = i === j ? Infinity : Math.hypot(at[0] - other[0], at[1] - other[1]), push = Math.max(0, apart - away) / away / 4;
      return i === j ? to : /** @type {Point} */ ([to[0] + push * (at[0] - other[0]), to[1] + push * (at[1] - other[1])]);
    }, at));
  }
  return spots;
}
