/** Elements of a page, made in one line. */

/** @typedef {Record<string, string | number | boolean | undefined>} Attributes */

/**
 * Set attributes; `false` and `undefined` take one away, `true` sets it without a value.
 * @param {Element} element
 * @param {Attributes} attributes
 */
export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === undefined) element.removeAttribute(name);
    else {
      const words = value === true ? "" : String(value);
      if (element.getAttribute(name) !== words) element.setAttribute(name, words);
    }
  }
}

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Attributes} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  set(made, attributes);
  made.append(...children);
  return made;
}

/**
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} tag
 * @param {Attributes} [attributes]
 * @param {...(Node | string)} children
 * @returns {SVGElementTagNameMap[T]}
 */
export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  set(made, attributes);
  made.append(...children);
  return made;
}

/**
 * Let a group have one child an item, and set their attributes: children that are there stay the same elements.
 * @template T
 * @param {SVGElement} group
 * @param {keyof SVGElementTagNameMap} tag
 * @param {readonly T[]} items
 * @param {(item: T, index: number) => Attributes & { text?: string }} attributes
 */
export function join(group, tag, items, attributes) {
  while (group.childElementCount > items.length) group.lastElementChild?.remove();
  while (group.childElementCount < items.length) group.append(svg(tag));
  items.forEach((item, i) => {
    const { text, ...others } = attributes(item, i);
    const child = group.children[i];
    set(child, others);
    if (text !== undefined && child.textContent !== text) child.textContent = text;
  });
}
