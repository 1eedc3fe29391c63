/** Linear layers whose weights are whole numbers of 8 bits, each row with a scale of its own. */

/**
 * @typedef {object} ByteLayer
 * @property {Int8Array} codes rows are outputs, (out · in)
 * @property {Float64Array} scale what a whole number of a row counts, (out)
 * @property {Float64Array} bias (out); empty where there is none
 */

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

/**
 * W x + b.
 * @param {ByteLayer} layer
 * @param {ArrayLike<number>} x
 * @returns {Float64Array}
 */
export function linear({ codes, scale, bias }, x) {
  const output = new Float64Array(scale.length), width = x.length, even = width - (width % 4);
  for (let r = 0, w = 0; r < output.length; r++) {
    let a = 0, b = 0, c = 0, d = 0, k = 0;
    for (; k < even; k += 4, w += 4) {
      a += codes[w] * x[k];
      b += codes[w + 1] * x[k + 1];
      c += codes[w + 2] * x[k + 2];
      d += codes[w + 3] * x[k + 3];
    }
    for (; k < width; k++, w++) a += codes[w] * x[k];
    output[r] = scale[r] * (a + b + c + d) + (bias.length ? bias[r] : 0);
  }
  return output;
}

/**
 * The positive part of each number, in place.
 * @param {Float64Array} values
 * @returns {Float64Array}
 */
export function relu(values) {
  for (let i = 0; i < values.length; i++) if (values[i] < 0) values[i] = 0;
  return values;
}
