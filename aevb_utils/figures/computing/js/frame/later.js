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
