/** A piano roll: time to the right, pitch up, chords that are triads in color, four voices as lines, and a cell to edit. */

import { COMPONENTS } from "../frame/colors.js";
import { join, set, svg } from "../frame/element.js";
import { isTriad, nameOf } from "../models/chords.js";
import { clamp } from "../numbers/vectors.js";
import { Plot } from "./plot.js";

/** @typedef {import("../models/chords.js").Chord} Chord */

export const SIDES = { left: 44, right: 12 };
const LEAST = 46, C = 3; // keys at least; the lowest C of the piano, from 0

export class Roll {
  /**
   * @param {HTMLElement} stage
   * @param {(step: number, key: number) => void} toggle both from 0
   */
  constructor(stage, toggle) {
    this.plot = new Plot(stage, { height: () => 330, top: 40, bottom: 36, ...SIDES });
    this.plot.root.removeAttribute("aria-hidden");
    this.steps = 0;
    this.at = { step: 8, key: 51 };
    /** @type {readonly Chord[]} */
    this.chords = [];
    this.surface = svg("rect", { fill: "transparent", style: "cursor: pointer" });
    this.cell = svg("rect", { fill: "none", stroke: "var(--link)", "stroke-width": 2.5 });
    this.cursor = svg("g", {
      class: "handle cursor", tabindex: 0, role: "slider", "aria-roledescription": "piano roll", "aria-valuemin": 1,
      "aria-label": "Notes: arrow keys move, Enter adds or takes away", "pointer-events": "none",
    }, this.cell);
    this.plot.front.append(this.surface, this.cursor);
    this.surface.addEventListener("click", (event) => {
      const [x, y] = this.plot.at(event);
      this.at = this.inside(Math.round(x) - 1, Math.round(y));
      toggle(this.at.step, this.at.key);
    });
    this.cursor.addEventListener("keydown", (event) => {
      const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (!way && event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      if (way) {
        this.at = this.inside(this.at.step + way[0], this.at.key + way[1]);
        this.place();
      } else toggle(this.at.step, this.at.key);
    });
  }

  /** @param {number} step @param {number} key @returns {{ step: number, key: number }} the nearest cell of the roll */
  inside(step, key) {
    const [low, high] = this.plot.ySpan;
    return { step: clamp(step, 0, this.steps - 1), key: clamp(key, Math.ceil(low), Math.floor(high)) };
  }

  /** Show where the cursor is. */
  place() {
    const { plot, at: { step, key } } = this, sounds = this.chords[step]?.includes(key);
    set(this.cell, box(plot, step, key));
    set(this.cursor, {
      "aria-valuemax": this.steps, "aria-valuenow": step + 1,
      "aria-valuetext": `step ${step + 1}, ${nameOf(key)}: ${sounds ? "sounds" : "silent"}`,
    });
  }

  /**
   * @param {readonly Chord[]} chords
   * @param {object} looks
   * @param {readonly Chord[]} looks.room chords that are to have room too, so that the picture stays as high
   * @param {number} looks.from the first step, from 0, that is drawn and not given
   * @param {number | null} looks.now the step that sounds
   * @param {readonly { step: number, key: number }[]} looks.marked cells that were changed by hand
   */
  draw(chords, { room, from, now, marked }) {
    const { plot } = this, keys = [...chords, ...room].flat();
    const low = Math.min(...keys), high = Math.max(...keys), more = Math.max(0, LEAST - (high - low + 1)) / 2;
    this.chords = chords;
    this.steps = chords.length;
    plot.begin({
      x: [0.5, chords.length + 0.5], xLabel: "step", hideY: true,
      y: [Math.max(0, low - Math.floor(more)) - 1.5, Math.min(87, high + Math.ceil(more)) + 1.5],
    });
    const [bottom, top] = plot.ySpan, left = plot.x(0.5), right = plot.x(chords.length + 0.5);
    set(this.surface, { x: left, y: plot.y(top), width: right - left, height: plot.y(bottom) - plot.y(top) });
    const octaves = Array.from({ length: 8 }, (_, i) => C + 12 * i).filter((key) => key > bottom && key < top);
    const fours = Array.from({ length: Math.floor((chords.length - 1) / 4) }, (_, i) => 4.5 + 4 * i);
    join(plot.layer("room"), "path", [0], () => ({
      d: octaves.map((key) => `M${left} ${plot.y(key)}H${right}`).join("") + fours.map((x) => `M${plot.x(x)} ${plot.y(bottom)}V${plot.y(top)}`).join(""),
      stroke: "var(--line)", "shape-rendering": "crispEdges",
    }));
    join(plot.layer("names", "g", plot.axes), "text", octaves, (key) => ({ x: left - 8, y: plot.y(key) + 4, "text-anchor": "end", text: nameOf(key) }));
    join(plot.layer("now"), "rect", now === null ? [] : [now], (step) => ({
      x: plot.x(step + 0.5), width: plot.x(1) - plot.x(0), y: plot.y(top), height: plot.y(bottom) - plot.y(top), fill: "var(--link)", "fill-opacity": 0.2,
    }));
    join(plot.layer("drawn"), "rect", from < chords.length ? [from] : [], (step) => ({
      x: plot.x(step + 0.5), width: right - plot.x(step + 0.5), y: plot.y(top), height: plot.y(bottom) - plot.y(top), fill: "var(--q)", "fill-opacity": 0.08,
    }));
    const cells = chords.flatMap((chord, step) => chord.map((key) => ({ step, key, triad: isTriad(chord) })));
    for (const triad of [false, true]) {
      const d = cells.filter((cell) => cell.triad === triad).map(({ step, key }) => {
        const { x, y, width, height } = box(plot, step, key);
        return `M${x} ${y}h${width}v${height}h${-width}Z`;
      });
      join(plot.layer(triad ? "triads" : "others"), "path", [0], () => ({ d: d.join(""), fill: triad ? COMPONENTS[2] : "var(--data)" }));
    }
    join(plot.layer("voices"), "path", [0, 1, 2, 3], (voice) => ({
      d: chords.map((chord, step) => {
        const last = chords[step - 1];
        if (chord.length !== 4 || last?.length !== 4) return "";
        return `M${plot.x(step)} ${plot.y(last[voice])}L${plot.x(step + 1)} ${plot.y(chord[voice])}`;
      }).join(""),
      stroke: "var(--ink)", "stroke-opacity": 0.55, "stroke-width": 1.2, fill: "none",
    }));
    join(plot.layer("marked"), "rect", marked, ({ step, key }) => ({ ...box(plot, step, key), fill: "none", stroke: "var(--q)", "stroke-width": 2 }));
    this.place();
  }
}

/** The cell of a step and a key. @param {Plot} plot @param {number} step @param {number} key
 * @returns {{ x: number, y: number, width: number, height: number }}
 */
function box(plot, step, key) {
  const width = plot.x(1) - plot.x(0), height = plot.y(0) - plot.y(1);
  return { x: round(plot.x(step + 0.5) + 0.5), y: round(plot.y(key + 0.5)), width: round(width - 1), height: round(height - 0.5) };
}

/** @param {number} pixels @returns {number} */
function round(pixels) {
  return Math.round(pixels * 10) / 10;
}
