/** Find the bug: six trainings of chapter 9's model, five with a mistake in the loss, and checks that a reader makes. */

import { button, buttons } from "../controls/controls.js";
import { swatch } from "../drawing/evidence.js";
import { Plot } from "../drawing/plot.js";
import { element, join, set, svg } from "../frame/element.js";
import { defineFigure } from "../frame/figure.js";
import { choice, number, text } from "../frame/state.js";
import { fixed } from "../frame/words.js";
import { CHECKS, NAMES, fails, orderOf, tellApart } from "../models/mistakes.js";

/** @typedef {import("../models/mistakes.js").Name} Name */
/** @typedef {import("../models/mistakes.js").Check} Check */

const LETTERS = ["A", "B", "C", "D", "E", "F"], ORDERS = 9999, NOT_MADE = "○";

/** @type {Record<Check, { label: string, found: string, known: string, should: string }>} */
const ASKS = {
  evidence: {
    label: "ELBO and log p(x)", found: "−loss", known: "log p(x)",
    should: "Minus the loss of the test digits should be an ELBO, not above log p(x), which is summed over y and a grid of z.",
  },
  samples: {
    label: "KL and samples", found: "KL in the loss", known: "by samples",
    should: "The KL that the loss adds should be the mean of log q(y, z | x) − log p(y, z) at samples of q.",
  },
  known: {
    label: "a known loss", found: "loss", known: "64 log 2",
    should: "With q at the prior, and a decoder that says ½ to each of 64 pixels, the loss should be 64 log 2.",
  },
  pixels: {
    label: "half the pixels", found: "cost", known: "32 log 2",
    should: "With q at the prior, and a decoder that says ½ to each pixel, 32 pixels of 64 should cost 32 log 2.",
  },
  moved: {
    label: "move q(z)", found: "cost", known: "½ nat",
    should: "With a decoder that says ½ to each pixel, a q(z | y) one standard deviation beside the prior should cost ½ nat.",
  },
  sure: {
    label: "be sure of y", found: "cost", known: "log 10",
    should: "With a decoder that says ½ to each pixel, a q(y) that is sure of one of ten classes should cost log 10.",
  },
  nudge: {
    label: "nudge the encoder", found: "slope by backward", known: "by a small step",
    should: "Before training, the loss should have the same slope in a bias of the encoder by backward and by a small step, with the same noise.",
  },
};

/** @type {Record<Name, { label: string, told: string }>} */
const LOSSES = {
  right: { label: "right", told: "nothing is wrong with its loss" },
  sign: { label: "a KL's sign", told: "it subtracts the KL of q(y), where it should add it" },
  mean: { label: "mean over pixels", told: "it takes the mean over the pixels of log p(x | z), where it should sum" },
  sample: { label: ".sample()", told: "z comes from .sample(), not .rsample(), so the encoder learns from the KL alone" },
  prior: { label: "no log p(y)", told: "log p(y) is left out, −log 10 nats each time" },
  beta: { label: "β ≠ 1", told: "the KL has a weight β of its own" },
};

const LAYOUT = `
.runs { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 8px; }
.runs label { position: relative; }
.runs input { position: absolute; opacity: 0; inset: 0; width: 100%; height: 100%; margin: 0; cursor: pointer; }
.run { display: block; border: 1px solid var(--line); border-radius: 7px; padding: 6px 10px; }
.runs input:checked + .run { border-color: var(--link); box-shadow: inset 0 0 0 1px var(--link); background: var(--soft); }
.runs input:focus-visible + .run { outline: 3px solid var(--link); outline-offset: 2px; }
.run b { font-weight: 600; margin-right: 8px; }
.run .name { display: block; min-height: 1.45em; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.run svg { width: 100%; height: 76px; }
.marks { display: grid; grid-template-columns: repeat(7, 1fr); max-width: 190px; font-size: 14px; color: var(--quiet); }
.marks .bad, .numbers .bad { color: var(--bad); font-weight: 600; }
.marks .good, .numbers .good { color: var(--good); font-weight: 600; }
.numbers { min-height: 3.1em; }
.stage.fresh > svg { display: none; } .stage.fresh ~ .note, .stage.fresh ~ .numbers { min-height: 0; }
.score { flex-basis: 100%; color: var(--quiet); }
.note { min-height: 4.35em; }
@container (max-width: 30rem) {
  .runs { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .run { padding: 6px 8px; }
  .run svg { height: 60px; }
  .run .name { font-size: 12.5px; line-height: 1.75; }
  .run b { font-size: 15px; margin-right: 5px; }
  .numbers { min-height: 4.7em; align-content: start; }
  .note { min-height: 10.2em; }
}
`;

/** @param {number} count @returns {string} */
const checksMade = (count) => `${count} ${count === 1 ? "check" : "checks"} made`;

defineFigure({
  name: "bug",
  state: {
    order: number(1, { low: 1, high: ORDERS, digits: 0 }),
    run: choice("A", LETTERS),
    check: choice(/** @type {Check | "none"} */ ("none"), [...CHECKS, /** @type {"none"} */ ("none")]),
    asked: text("", /^([A-F][1-7])*$/), // besides the check that is shown
    said: text("", /^([A-F][1-6])*$/),
  },
  build(frame) {
    const runs = /** @type {Record<Name, import("../models/mistakes.js").Run>} */ (frame.data);
    const group = `run-${Math.random().toString(36).slice(2)}`;
    const cards = LETTERS.map((letter) => {
      const input = element("input", { type: "radio", name: group, value: letter });
      const name = element("span", { class: "name" }), curve = svg("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" });
      const marks = element("span", { class: "marks", "aria-hidden": "true" }, ...CHECKS.map(() => element("span", {}, NOT_MADE)));
      input.addEventListener("change", () => take(letter));
      return { letter, input, name, curve, marks, label: element("label", {}, input, element("span", { class: "run" }, name, curve, marks)) };
    });
    frame.stage.append(element("style", {}, LAYOUT),
      element("div", { class: "runs", role: "radiogroup", "aria-label": "Run" }, ...cards.map(({ label }) => label)));
    const bar = new Plot(frame.stage, { height: () => 70, left: 22, right: 12, top: 22 });

    /** What has been asked of a run. @param {string} letter @returns {Check[]} */
    const askedOf = (letter) => CHECKS.filter((check, c) =>
      frame.state.asked.includes(`${letter}${c + 1}`) || (letter === frame.state.run && check === frame.state.check));
    /** What the reader said a run is, if anything. @param {string} letter @returns {Name | undefined} */
    const saidOf = (letter) => {
      const at = frame.state.said.indexOf(letter);
      return at < 0 ? undefined : NAMES[Number(frame.state.said[at + 1]) - 1];
    };
    const truth = (/** @type {string} */ letter) => orderOf(frame.state.order)[LETTERS.indexOf(letter)];
    const show = (/** @type {{ run?: string, check?: Check | "none" }} */ changes) => {
      const asked = LETTERS.flatMap((letter) => askedOf(letter).map((check) => `${letter}${CHECKS.indexOf(check) + 1}`)).join("");
      frame.change({ asked, ...changes });
    };
    /** Another run: a check that it was put to shows its answer, and none is made. @param {string} letter */
    const take = (letter) => {
      const { check } = frame.state, isKnown = check !== "none" && askedOf(letter).includes(check);
      show({ run: letter, check: isKnown ? check : "none" });
    };
    const say = (/** @type {Name} */ name) => {
      const others = frame.state.said.replace(new RegExp(`${frame.state.run}.`), "");
      frame.change({ said: `${others}${frame.state.run}${NAMES.indexOf(name) + 1}` });
    };
    const showCheck = buttons(frame, "check", CHECKS.map((check) => [check, ASKS[check].label]), (check) => show({ check }));
    const showSaid = buttons(frame, "its loss", NAMES.map((name) => [name, LOSSES[name].label]), say);
    button(frame, "New order", () => frame.change({ order: (frame.state.order % ORDERS) + 1, run: "A", check: "none", asked: "", said: "" }));

    const verdict = () => {
      const { run, check } = frame.state;
      if (check === "none") return null;
      const [found, known] = runs[truth(run)].checks[check];
      return { found, known, names: ASKS[check], bad: fails(runs[truth(run)], check) };
    };
    const answer = () => {
      const { run, check } = frame.state, seen = verdict();
      if (!seen) return `Run ${run}. Its curve falls and comes to rest, as all six do. Ask it something.`;
      return `Run ${run}. ${seen.names.should} ${seen.bad ? (check === "evidence" ? "It is above." : "It is not so.") : "So it is."}`;
    };
    const told = () => {
      const { run } = frame.state, said = saidOf(run), is = truth(run);
      if (!said) return "";
      if (said === is) return ` You said “${LOSSES[said].label}”. Yes: ${LOSSES[is].told}.`;
      const telling = tellApart(runs[said], runs[is]), asked = askedOf(run), known = telling.find((check) => asked.includes(check));
      return known ? ` You said “${LOSSES[said].label}”. No: then “${ASKS[known].label}” would have answered otherwise.`
        : ` You said “${LOSSES[said].label}”. No: ask “${ASKS[telling[0]].label}”, which tells the two apart.`;
    };
    const score = () => {
      const named = LETTERS.filter((letter) => saidOf(letter) === truth(letter)).length;
      const asked = LETTERS.reduce((count, letter) => count + askedOf(letter).length, 0);
      return `${named} of 6 named, ${checksMade(asked)}`;
    };
    return {
      draw() {
        const seen = verdict();
        for (const { letter, input, name, curve, marks } of cards) {
          const { loss } = runs[truth(letter)], top = Math.max(...loss), low = Math.min(...loss), asked = askedOf(letter);
          const d = loss.map((value, i) => `${((100 * i) / (loss.length - 1)).toFixed(2)} ${(6 + (88 * (top - value)) / (top - low)).toFixed(2)}`);
          join(curve, "path", [0], () => ({
            d: `M${d.join("L")}`, fill: "none", stroke: "var(--elbo)", "stroke-width": 2.2, "vector-effect": "non-scaling-stroke",
          }));
          const known = saidOf(letter) === truth(letter) ? LOSSES[truth(letter)].label : "";
          name.replaceChildren(element("b", {}, letter), known);
          CHECKS.forEach((check, c) => {
            const made = asked.includes(check), bad = made && fails(runs[truth(letter)], check), mark = marks.children[c];
            set(mark, { class: made ? (bad ? "bad" : "good") : undefined });
            mark.textContent = made ? (bad ? "✗" : "✓") : NOT_MADE;
          });
          const failed = asked.filter((check) => fails(runs[truth(letter)], check)).length;
          input.checked = letter === frame.state.run;
          set(input, { "aria-label": `Run ${letter}${known ? `: ${known}` : ""}, ${checksMade(asked.length)}, ${failed} failed` });
        }
        frame.stage.classList.toggle("fresh", LETTERS.every((letter) => askedOf(letter).length === 0)); // no room for answers before the first
        bar.root.style.visibility = seen ? "visible" : "hidden";
        const [low, high] = seen ? [Math.min(seen.found, seen.known), Math.max(seen.found, seen.known)] : [0, 1];
        const edge = high - low > 1e-3 ? 0.15 * (high - low) : Math.max(0.1, 0.02 * Math.abs(high));
        bar.begin({ x: [low - edge, high + edge], y: [0, 1], hideY: true, xLabel: frame.state.check === "nudge" ? "" : "nats" });
        const color = seen?.bad ? "var(--bad)" : "var(--good)", y = bar.y(0.5);
        join(bar.layer("gap"), "path", seen ? [seen] : [], ({ found, known }) => ({ d: `M${bar.x(found)} ${y}H${bar.x(known)}`, stroke: color, "stroke-width": 5 }));
        join(bar.layer("known"), "path", seen ? [seen] : [], ({ known }) => ({ d: `M${bar.x(known)} ${y - 15}V${y + 15}`, stroke: "var(--evidence)", "stroke-width": 3 }));
        join(bar.layer("found"), "circle", seen ? [seen] : [], ({ found }) => ({
          cx: bar.x(found), cy: y, r: 6.5, fill: color, stroke: "var(--paper)", "stroke-width": 1.5,
        }));
        frame.numbers.replaceChildren(...(seen ? [
          element("span", { class: seen.bad ? "bad" : "good" }, seen.bad ? "✗ convicted" : "✓ passed"),
          element("span", {}, `${seen.names.found} `, element("b", {}, fixed(seen.found))),
          element("span", {}, swatch("evidence"), `${seen.names.known} `, element("b", {}, fixed(seen.known))),
        ] : []), element("span", { class: "score" }, score()));
        frame.note.textContent = answer() + told();
        showCheck(frame.state.check);
        showSaid(saidOf(frame.state.run));
      },
      describe() {
        const seen = verdict();
        const compared = seen ? ` ${seen.names.found} ${fixed(seen.found)}, ${seen.names.known} ${fixed(seen.known)}: ${seen.bad ? "convicted" : "passed"}.` : "";
        return `Six loss curves, A to F, alike on scales of their own. ${answer()}${compared}${told()} ${score()}.`;
      },
    };
  },
});
