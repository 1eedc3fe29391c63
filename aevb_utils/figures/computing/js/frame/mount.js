/** Where the script begins: it fills the figures of a page, and follows its address. */

import { element } from "./element.js";
import { build, isDefined } from "./figure.js";
import { prepareJobs } from "./jobs.js";
import { PAGE_STYLE } from "./style.js";

/** @type {import("./figure.js").Mounted[]} */
const mounted = [];

/** @type {Map<HTMLElement, () => void>} figures whose data have not come, and what asks for them */
const waiting = new Map();

/** @type {{ aevbFigureData?: Record<string, any> }} where a file of data puts them */
const page = /** @type {any} */ (globalThis);

/** Fill all figures that are in the page by now and not filled yet; those with a file of data when they are near. */
function mount() {
  if (mounted.length + waiting.size === 0) {
    document.head.append(element("style", {}, PAGE_STYLE));
    addEventListener("hashchange", follow);
  }
  const asked = hash();
  for (const host of document.querySelectorAll(".aevb-computing:not([data-ready])")) {
    if (!(host instanceof HTMLElement) || !isDefined(host.dataset.figure ?? "") || waiting.has(host)) continue;
    const isAsked = asked?.name === host.dataset.figure && host.hasAttribute("data-permalink");
    if (!host.dataset.source || page.aevbFigureData?.[host.dataset.figure ?? ""]) fill(host);
    else if (wait(host) && isAsked) waiting.get(host)?.();
    if (isAsked) requestAnimationFrame(() => host.scrollIntoView({ block: "center" }));
  }
}

/** @param {HTMLElement} host whose data have come */
function fill(host) {
  const { figure = "" } = host.dataset, asked = hash(), held = host.querySelector('script[type="application/json"]');
  const isAsked = asked?.name === figure && host.hasAttribute("data-permalink");
  const data = host.dataset.source ? page.aevbFigureData?.[figure] : JSON.parse(held?.textContent ?? "null");
  mounted.push(build(host, data, isAsked ? asked.state : undefined));
}

/**
 * Ask for a figure's file of data once, when it is near, or when it is asked for.
 * @param {HTMLElement} host
 * @returns {boolean} true
 */
function wait(host) {
  const near = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) waiting.get(host)?.();
  }, { rootMargin: "1000px" });
  waiting.set(host, () => {
    near.disconnect();
    waiting.set(host, () => {});
    const script = element("script", { src: host.dataset.source });
    script.addEventListener("load", () => {
      waiting.delete(host);
      fill(host);
    });
    script.addEventListener("error", () => {
      host.append(element("p", { class: "aevb-still" }, "The data of this figure did not come: reload the page."));
    });
    document.head.append(script);
  });
  near.observe(host);
  return true;
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
  for (const [host, ask] of waiting) {
    if (asked?.name !== host.dataset.figure || !host.hasAttribute("data-permalink")) continue;
    ask();
    host.scrollIntoView({ block: "center" });
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
