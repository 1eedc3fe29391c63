/** Numbers that were packed as text. */

/**
 * Bytes that were packed as base64.
 * @param {string} text
 * @returns {Uint8Array}
 */
export function unpackBytes(text) {
  const letters = atob(text), bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

/**
 * Numbers that were packed as base64 of little-endian float16.
 * @param {string} text
 * @returns {Float64Array}
 */
export function unpackHalves(text) {
  const bytes = unpackBytes(text);
  return Float64Array.from({ length: bytes.length >> 1 }, (_, i) => {
    const bits = bytes[2 * i] + 256 * bytes[2 * i + 1], power = (bits >> 10) & 31, part = bits & 1023;
    return (bits >> 15 ? -1 : 1) * (power ? 2 ** (power - 25) * (1024 + part) : 2 ** -24 * part);
  });
}

/**
 * Numbers that were packed as base64 of little-endian float32.
 * @param {string} text
 * @returns {Float64Array}
 */
export function unpackFloats(text) {
  return Float64Array.from(new Float32Array(unpackBytes(text).buffer));
}

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/**
 * Whole multiples of a step, which were packed as digits of base 64, a letter each: the lowest of all numbers first.
 * @param {{ step: number, digits: string[] }} packed
 * @returns {Float64Array}
 */
export function unpackMultiples({ step, digits }) {
  const values = new Float64Array(digits[0].length), valueOf = new Map(Array.from(LETTERS, (letter, value) => [letter, value])), range = 64 ** digits.length;
  digits.forEach((plane, k) => { for (let i = 0; i < plane.length; i++) values[i] += 64 ** k * (valueOf.get(plane[i]) ?? 0); });
  return values.map((value) => step * (value < range / 2 ? value : value - range));
}
