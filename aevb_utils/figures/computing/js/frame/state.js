/** What a reader can choose, as names and values that fit into an address: `mean=0.3&sd=0.2`. */

/**
 * @template T
 * @typedef {object} Kind
 * @property {T} start
 * @property {(value: T) => string} write
 * @property {(text: string) => T | undefined} read undefined where the text is no such value
 */

/** @typedef {Record<string, Kind<any>>} Kinds */

/**
 * @template {Kinds} K
 * @typedef {{ [N in keyof K]: K[N] extends Kind<infer T> ? T : never }} StateOf
 */

/**
 * A number in a range.
 * @param {number} start
 * @param {{ low: number, high: number, digits?: number }} range digits: after the point, 0 for a whole number
 * @returns {Kind<number>}
 */
export function number(start, { low, high, digits = 3 }) {
  return {
    start,
    write: (value) => String(Number(value.toFixed(digits))),
    read: (text) => {
      const value = Number(text);
      if (text.trim() === "" || !Number.isFinite(value)) return undefined;
      return Number(Math.min(high, Math.max(low, value)).toFixed(digits));
    },
  };
}

/**
 * One of several words.
 * @template {string} T
 * @param {T} start
 * @param {readonly T[]} words
 * @returns {Kind<T>}
 */
export function choice(start, words) {
  return { start, write: (value) => value, read: (text) => words.find((word) => word === text) };
}

/**
 * Any text of some letters.
 * @param {string} start
 * @param {RegExp} form what it must match, from its beginning to its end
 * @returns {Kind<string>}
 */
export function text(start, form) {
  return { start, write: (value) => value, read: (words) => (form.test(words) ? words : undefined) };
}

/**
 * A list of numbers.
 * @param {number[]} start
 * @param {{ digits?: number, most?: number }} [limits] digits that count; how many numbers at most
 * @returns {Kind<number[]>}
 */
export function numbers(start, { digits = 8, most = 1000 } = {}) {
  return {
    start,
    write: (values) => values.map((value) => String(Number(value.toPrecision(digits)))).join(","),
    read: (words) => {
      const values = words === "" ? [] : words.split(",").map(Number);
      return values.length <= most && values.every(Number.isFinite) ? values : undefined;
    },
  };
}

/**
 * @template {Kinds} K
 * @param {K} kinds
 * @returns {StateOf<K>} where all begins
 */
function startOf(kinds) {
  const pairs = Object.entries(kinds).map(([name, kind]) => [name, kind.start]);
  return /** @type {StateOf<K>} */ (Object.fromEntries(pairs));
}

/**
 * What differs from the start, as in an address.
 * @template {Kinds} K
 * @param {K} kinds
 * @param {StateOf<K>} state
 * @returns {string}
 */
export function written(kinds, state) {
  const parts = Object.entries(kinds).map(([name, kind]) => [name, kind.write(state[name]), kind.write(kind.start)]);
  const changed = parts.filter(([, now, before]) => now !== before);
  return changed.map(([name, now]) => `${name}=${encodeURIComponent(now).replaceAll("%2C", ",")}`).join("&");
}

/**
 * The state that an address tells; what it does not tell, or tells wrongly, is as at the start.
 * @template {Kinds} K
 * @param {K} kinds
 * @param {string} words
 * @returns {StateOf<K>}
 */
export function read(kinds, words) {
  const state = startOf(kinds);
  for (const [name, told] of new URLSearchParams(words)) {
    const value = Object.hasOwn(kinds, name) ? kinds[name].read(told) : undefined;
    if (value !== undefined) state[/** @type {keyof K} */ (name)] = value;
  }
  return state;
}
