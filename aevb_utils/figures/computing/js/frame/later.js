/** What a figure loads when it is first needed: a script, since a page that is opened from disk may not load JSON. */

import { element } from "./element.js";

/** @type {Map<string, Promise<any>>} */
const asked = new Map();

/**
 * @param {string} name of the figure
 * @param {string | undefined} address of its script; none: only what the page holds already
 * @returns {Promise<any>} null where there is none, or it cannot be loaded
 */
export function later(name, address) {
  const here = () => /** @type {any} */ (globalThis).aevbFigures?.later?.[name] ?? null;
  if (here() || !address) return Promise.resolve(here());
  const known = asked.get(address) ?? new Promise((resolve) => {
    const script = element("script", { src: address });
    script.addEventListener("load", () => resolve(here()));
    script.addEventListener("error", () => {
      asked.delete(address); // so that it may be tried again
      script.remove();
      resolve(null);
    });
    document.head.append(script);
  });
  asked.set(address, known);
  return known;
}

/**
 * What a figure makes of data that come later: at once where the page has them, else at a touch; if they do not come, at
 * the next one.
 * @template T
 */
export class Later {
  /**
   * @param {import("./figure.js").Frame<any>} frame
   * @param {(packed: any) => T} make
   */
  constructor(frame, make) {
    this.frame = frame;
    this.make = make;
    /** @type {T | null} */
    this.value = null;
    /** @type {"asleep" | "loading" | "there" | "none"} */
    this.stage = "asleep";
    this.waits = false;
    if (frame.distant) this.wait();
    else void this.wake();
  }

  /** Ask at the next touch. */
  wait() {
    if (this.waits) return;
    this.waits = true;
    this.frame.whenTouched(() => {
      this.waits = false;
      void this.wake();
    });
  }

  /** Ask for the data, if they are not there or on their way. */
  async wake() {
    const { frame } = this;
    if (this.stage === "there" || this.stage === "loading") return;
    this.stage = "loading";
    frame.redraw();
    const packed = await frame.later();
    this.stage = packed ? "there" : "none";
    if (packed) this.value = this.make(packed);
    else if (frame.distant) this.wait();
    frame.redraw();
  }
}
