/** Numbers and states in words. */

/**
 * A number with a minus sign of its own length.
 * @param {number} value
 * @param {number} [digits] after the point
 * @returns {string}
 */
export function fixed(value, digits = 2) {
  const words = value.toFixed(digits);
  return (Number(words) === 0 ? words.replace("-", "") : words).replace("-", "−");
}

/**
 * A voice for those who do not see the figure: says the last of what it is given, when it has been calm for a while.
 * @param {Element} region where it is written, an element with aria-live
 * @param {number} [wait] milliseconds
 * @returns {(words: string) => void}
 */
export function voice(region, wait = 700) {
  let timer = 0;
  return (words) => {
    clearTimeout(timer);
    timer = setTimeout(() => { region.textContent = words; }, wait);
  };
}
