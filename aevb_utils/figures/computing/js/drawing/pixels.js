/** Pictures of a few gray pixels, and one that a reader draws. */

import { element, set } from "../frame/element.js";
import { drag } from "../controls/handle.js";
import { clamp } from "../numbers/vectors.js";
import { paint } from "./paint.js";

export const SIDE = 8; // pixels along a picture
const LETTERS = "0123456789abcdefg"; // a count of inked bits, 0 to 16, as a letter
const FULL = 16, FINE = 4, PEN = 2.3; // counts of a full pixel; bits along a pixel; the pen's radius in bits

/**
 * Counts of inked bits, as a pen leaves them: each pixel is a block of 4 × 4 bits, as in the book's digits.
 * @param {ArrayLike<number>} before
 * @param {Set<number>} bits inked by a stroke, of 32 × 32
 * @param {boolean} erase
 * @returns {number[]}
 */
export function inked(before, bits, erase) {
  const counts = new Array(SIDE * SIDE).fill(0), width = SIDE * FINE;
  for (const bit of bits) counts[Math.floor(bit / width / FINE) * SIDE + Math.floor((bit % width) / FINE)]++;
  return counts.map((count, d) => (erase ? Math.min(before[d], FULL - count) : Math.max(before[d], count)));
}

/**
 * The bits under a pen that goes from one place to another.
 * @param {Set<number>} bits added to
 * @param {readonly [number, number]} from in bits
 * @param {readonly [number, number]} to in bits
 */
export function stroke(bits, from, to) {
  const width = SIDE * FINE, steps = Math.max(1, Math.ceil(2 * Math.hypot(to[0] - from[0], to[1] - from[1])));
  for (let s = 0; s <= steps; s++) {
    const [x, y] = [0, 1].map((k) => from[k] + ((to[k] - from[k]) * s) / steps);
    for (let j = Math.max(0, Math.floor(y - PEN)); j < Math.min(width, y + PEN); j++) {
      for (let i = Math.max(0, Math.floor(x - PEN)); i < Math.min(width, x + PEN); i++) {
        if (Math.hypot(i + 0.5 - x, j + 0.5 - y) <= PEN) bits.add(j * width + i);
      }
    }
  }
}

/** @param {string} letters @returns {number[]} the counts that they stand for */
export const countsOf = (letters) => Array.from(letters, (letter) => LETTERS.indexOf(letter));

/** @param {number[]} counts @returns {string} a letter for each */
export const inkOf = (counts) => counts.map((count) => LETTERS[count]).join("");

/** For a figure with a pad, and perhaps a picture beside it. */
export const PAD_STYLE = `
.pad, .picture { position: relative; aspect-ratio: 1; border: 1px solid var(--quiet); border-radius: 4px; overflow: hidden; background: var(--paper); }
.pad { touch-action: none; cursor: crosshair; }
.pad:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.pad:not(:focus-visible) .cell { display: none; }
.cell { position: absolute; width: 12.5%; height: 12.5%; box-shadow: inset 0 0 0 2px var(--link); }
.pixels { position: absolute; inset: 0; width: 100%; height: 100%; image-rendering: pixelated; }
`;

/** A picture that a reader draws: by mouse, by finger, or by arrow keys, Space and Delete. */
export class Pad {
  /**
   * @param {HTMLElement} place
   * @param {object} options
   * @param {() => number[]} options.counts as they are
   * @param {() => boolean} options.erases whether the pen takes away
   * @param {(counts: number[]) => void} options.change
   */
  constructor(place, { counts, erases, change }) {
    this.canvas = element("canvas", { class: "pixels" });
    this.mark = element("span", { class: "cell" });
    this.root = element("div", {
      class: "pad", tabindex: 0, role: "slider", "aria-roledescription": "drawing", "aria-valuemin": 0, "aria-valuemax": FULL,
      "aria-label": "Your digit: arrow keys move, Space inks, Delete erases",
    }, this.canvas, this.mark);
    this.cell = [3, 3]; // column, row
    place.append(this.root);
    /** @type {Set<number>} */
    let bits = new Set();
    /** @type {number[]} */
    let before = [];
    /** @type {[number, number]} */
    let last = [0, 0];
    drag(this.root, (event) => {
      const box = this.root.getBoundingClientRect(), scale = (SIDE * FINE) / box.width;
      const at = /** @type {[number, number]} */ ([(event.clientX - box.left) * scale, (event.clientY - box.top) * scale]);
      if (event.type === "pointerdown") {
        bits = new Set();
        before = counts();
        last = at;
      }
      stroke(bits, last, at);
      last = at;
      change(inked(before, bits, erases()));
    });
    this.root.addEventListener("keydown", (event) => {
      const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      const ink = { " ": erases() ? -4 : 4, "+": 4, "-": -4, Delete: -FULL, Backspace: -FULL }[event.key];
      if (!way && ink === undefined) return;
      event.preventDefault();
      if (way) this.cell = this.cell.map((value, k) => clamp(value + way[k], 0, SIDE - 1));
      const now = counts(), d = this.cell[1] * SIDE + this.cell[0];
      if (ink !== undefined) now[d] = clamp(now[d] + ink, 0, FULL);
      if (ink !== undefined) change(now);
      else this.say(now);
    });
  }

  /** @param {ArrayLike<number>} counts */
  say(counts) {
    const [column, row] = this.cell, count = counts[row * SIDE + column];
    set(this.root, { "aria-valuenow": count, "aria-valuetext": `row ${row + 1}, column ${column + 1}: ${count} of ${FULL}` });
    this.mark.style.left = `${(100 * column) / SIDE}%`;
    this.mark.style.top = `${(100 * row) / SIDE}%`;
  }

  /** @param {ArrayLike<number>} counts @param {string} color */
  draw(counts, color) {
    paint(this.canvas, SIDE, SIDE, color, (i, j) => counts[j * SIDE + i] / FULL);
    this.say(counts);
  }
}
