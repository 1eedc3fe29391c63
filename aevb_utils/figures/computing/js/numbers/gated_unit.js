/** A gated recurrent unit with two inputs, chapter 10's. */

import { byteLinear } from "./byte_layer.js";
import { sigmoid } from "./vectors.js";

/** @typedef {import("./byte_layer.js").ByteLayer} ByteLayer */
/** @typedef {{ ofX: ByteLayer, ofZ: ByteLayer, ofH: ByteLayer }} GatedUnit the gates r, u and the proposal n, one below the other */

/**
 * h_{t+1} from x_t, z_t and h_t, eq. (10.18).
 * @param {GatedUnit} unit
 * @param {ArrayLike<number>} x
 * @param {ArrayLike<number>} z
 * @param {ArrayLike<number>} h
 * @returns {Float64Array}
 */
export function nextState({ ofX, ofZ, ofH }, x, z, h) {
  const fromX = byteLinear(ofX, x), fromZ = byteLinear(ofZ, z), fromH = byteLinear(ofH, h), H = h.length;
  return Float64Array.from({ length: H }, (_, i) => {
    const r = sigmoid(fromX[i] + fromZ[i] + fromH[i]), u = sigmoid(fromX[H + i] + fromZ[H + i] + fromH[H + i]);
    return u * h[i] + (1 - u) * Math.tanh(fromX[2 * H + i] + fromZ[2 * H + i] + r * fromH[2 * H + i]);
  });
}
