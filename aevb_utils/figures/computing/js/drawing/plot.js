/** A plane with axes, and what lies on it: curves, points, ellipses, marks. Drawn anew, parts keep their elements. */

import { join, set, svg } from "../frame/element.js";
import { clamp } from "../numbers/vectors.js";

/** @typedef {[number, number]} Span from low to high */
/** @typedef {import("../frame/element.js").Attributes} Attributes */
/** @typedef {Attributes & { text?: string }} Drawn */

/**
 * @typedef {object} Axes
 * @property {Span} x
 * @property {Span} y
 * @property {string} [xLabel]
 * @property {string} [yLabel] stands above the axis, on the left
 * @property {boolean} [hideY] no numbers on the vertical axis
 * @property {boolean} [hideX] none on the horizontal one
 */

/** Numbers at the axis that are round, about `count` of them.
 * @param {Span} span
 * @param {number} count
 * @returns {number[]}
 */
export function ticks([low, high], count) {
  const rough = (high - low) / Math.max(1, count), power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((m) => m * power >= rough) ?? 10);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => {
    const value = (first + i) * step;
    return Number(value.toPrecision(12));
  });
}

const HALF = 3.7; // half of a digit's width at an axis, in pixels

let plots = 0;

export class Plot {
  /**
   * @param {HTMLElement} stage where it goes
   * @param {{ height: (width: number) => number, left?: number, bottom?: number, top?: number, right?: number }} room
   */
  constructor(stage, { height, left = 44, bottom = 38, top = 24, right = 10 }) {
    this.stage = stage;
    this.heightFor = height;
    this.room = { left, bottom, top, right };
    this.root = svg("svg", { "aria-hidden": "true" });
    this.axes = this.root.appendChild(svg("g"));
    this.window = svg("rect");
    const clip = `aevb-clip-${plots++}`;
    this.root.append(svg("clipPath", { id: clip }, this.window));
    this.body = this.root.appendChild(svg("g", { "pointer-events": "none", "clip-path": `url(#${clip})` }));
    this.front = this.root.appendChild(svg("g"));
    /** @type {Map<string, SVGElement>} */
    this.layers = new Map();
    this.width = 0;
    this.height = 0;
    /** @type {Span} */
    this.xSpan = [0, 1];
    /** @type {Span} */
    this.ySpan = [0, 1];
    stage.append(this.root);
  }

  /** Begin a drawing: its size, its axes.
   * @param {Axes} axes
   */
  begin({ x, y, xLabel = "", yLabel = "", hideX = false, hideY = false }) {
    this.width = this.stage.clientWidth || 640;
    this.height = Math.round(this.heightFor(this.width));
    this.xSpan = x;
    this.ySpan = y;
    const { width, height, room } = this, floor = height - room.bottom;
    set(this.root, { width, height, viewBox: `0 0 ${width} ${height}` });
    // What lies on the plane ends at its edge, with room for the thickness of lines.
    set(this.window, {
      x: room.left - 8, y: room.top - 8, width: Math.max(0, width - room.left - room.right + 16), height: Math.max(0, floor - room.top + 10),
    });
    const across = hideX ? [] : ticks(x, clamp(width / 90, 3, 9)), up = hideY ? [] : ticks(y, clamp(height / 55, 2, 7));
    join(this.layer("lines", "g", this.axes), "path", [0], () => ({
      class: "axis",
      d: `M${room.left} ${floor}H${width - room.right}${across.map((v) => `M${this.x(v)} ${floor}v5`).join("")}` +
        (hideY ? "" : `M${room.left} ${floor}V${room.top}${up.map((v) => `M${room.left} ${this.y(v)}h-5`).join("")}`),
    }));
    const words = [
      ...across.map(minus).map((text, i) => ({ // as much to the side as there is room for
        x: clamp(this.x(across[i]), text.length * HALF, width - text.length * HALF), y: floor + 19, "text-anchor": "middle", class: undefined, text,
      })),
      ...up.map((v) => ({ x: room.left - 9, y: this.y(v) + 4, "text-anchor": "end", class: undefined, text: minus(v) })),
      { x: width - room.right, y: height - 3, "text-anchor": "end", class: "ink", text: xLabel },
      { x: 2, y: 12, "text-anchor": "start", class: "ink", text: yLabel },
    ];
    join(this.layer("words", "g", this.axes), "text", words, (word) => word);
  }

  /** @param {number} value @returns {number} */
  x(value) {
    const [low, high] = this.xSpan;
    return this.room.left + ((value - low) / (high - low)) * (this.width - this.room.left - this.room.right);
  }

  /** @param {number} value @returns {number} */
  y(value) {
    const [low, high] = this.ySpan, floor = this.height - this.room.bottom;
    return floor - ((value - low) / (high - low)) * (floor - this.room.top);
  }

  /** The place on the plane under a pointer.
   * @param {{ clientX: number, clientY: number }} event
   * @returns {[number, number]}
   */
  at({ clientX, clientY }) {
    const box = this.root.getBoundingClientRect(), { left, right, top, bottom } = this.room;
    const [x0, x1] = this.xSpan, [y0, y1] = this.ySpan;
    const u = (clientX - box.left - left) / (this.width - left - right);
    const v = (this.height - bottom - (clientY - box.top)) / (this.height - bottom - top);
    return [x0 + u * (x1 - x0), y0 + v * (y1 - y0)];
  }

  /** The group of a name, made when it is first asked for: later ones lie above.
   * @param {string} name
   * @param {keyof SVGElementTagNameMap} [tag]
   * @param {SVGElement} [parent]
   * @returns {SVGElement}
   */
  layer(name, tag = "g", parent = this.body) {
    let found = this.layers.get(name);
    if (!found) {
      found = svg(tag);
      parent.append(found);
      this.layers.set(name, found);
    }
    return found;
  }

  /** A line through points of the plane; with `base` the area between it and that height.
   * @param {string} name
   * @param {readonly (readonly [number, number])[]} points
   * @param {Drawn & { base?: number }} looks
   */
  curve(name, points, { base, ...looks }) {
    const place = (/** @type {readonly [number, number]} */ [x, y]) => `${near(this.x(x))} ${near(this.y(y))}`;
    let d = points.length ? `M${points.map(place).join("L")}` : "";
    if (base !== undefined && points.length) {
      const floor = this.y(base).toFixed(1);
      d += `L${this.x(points[points.length - 1][0]).toFixed(1)} ${floor}L${this.x(points[0][0]).toFixed(1)} ${floor}Z`;
    }
    join(this.layer(name), "path", [0], () => ({ fill: "none", "stroke-width": 2.2, "stroke-linejoin": "round", d, ...looks }));
  }

  /** A circle for each point of the plane.
   * @param {string} name
   * @param {readonly (readonly number[])[]} points
   * @param {(index: number) => Drawn} looks
   */
  points(name, points, looks) {
    join(this.layer(name), "circle", points, ([x, y], i) => ({ cx: this.x(x).toFixed(1), cy: this.y(y).toFixed(1), r: 4, ...looks(i) }));
  }

  /** Small dots that all look alike, as one path: many of them are drawn in a frame.
   * @param {string} name
   * @param {readonly (readonly number[])[]} points
   * @param {Drawn} looks
   */
  dots(name, points, looks) {
    const d = points.map(([x, y]) => `M${near(this.x(x))} ${near(this.y(y))}h0`).join("");
    join(this.layer(name), "path", [0], () => ({ d, fill: "none", "stroke-width": 4, "stroke-linecap": "round", ...looks }));
  }

  /** Names of curves, in a row on top.
   * @param {{ text: string, color: string, dash?: boolean }[]} entries
   */
  legend(entries) {
    let at = this.room.left + 4;
    const group = this.layer("legend", "g", this.front), places = entries.map((entry) => {
      const from = at;
      at += 26 + entry.text.length * 7.2 + 14;
      return { ...entry, from };
    });
    join(this.layer("legend-lines", "g", this.front), "path", places, ({ from, color, dash }) => ({
      d: `M${from} 8h18`, stroke: color, "stroke-width": 3, "stroke-dasharray": dash ? "4 3" : undefined,
    }));
    join(group, "text", places, ({ from, text }) => ({ x: from + 24, y: 12, class: "ink", text }));
  }
}

/** A length in pixels, not too far from the picture. @param {number} pixels @returns {string} */
function near(pixels) {
  return clamp(pixels, -9999, 9999).toFixed(1);
}

/** @param {number} value @returns {string} */
function minus(value) {
  return String(value).replace("-", "−");
}
