/* Elements from data. Text goes in as text, never as HTML: there is no innerHTML in this page. */

const SVG = "http://www.w3.org/2000/svg";

/** An element: `h("button", {class: "small", on: {click: f}, "aria-label": "Close"}, "x", child, ...)`. */
export function h(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** The same in SVG. */
export function s(tag, properties = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), properties, children);
}

function filled(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, String(value));
    }
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Give an element this text, if it has another: what has not changed is left alone, and with it the selection. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Set an attribute, or take it away (null, false). */
export function mark(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}

/** The number of an id that no other element has. */
export const nextId = (() => {
  let last = 0;
  return (stem) => `${stem}-${(last += 1)}`;
})();

/**
 * Children of `parent`, one for each item, kept by key: made once by `make(item)`, brought up to date by `update(element, item)`,
 * in the order of `items`. What is focused stays focused.
 */
export function keyed(parent, items, key, make, update) {
  const kept = parent.keyed ?? new Map();
  const wanted = new Map();
  let at = null;
  for (const item of items) {
    const name = key(item);
    if (wanted.has(name)) continue;
    const element = kept.get(name) ?? make(item);
    update(element, item);
    wanted.set(name, element);
    const next = at ? at.nextSibling : parent.firstChild;
    if (element !== next) parent.insertBefore(element, next);
    at = element;
  }
  for (const [name, element] of kept) if (!wanted.has(name)) element.remove();
  parent.keyed = wanted;
}
