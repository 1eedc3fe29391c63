/** A point on a plot that a reader drags by mouse or finger, or moves by the arrow keys. */

import { set, svg } from "../frame/element.js";

/** @typedef {import("../drawing/plot.js").Plot} Plot */

/**
 * Follow a pointer from where it goes down on an element until it is let go.
 * @param {Element} target
 * @param {(event: PointerEvent) => void} move called at once, and at each move
 * @param {() => boolean} [accept] whether to follow; by default always, the first button and every finger
 */
export function drag(target, move, accept = () => true) {
  for (const kind of ["keydown", "blur"]) target.addEventListener(kind, () => target.removeAttribute("data-held"));
  // A finger that goes down here drags: the page, which scrolls under all other fingers, must not take it away.
  target.addEventListener("touchstart", (down) => { if (accept()) down.preventDefault(); }, { passive: false });
  target.addEventListener("pointerdown", (down) => {
    if (!(down instanceof PointerEvent) || down.button !== 0 || !accept()) return;
    down.preventDefault();
    down.stopPropagation();
    target.setPointerCapture(down.pointerId);
    target.toggleAttribute("data-held", true); // no outline for who drags, until a key is pressed
    const go = (/** @type {Event} */ event) => move(/** @type {PointerEvent} */ (event));
    const end = () => {
      target.removeEventListener("pointermove", go);
      target.removeEventListener("pointerup", end);
      target.removeEventListener("pointercancel", end);
    };
    move(down);
    target.addEventListener("pointermove", go);
    target.addEventListener("pointerup", end);
    target.addEventListener("pointercancel", end);
    if (target instanceof SVGElement || target instanceof HTMLElement) target.focus({ preventScroll: true });
  });
}

export class Handle {
  /**
   * @param {Plot} plot
   * @param {object} options
   * @param {string} options.color
   * @param {string} [options.label] what it moves; without one the handle is for pointers alone, and a slider says the same
   * @param {(x: number, y: number) => void} options.move where the reader wants it, on the plane
   * @param {() => void} [options.grab] called before it is moved: when a drag begins, and at each arrow key
   * @param {() => [number, number]} [options.step] how far an arrow key goes, on the plane
   */
  constructor(plot, { color, label, move, step, grab = () => {} }) {
    this.plot = plot;
    this.label = label;
    this.place = { x: 0, y: 0 };
    this.root = svg("g", { class: "handle" });
    this.root.append(
      svg("circle", { r: 22, fill: "transparent" }),
      svg("circle", { r: 9, fill: color, stroke: "var(--paper)", "stroke-width": 2.5 }),
    );
    plot.front.append(this.root);
    let off = [0, 0]; // the handle does not jump to the pointer
    drag(this.root, (event) => {
      const [x, y] = plot.at(event);
      if (event.type === "pointerdown") {
        off = [this.place.x - x, this.place.y - y];
        grab();
      } else move(x + off[0], y + off[1]);
    });
    if (!label || !step) return;
    plot.root.removeAttribute("aria-hidden");
    set(this.root, { tabindex: 0, role: "slider", "aria-roledescription": "movable point", "aria-label": label });
    this.root.addEventListener("keydown", (event) => {
      const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (!way) return;
      event.preventDefault();
      grab();
      const [dx, dy] = step(), often = event.shiftKey ? 5 : 1;
      this.place = { x: this.place.x + way[0] * dx * often, y: this.place.y + way[1] * dy * often }; // the next key may come before it is drawn
      move(this.place.x, this.place.y);
    });
  }

  /** Show where it is.
   * @param {number} x
   * @param {number} y
   * @param {string} [words]
   */
  draw(x, y, words = "") {
    this.place = { x, y };
    set(this.root, { transform: `translate(${this.plot.x(x).toFixed(1)} ${this.plot.y(y).toFixed(1)})` });
    if (this.label) set(this.root, { "aria-valuenow": Number(x.toPrecision(4)), "aria-valuetext": words });
  }

  /** Take it away. */
  remove() {
    this.root.remove();
  }
}
