/** Gauss–Hermite nodes and weights for the mean of a function of a standard normal number. */

/**
 * The polynomials He_k / √k! at a point, of degree n − 1 and n.
 * @param {number} n
 * @param {number} u
 * @returns {[number, number]}
 */
function hermite(n, u) {
  let before = 0, here = 1;
  for (let k = 0; k < n; k++) [before, here] = [here, (u * here - Math.sqrt(k) * before) / Math.sqrt(k + 1)];
  return [before, here];
}

/**
 * Nodes u and weights w with Σ w f(u) = E f(U), U ~ N(0, 1), for polynomials up to degree 2n − 1, eq. (3.9).
 *
 * The roots of a degree lie between those of the degree below, where bisection finds them.
 * @param {number} order n
 * @returns {{ u: number[], w: number[] }}
 */
export function gaussHermite(order) {
  /** @type {number[]} */
  let u = [];
  for (let n = 1; n <= order; n++) {
    const ends = [-2 * Math.sqrt(n) - 1, ...u, 2 * Math.sqrt(n) + 1];
    u = ends.slice(1).map((end, i) => {
      let low = ends[i], high = end;
      const sign = Math.sign(hermite(n, low)[1]);
      for (let k = 0; k < 60; k++) {
        const middle = (low + high) / 2;
        if (Math.sign(hermite(n, middle)[1]) === sign) low = middle;
        else high = middle;
      }
      return (low + high) / 2;
    });
  }
  return { u, w: u.map((at) => 1 / (order * hermite(order, at)[0] ** 2)) };
}
