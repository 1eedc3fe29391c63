/** Gaussians in the plane. A symmetric matrix is [xx, xy, yy]. */

/** @typedef {[number, number, number]} Symmetric */

/**
 * The lower factor K of a covariance, with K Kᵀ = Σ: [k11, k21, k22].
 * @param {Symmetric} covariance
 * @returns {Symmetric | null} null where it is not positive definite, up to rounding
 */
export function cholesky([xx, xy, yy]) {
  if (!(xx > 0)) return null;
  const k11 = Math.sqrt(xx), k21 = xy / k11, rest = yy - k21 * k21;
  return rest > 20 * Number.EPSILON * yy ? [k11, k21, Math.sqrt(rest)] : null;
}

/**
 * Points on the contour of a Gaussian at a Mahalanobis distance.
 * @param {readonly [number, number]} mean
 * @param {Symmetric} factor
 * @param {number} radius
 * @param {number} [count]
 * @returns {[number, number][]}
 */
export function contour([x, y], [k11, k21, k22], radius, count = 72) {
  return Array.from({ length: count + 1 }, (_, i) => {
    const angle = (2 * Math.PI * i) / count, u = radius * Math.cos(angle), v = radius * Math.sin(angle);
    return [x + k11 * u, y + k21 * u + k22 * v];
  });
}
