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
 * Σ a b over numbers that stand side by side in two longer rows.
 * @param {ArrayLike<number>} a
 * @param {ArrayLike<number>} b
 * @param {number} [fromA] where they begin in a
 * @param {number} [fromB] where they begin in b
 * @param {number} [count] how many
 * @returns {number}
 */
export function dot(a, b, fromA = 0, fromB = 0, count = a.length) {
  const end = fromA + count, even = end - (count % 4);
  let one = 0, two = 0, three = 0, four = 0, i = fromA, j = fromB;
  for (; i < even; i += 4, j += 4) { // four sums that do not wait for each other
    one += a[i] * b[j];
    two += a[i + 1] * b[j + 1];
    three += a[i + 2] * b[j + 2];
    four += a[i + 3] * b[j + 3];
  }
  for (; i < end; i++, j++) one += a[i] * b[j];
  return one + two + three + four;
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
 * σ(value), the logistic function.
 * @param {number} value
 * @returns {number} between 0 and 1
 */
export function sigmoid(value) {
  return 1 / (1 + Math.exp(-value));
}

/** @param {number} value @returns {number} max(0, value) */
export function relu(value) {
  return value > 0 ? value : 0;
}

/**
 * log(1 + exp(value)), without overflow.
 * @param {number} value
 * @returns {number}
 */
export function softplus(value) {
  return value > 30 ? value : Math.log1p(Math.exp(value));
}
