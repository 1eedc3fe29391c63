/** What a reader holds: sliders, buttons, a choice, Play. Native elements, so that keyboard and touch work. */

import { element, set } from "../frame/element.js";

/** @typedef {import("../frame/figure.js").Frame<any>} Frame */

/**
 * A slider of a number in the state.
 * @param {Frame} frame
 * @param {string} name in the state
 * @param {object} options
 * @param {string} options.label
 * @param {number} options.low
 * @param {number} options.high
 * @param {number} options.step
 * @param {(value: number) => string} options.words how a value is written
 * @param {boolean} [options.log] whether equal ways are equal factors
 * @param {(value: number) => void} [options.act] instead of changing the state alone
 * @returns {() => void} shows the state; call it when drawing
 */
export function slider(frame, name, { label, low, high, step, words, log = false, act }) {
  const toWay = log ? Math.log : (/** @type {number} */ v) => v, fromWay = log ? Math.exp : (/** @type {number} */ v) => v;
  const input = element("input", { type: "range", min: toWay(low), max: toWay(high), step: log ? "any" : step });
  const shown = element("span", { "aria-hidden": "true" });
  frame.controls.append(element("label", { class: "slider" }, element("span", {}, label), input, shown));
  const take = (/** @type {number} */ value) => {
    const near = Math.min(high, Math.max(low, Math.round(value / step) * step));
    if (act) act(near);
    else frame.change({ [name]: near });
  };
  input.addEventListener("input", () => take(fromWay(Number(input.value))));
  if (log) {
    input.addEventListener("keydown", (event) => { // a step of "any" has keys of its own choice
      const way = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
      if (!way) return;
      event.preventDefault();
      const value = Number(frame.state[name]);
      take(value + way * Math.max(step, Math.round((0.05 * value) / step) * step));
    });
  }
  return () => {
    const value = Number(frame.state[name]);
    if (Number(input.value) !== toWay(value)) input.value = String(toWay(value));
    set(input, { "aria-valuetext": words(value) });
    shown.textContent = words(value);
  };
}

/**
 * @param {Frame} frame
 * @param {string} label
 * @param {() => void} act
 * @param {{ main?: boolean }} [looks] main: the button to press first
 * @returns {HTMLButtonElement}
 */
export function button(frame, label, act, { main = false } = {}) {
  const made = element("button", { type: "button", class: main ? "main" : undefined }, label);
  made.addEventListener("click", act);
  frame.controls.append(made);
  return made;
}

/**
 * A word in the state, one of a few.
 * @param {Frame} frame
 * @param {string} name in the state
 * @param {string} label
 * @param {readonly (readonly [string, string])[]} options value and words
 * @param {(value: string) => void} [act] instead of changing the state alone
 * @returns {() => void} shows the state; call it when drawing
 */
export function radios(frame, name, label, options, act) {
  const group = `${name}-${Math.random().toString(36).slice(2)}`;
  const inputs = options.map(([value]) => element("input", { type: "radio", name: group, value }));
  const labels = options.map(([, words], i) => element("label", {}, inputs[i], element("span", {}, words)));
  frame.controls.append(element("fieldset", {}, element("legend", {}, label), ...labels));
  inputs.forEach((input) => input.addEventListener("change", () => (act ? act(input.value) : frame.change({ [name]: input.value }))));
  return () => { for (const input of inputs) input.checked = input.value === frame.state[name]; };
}

/**
 * Buttons side by side, of which one may be pressed: unlike in `radios`, arrow keys take none on their way.
 * @template {string} T
 * @param {Frame} frame
 * @param {string} label
 * @param {readonly (readonly [T, string])[]} options value and words
 * @param {(value: T) => void} act
 * @returns {(pressed: string | undefined) => void} shows which is pressed; call it when drawing
 */
export function buttons(frame, label, options, act) {
  const made = options.map(([, words]) => element("button", { type: "button" }, words));
  made.forEach((one, i) => one.addEventListener("click", () => act(options[i][0])));
  const group = element("fieldset", {}, element("legend", {}, label), ...made);
  frame.controls.append(group);
  return (pressed) => made.forEach((one, i) => set(one, { "aria-pressed": String(options[i][0] === pressed) }));
}

/**
 * A button that does a step again and again, until the step says that it is the last, or the reader presses Pause.
 * @param {Frame} frame
 * @param {() => boolean} step does a step; false: there is no more to do
 * @param {number} every milliseconds
 * @param {string} [label]
 * @returns {{ made: HTMLButtonElement, stop: () => void }} stop: call it whenever the reader does something else
 */
export function play(frame, step, every, label = "▶ Play") {
  let timer = 0;
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    made.textContent = label;
  };
  const made = button(frame, label, () => {
    if (timer) return stop();
    made.textContent = "Pause";
    const go = () => { if (!step()) stop(); };
    timer = setInterval(go, every);
    go();
  });
  made.classList.add("play");
  frame.whenReset(stop);
  return { made, stop };
}
