/** Where the script begins: it fills the figures of a page, and follows its address. */

import { element } from "./element.js";
import { build } from "./figure.js";
import { prepareJobs } from "./jobs.js";
import { PAGE_STYLE } from "./style.js";

/** @type {import("./figure.js").Mounted[]} */
const mounted = [];

/** Fill all figures that are in the page by now and not filled yet. */
function mount() {
  if (mounted.length === 0) {
    document.head.append(element("style", {}, PAGE_STYLE));
    addEventListener("hashchange", follow);
  }
  const asked = hash();
  for (const host of document.querySelectorAll(".aevb-computing:not([data-ready])")) {
    if (!(host instanceof HTMLElement)) continue;
    if (asked && asked.name === host.dataset.figure && host.hasAttribute("data-permalink")) host.dataset.state = asked.state;
    const figure = build(host);
    if (!figure) continue;
    mounted.push(figure);
    if (asked?.name === figure.name) requestAnimationFrame(() => host.scrollIntoView({ block: "center" }));
  }
}

/** @returns {{ name: string, state: string } | null} the figure and the state that the page's address names */
function hash() {
  const found = /^#([\w-]+)\?(.*)$/.exec(location.hash);
  return found ? { name: found[1], state: found[2] } : null;
}

/** Show what the address names. */
function follow() {
  const asked = hash();
  for (const figure of mounted) {
    if (!asked || figure.name !== asked.name || !figure.host.hasAttribute("data-permalink")) continue;
    figure.load(asked.state);
    figure.host.scrollIntoView({ block: "center" });
  }
}

/**
 * @param {() => unknown} program the whole script, which workers run too
 * @param {Record<string, object>} modules all modules by their names, for tests
 */
export function start(program, modules) {
  prepareJobs(program);
  return { mount, modules };
}
