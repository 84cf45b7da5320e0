/** Find and make elements. */

/** @param {string} selector */
export const $ = (selector) => document.querySelector(selector);

/** Make an element; what comes from other people goes in as text, never as HTML. */
export function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}
