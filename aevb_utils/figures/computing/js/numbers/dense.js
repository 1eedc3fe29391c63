/** Networks of dense layers: tanh or another map between them, nothing after the last, as the book's. */

/**
 * @typedef {object} Layer
 * @property {Float64Array} weight rows are outputs, (out · in)
 * @property {Float64Array} bias (out)
 */

/**
 * The layers of a network, from one row of numbers: weight, bias, weight, bias, …
 * @param {ArrayLike<number>} values
 * @param {number[]} sizes of input, hidden layers, output
 * @returns {Layer[]}
 */
export function layers(values, sizes) {
  const all = Float64Array.from(values);
  let at = 0;
  return sizes.slice(1).map((out, k) => {
    const weight = all.subarray(at, at + out * sizes[k]);
    at += weight.length;
    const bias = all.subarray(at, at + out);
    at += out;
    return { weight, bias };
  });
}

/**
 * @param {Layer[]} network
 * @param {ArrayLike<number>} x
 * @param {(value: number) => number} [between] what a hidden layer does to each number
 * @returns {Float64Array} the network's output
 */
export function forward(network, x, between = Math.tanh) {
  let input = x;
  network.forEach(({ weight, bias }, k) => {
    const output = new Float64Array(bias.length);
    const width = input.length;
    for (let r = 0, w = 0; r < output.length; r++) {
      let total = bias[r];
      for (let c = 0; c < width; c++, w++) total += weight[w] * input[c];
      output[r] = k < network.length - 1 ? between(total) : total;
    }
    input = output;
  });
  return /** @type {Float64Array} */ (input);
}

/**
 * Numbers that were packed as base64 of whole numbers of three bytes, the lowest first.
 * @param {{ scale: number, packed: string }} numbers the scale is what a whole number is multiplied by
 * @returns {Float64Array}
 */
export function unpack({ scale, packed }) {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  return Float64Array.from({ length: bytes.length / 3 }, (_, i) => {
    const [low, middle, high] = bytes.subarray(3 * i, 3 * i + 3);
    return ((((high << 24) | (middle << 16) | (low << 8)) >> 8)) * scale;
  });
}

/** @param {number} value @returns {number} max(0, value) */
export function relu(value) {
  return value > 0 ? value : 0;
}
