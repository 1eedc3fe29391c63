/** Symmetric and lower triangular matrices, packed row by row: [11, 21, 22, 31, 32, 33, …]. */

/** @typedef {number[]} Packed the entries on and below the diagonal */

/** @param {number} row @param {number} column not after the row @returns {number} where an entry stands, both counted from 0 */
export const cell = (row, column) => (row * (row + 1)) / 2 + column;

/**
 * The lower factor K of a covariance, with K Kᵀ = Σ.
 * @param {Packed} covariance
 * @param {number} size
 * @returns {Packed | null} null where it is not positive definite, up to rounding
 */
export function cholesky(covariance, size) {
  const factor = new Array(covariance.length).fill(0);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      let rest = covariance[cell(i, j)];
      for (let k = 0; k < j; k++) rest -= factor[cell(i, k)] * factor[cell(j, k)];
      if (i > j) factor[cell(i, j)] = rest / factor[cell(j, j)];
      else if (rest > 20 * Number.EPSILON * covariance[cell(i, i)]) factor[cell(i, i)] = Math.sqrt(rest);
      else return null;
    }
  }
  return factor;
}
