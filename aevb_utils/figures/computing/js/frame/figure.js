/** What all figures have in common: state, address, drawing once a frame, a voice, the places of their parts. */

import { element } from "./element.js";
import { later } from "./later.js";
import { read, written } from "./state.js";
import { STYLE } from "./style.js";
import { voice } from "./words.js";

/**
 * @template {import("./state.js").Kinds} K
 * @typedef {object} Frame what a figure is built on
 * @property {import("./state.js").StateOf<K>} state what the reader chose; change it by `change`
 * @property {any} data what Python wrote for this figure, in data/NAME.json
 * @property {() => Promise<any>} later what Python wrote in data/later/NAME.json, loaded when first asked for; null where the page lacks it
 * @property {boolean} distant whether `later` asks for a file, which a page should not do by itself
 * @property {(act: () => void) => void} whenTouched do something once, when a reader first touches the figure or comes to it by keys
 * @property {HTMLElement} stage where drawings go
 * @property {HTMLElement} numbers the line of numbers below them
 * @property {HTMLElement} note a sentence below the numbers, which says what just happened
 * @property {HTMLElement} controls where controls go
 * @property {() => number} width of the stage, in pixels
 * @property {boolean} calm whether the reader asked for reduced motion
 * @property {boolean} brief whether there is room for the first controls alone
 * @property {(changes: Partial<import("./state.js").StateOf<K>>) => void} change the state, and draw
 * @property {() => void} redraw draw once, before the next frame is shown
 * @property {(onReset: () => void) => void} whenReset do something when the state is set from outside: by Reset, by an address
 * @property {(name: string) => string} color a color's value now, for a canvas: `color("posterior")`
 */

/**
 * @typedef {object} Parts
 * @property {() => void} draw draws the state; called at most once a frame
 * @property {() => string} describe the state in words, for those who do not see it
 */

/**
 * @template {import("./state.js").Kinds} K
 * @typedef {object} Definition
 * @property {string} name of the figure, its module and its data
 * @property {K} state what can be chosen, with its start
 * @property {(frame: Frame<K>) => Parts} build makes the parts, once
 */

const TOUCHES = ["pointerdown", "focusin"];

/** @type {Map<string, Definition<any>>} */
const definitions = new Map();

/**
 * Name a figure, at the end of its module.
 * @template {import("./state.js").Kinds} K
 * @param {Definition<K>} definition
 * @returns {Definition<K>}
 */
export function defineFigure(definition) {
  definitions.set(definition.name, definition);
  return definition;
}

/**
 * @typedef {object} Mounted
 * @property {string} name
 * @property {HTMLElement} host
 * @property {(words: string) => void} load a state, as an address tells it
 */

/** @param {string} name @returns {boolean} whether the script has this figure */
export const isDefined = (name) => definitions.has(name);

/**
 * Fill an element with its figure.
 * @param {HTMLElement} host of a figure that is defined
 * @param {any} data what Python wrote for it
 * @param {string} [asked] a state, as an address tells it, in place of the one that the element has
 * @returns {Mounted}
 */
export function build(host, data, asked) {
  const name = host.dataset.figure ?? "", definition = definitions.get(name);
  if (!definition) throw new Error(`There is no figure ${name}.`);
  host.dataset.ready = "true";
  const first = host.dataset.state ?? "", brief = host.hasAttribute("data-brief");
  const root = host.attachShadow({ mode: "open" });
  const stage = element("div", { class: "stage" });
  const numbers = element("p", { class: "numbers" });
  const note = element("p", { class: "note" });
  const controls = element("div", { class: "controls" });
  const live = element("p", { class: "unseen", "aria-live": "polite" });
  const foot = element("div", { class: "foot" });
  const style = element("style", {}, STYLE);
  root.append(style, element("div", { class: brief ? "frame brief" : "frame" }, stage, numbers, note, controls, foot, live));
  host.addEventListener("keydown", (event) => event.stopPropagation()); // JupyterLab takes keys as commands

  const kinds = definition.state, say = voice(live), permanent = host.hasAttribute("data-permalink");
  const address = () => `${location.href.split("#")[0]}#${name}?${written(kinds, frame.state)}`;
  let waiting = 0, toAddress = 0, drawn = false;
  /** @type {(() => void)[]} */
  const resets = [];
  const draw = () => {
    waiting = 0;
    parts.draw();
    const words = parts.describe();
    stage.setAttribute("aria-label", words);
    if (drawn) say(words);
    drawn = true;
  };
  /** @type {Frame<any>} */
  const frame = {
    state: read(kinds, asked ?? first),
    data, brief, stage, numbers, note, controls,
    width: () => stage.clientWidth || 640,
    calm: matchMedia("(prefers-reduced-motion: reduce)").matches,
    change: (changes) => {
      Object.assign(frame.state, changes);
      frame.redraw();
      if (!permanent) return;
      clearTimeout(toAddress);
      toAddress = setTimeout(() => history.replaceState(history.state, "", address()), 400);
    },
    redraw: () => { waiting ||= requestAnimationFrame(draw); },
    later: () => later(name, host.dataset.later),
    distant: Boolean(host.dataset.later),
    whenTouched: (act) => {
      const once = () => {
        for (const kind of TOUCHES) root.removeEventListener(kind, once);
        act();
      };
      for (const kind of TOUCHES) root.addEventListener(kind, once); // a focus that moves within it is not seen outside
    },
    whenReset: (onReset) => { resets.push(onReset); },
    color: (color) => getComputedStyle(host).getPropertyValue(`--${color}`).trim(),
  };
  stage.setAttribute("role", "group");
  const parts = definition.build(frame);
  const load = (/** @type {import("./state.js").StateOf<any>} */ state) => {
    Object.assign(frame.state, state);
    for (const reset of resets) reset();
    frame.redraw();
  };
  const reset = element("button", { type: "button" }, "Reset");
  reset.addEventListener("click", () => {
    load(read(kinds, first));
    frame.change({});
  });
  if (!brief) foot.append(reset);
  if (permanent) foot.append(copier(address));

  draw();
  let width = frame.width();
  new ResizeObserver(() => {
    if (frame.width() === width) return;
    width = frame.width();
    frame.redraw();
  }).observe(stage);
  const themes = new MutationObserver(frame.redraw);
  for (const page of [document.documentElement, document.body]) {
    themes.observe(page, { attributeFilter: ["data-theme", "data-jp-theme-light", "class", "theme"] });
  }
  return { name, host, load: (words) => load(read(kinds, words)) };
}

/**
 * @param {() => string} address
 * @returns {HTMLButtonElement} a button that copies the address of the figure as it stands
 */
function copier(address) {
  const button = element("button", { type: "button" }, "Copy a link to this state");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(address());
      button.textContent = "Copied";
    } catch {
      history.replaceState(history.state, "", address());
      button.textContent = "The link is in the address bar";
    }
    setTimeout(() => { button.textContent = "Copy a link to this state"; }, 2000);
  });
  return button;
}
