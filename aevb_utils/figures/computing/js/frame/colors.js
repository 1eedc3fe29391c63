/** The book's colors. A test compares them with aevb_utils.figures.style. */

/** What a color means, on white. */
export const PALETTE = {
  evidence: "#222222", elbo: "#0072B2", kl: "#E69F00", prior: "#808080", posterior: "#009E73", q: "#AA3377",
  data: "#4D4D4D",
};

/** The same hues on a dark page. */
export const DARK = {
  evidence: "#F2F2F2", elbo: "#4CA9E6", kl: "#F0B43C", prior: "#A6A6A6", posterior: "#2FC79A", q: "#E37BB8",
  data: "#BDBDBD",
};

/** Components and classes, in order, on white and on dark. */
export const COMPONENTS = ["#7755CC", "#CC6677", "#44AA99", "#999933", "#882255", "#88CCEE"];

/** Ten digits: Matplotlib's "tab10", as in the book's figures. */
export const DIGITS = [
  "#1F77B4", "#FF7F0E", "#2CA02C", "#D62728", "#9467BD", "#8C564B", "#E377C2", "#7F7F7F", "#BCBD22", "#17BECF",
];

/**
 * A mixture of the components' colors.
 * @param {ArrayLike<number>} shares sum to one
 * @returns {string}
 */
export function mixed(shares) {
  const parts = [0, 0, 0];
  for (let c = 0; c < shares.length; c++) {
    const color = COMPONENTS[c % COMPONENTS.length];
    for (let k = 0; k < 3; k++) parts[k] += shares[c] * parseInt(color.slice(1 + 2 * k, 3 + 2 * k), 16);
  }
  return `rgb(${parts.map((part) => Math.round(Math.min(255, Math.max(0, part)))).join(" ")})`;
}
