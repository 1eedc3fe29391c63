/** The looks of all figures, in a shadow root of each, and their colors on light and on dark pages. */

import { DARK, PALETTE } from "./colors.js";

const LIGHT_ROOM = {
  ink: "#24292f", quiet: "#57606a", line: "#d0d7de", soft: "#f6f8fa", paper: "#ffffff", link: "#0969da", good: "#1a7f37", bad: "#b3261e",
};
const DARK_ROOM = {
  ink: "#e6edf3", quiet: "#a9b4c0", line: "#3d444d", soft: "#1c2128", paper: "#14181e", link: "#7ab7ff", good: "#56d364", bad: "#ff8a80",
};

/**
 * @param {Record<string, string>} colors
 * @returns {string}
 */
function variables(colors) {
  return Object.entries(colors).map(([name, color]) => `--${name}: ${color};`).join(" ");
}

/** Dark pages: the book's site, JupyterLab, VS Code, Colab. */
const DARK_PAGES = [
  'html[data-theme="dark"]', 'body[data-jp-theme-light="false"]', "body.vscode-dark", 'html[theme="dark"]',
];

/** For the page: the colors, which a shadow root inherits. */
export const PAGE_STYLE = `
.aevb-computing { display: block; ${variables(PALETTE)} ${variables(LIGHT_ROOM)} }
.aevb-computing[data-source]:not([data-ready]) { min-height: var(--room-720); }
@media (max-width: 36rem) { .aevb-computing[data-source]:not([data-ready]) { min-height: var(--room-340); } }
@media (max-width: 36rem) {
  body:has(.aevb-computing) #pst-back-to-top { left: auto; right: 4px; transform: none; padding: 6px 10px; font-size: 0; }
  body:has(.aevb-computing) #pst-back-to-top i { margin: 0; font-size: 14px; }
}
@media not print { ${DARK_PAGES.map((page) => `${page} .aevb-computing`).join(", ")} { ${variables(DARK)} ${variables(DARK_ROOM)} } }
`;

/** For the shadow root of a figure. */
export const STYLE = `
:host { color: var(--ink); text-align: start; font: 400 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
* { box-sizing: border-box; }
.frame { border: 1px solid var(--line); border-radius: 10px; padding: 16px; background: var(--paper); container-type: inline-size; }
.stage { position: relative; }
svg { display: block; overflow: visible; }
svg text { fill: var(--quiet); font-size: 12.5px; font-variant-numeric: tabular-nums; }
svg text.ink { fill: var(--ink); }
.axis { stroke: var(--quiet); stroke-width: 1; fill: none; shape-rendering: crispEdges; }
.numbers { display: flex; flex-wrap: wrap; gap: 2px 14px; align-items: baseline; margin: 10px 0 0; min-height: 1.45em; font-variant-numeric: tabular-nums; }
.numbers b { font-weight: 600; white-space: nowrap; }
.numbers .swatch { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin-right: 6px; }
.numbers .sign { color: var(--quiet); margin: 0 -4px; }
.numbers .part { white-space: nowrap; }
.numbers .part .sign { margin: 0 8px 0 -4px; }
.numbers .part b + .sign { margin: 0 0 0 8px; }
.note { margin: 8px 0 0; min-height: 1.45em; color: var(--quiet); }
.note.two { min-height: 2.9em; }
.note:empty { display: none; }
.controls { display: flex; flex-wrap: wrap; gap: 10px 14px; align-items: center; margin-top: 14px; padding-top: 14px; border-top: 1px solid var(--line); }
.controls:empty { display: none; }
label.slider { display: grid; grid-template-columns: 9rem minmax(7rem, 1fr) 3.6rem; gap: 12px; align-items: center; flex: 1 1 100%; }
label.slider span:last-child { text-align: right; font-variant-numeric: tabular-nums; }
input[type="range"] { width: 100%; height: 28px; margin: 0; accent-color: var(--link); cursor: pointer; }
button { font: inherit; color: var(--ink); background: var(--soft); border: 1px solid var(--quiet); border-radius: 7px; padding: 6px 14px; min-height: 38px; min-width: 44px; cursor: pointer; touch-action: manipulation; }
button:hover:not(:disabled) { border-color: var(--link); }
button:disabled { color: var(--quiet); border-color: var(--line); cursor: default; }
button.main { font-weight: 600; }
.play { min-width: 6.6em; }
button[aria-pressed="true"] { border-color: var(--link); box-shadow: inset 0 0 0 1px var(--link); }
fieldset { display: flex; flex-wrap: wrap; gap: 6px 4px; align-items: center; border: 0; margin: 0; padding: 0; min-width: 0; }
legend { float: left; padding: 0; margin-right: 10px; }
fieldset label { position: relative; display: inline-flex; }
fieldset input { position: absolute; opacity: 0; inset: 0; width: 100%; height: 100%; margin: 0; cursor: pointer; }
fieldset label span { border: 1px solid var(--line); border-radius: 7px; padding: 6px 12px; min-height: 38px; }
fieldset input:checked + span { border-color: var(--link); box-shadow: inset 0 0 0 1px var(--link); background: var(--soft); }
fieldset input:focus-visible + span { outline: 3px solid var(--link); outline-offset: 2px; }
button:focus-visible, input[type="range"]:focus-visible, .handle:focus-visible:not([data-held]) { outline: 3px solid var(--link); outline-offset: 2px; border-radius: 7px; }
.foot { display: flex; flex-wrap: wrap; gap: 4px 16px; margin-top: 10px; font-size: 13px; }
.foot button { background: none; border: 0; padding: 4px 0; min-height: 28px; min-width: 0; color: var(--link); font-size: 13px; }
.foot button:hover { text-decoration: underline; }
.frame.brief { border: 0; border-radius: 0; padding: 0; background: none; font-size: 13px; }
.brief .numbers { margin-top: 4px; gap: 0 6px; font-size: 12.5px; }
.brief .numbers .swatch { margin-right: 4px; }
.brief .numbers .sign, .brief .numbers .part .sign { margin: 0 6px 0 0; }
.brief .numbers .part b + .sign { margin: 0 0 0 4px; }
.brief .note { margin-top: 2px; min-height: 2.9em; }
.brief .controls { margin-top: 6px; padding-top: 0; border: 0; gap: 6px; font-size: 14px; }
.brief button { padding: 6px 8px; }
.brief .play { min-width: 5.6em; }
.handle { cursor: grab; }
.handle[data-held] { outline: none; }
.handle, .handle * { touch-action: none; }
.handle:active { cursor: grabbing; }
.cursor:not(:focus-visible) { opacity: 0; }
.touch { touch-action: none; cursor: crosshair; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@container (max-width: 30rem) {
  .note, .note.two { min-height: 4.35em; }
  .brief .note, .brief .note.two { min-height: 2.9em; }
  legend { float: none; flex: 0 0 100%; width: 100%; }
  fieldset label span, button { padding: 6px 11px; }
  label.slider { grid-template-columns: minmax(0, 1fr) max-content; gap: 0 12px; }
  label.slider input { grid-row: 2; grid-column: 1 / -1; }
}
@media (max-width: 36rem) { .frame { padding: 10px; } }
@media print { .controls, .foot { display: none; } }
`;
