/** Sums, logarithms of sums, and grids. */

/**
 * @param {ArrayLike<number>} values
 * @returns {number} their sum
 */
export function sum(values) {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i];
  return total;
}

/**
 * log Σ exp(values), without overflow.
 * @param {ArrayLike<number>} values
 * @returns {number}
 */
export function logSumExp(values) {
  let top = -Infinity;
  for (let i = 0; i < values.length; i++) if (values[i] > top) top = values[i];
  if (top === -Infinity) return -Infinity;
  let total = 0;
  for (let i = 0; i < values.length; i++) total += Math.exp(values[i] - top);
  return top + Math.log(total);
}

/**
 * exp(values) / Σ exp(values).
 * @param {ArrayLike<number>} values
 * @returns {number[]}
 */
export function softmax(values) {
  const log = logSumExp(values);
  return Array.from(values, (value) => Math.exp(value - log));
}

/**
 * Equally spaced numbers, both ends included.
 * @param {number} low
 * @param {number} high
 * @param {number} count
 * @returns {number[]}
 */
export function linspace(low, high, count) {
  return Array.from({ length: count }, (_, i) => low + ((high - low) * i) / (count - 1));
}

/**
 * The integral by the trapezoidal rule.
 * @param {ArrayLike<number>} values at equally spaced points
 * @param {number} spacing
 * @returns {number}
 */
export function trapezoid(values, spacing) {
  return spacing * (sum(values) - (values[0] + values[values.length - 1]) / 2);
}

/**
 * @param {number} value
 * @param {number} low
 * @param {number} high
 * @returns {number} the nearest number between low and high
 */
export function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}

/**
 * log(1 + exp(value)), without overflow.
 * @param {number} value
 * @returns {number}
 */
export function softplus(value) {
  return value > 30 ? value : Math.log1p(Math.exp(value));
}
