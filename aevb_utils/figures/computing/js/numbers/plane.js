/** Gaussians in the plane. */

/**
 * Points on the contour of a Gaussian at a Mahalanobis distance.
 * @param {readonly number[]} mean
 * @param {readonly number[]} factor of the covariance, lower triangular: [11, 21, 22]
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
