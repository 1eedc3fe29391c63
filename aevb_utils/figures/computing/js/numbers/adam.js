/** Adam, as torch has it. */

/**
 * Adam on a row of numbers, which it changes.
 * @param {Float64Array} at
 * @param {[number, number]} [memory] of the slope and of its square
 * @returns {(slope: ArrayLike<number>, rate: number) => void} one step up the slope; at a negative rate, down
 */
export function adam(at, [ofSlope, ofSquare] = [0.9, 0.999]) {
  const first = new Float64Array(at.length), second = new Float64Array(at.length);
  let steps = 0;
  return (slope, rate) => {
    steps++;
    const way = rate / (1 - ofSlope ** steps), bias = 1 - ofSquare ** steps;
    for (let i = 0; i < at.length; i++) {
      first[i] = ofSlope * first[i] + (1 - ofSlope) * slope[i];
      second[i] = ofSquare * second[i] + (1 - ofSquare) * slope[i] * slope[i];
      at[i] += (way * first[i]) / (Math.sqrt(second[i] / bias) + 1e-8);
    }
  };
}
