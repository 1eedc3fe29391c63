/** Random numbers from a seed: the same in every browser. */

/**
 * @typedef {object} Random
 * @property {() => number} uniform a number in [0, 1)
 * @property {() => number} normal a standard normal number
 * @property {(n: number) => number} below a whole number in 0, …, n - 1
 * @property {<T>(items: T[]) => T[]} shuffled a copy in random order
 */

/**
 * A generator of its own (sfc32).
 * @param {number} seed a whole number
 * @returns {Random}
 */
export function random(seed) {
  let a = 2654435769, b = 608135816, c = seed | 0, d = 1;
  const next = () => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + t | 0;
    return (t >>> 0) / 4294967296;
  };
  for (let i = 0; i < 15; i++) next();
  /** @type {number | null} */
  let spare = null;
  const normal = () => {
    if (spare !== null) {
      const kept = spare;
      spare = null;
      return kept;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - next()));
    const angle = 2 * Math.PI * next();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
  const below = (/** @type {number} */ n) => Math.floor(next() * n);
  return {
    uniform: next,
    normal,
    below,
    shuffled: (items) => {
      const copy = [...items];
      for (let i = copy.length - 1; i > 0; i--) {
        const j = below(i + 1);
        [copy[i], copy[j]] = [copy[j], copy[i]];
      }
      return copy;
    },
  };
}
