// Making elements. Text always goes in as text nodes: nothing on this page parses HTML from data.

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {Node|string|number|null|undefined|false|Child[]} Child */

/**
 * An element. `props`: attributes by name, `class`, `on` (event listeners), `style` (properties, set through the CSSOM
 * since the content policy refuses style attributes); true sets an empty attribute, false and null leave it out.
 * @param {string} tag
 * @param {Record<string, any>} [props]
 * @param {...Child} children
 * @returns {any}
 */
export function el(tag, props = {}, ...children) {
  return dress(document.createElement(tag), props, children);
}

/** An element of a drawing; see `el`. */
export function svg(tag, props = {}, ...children) {
  return dress(document.createElementNS(SVG, tag), props, children);
}

function dress(node, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (name === "style") for (const [key, setting] of Object.entries(value)) node.style.setProperty(key, setting);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...flat(children));
  return node;
}

function flat(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map(asNode);
}

function asNode(child) {
  return child instanceof Node ? child : document.createTextNode(String(child));
}

/** Replaces everything in `node`. */
export function fill(node, ...children) {
  node.replaceChildren(...flat(children));
  return node;
}

/** The element with this id. @returns {any} */
export function byId(id) {
  return document.getElementById(id);
}

/** A button that runs `action`. */
export function button(label, action, props = {}) {
  return el("button", { type: "button", ...props, on: { click: action } }, label);
}

/**
 * Opens a modal dialog; the browser traps focus, closes on Escape and gives focus back.
 * @param {string} title
 * @param {{class?: string}} props
 * @param {...Child} content
 */
export function openDialog(title, props, ...content) {
  const heading = el("h2", { id: "dialog-title" }, title);
  const node = el("dialog", { ...props, "aria-labelledby": "dialog-title" });
  const close = () => node.close();
  fill(
    node,
    el("header", {}, heading, button("✕", close, { class: "quiet square", "aria-label": "Close" })),
    el("div", { class: "inside" }, ...content),
  );
  node.addEventListener("click", (event) => event.target === node && close()); // the backdrop
  node.addEventListener("close", () => node.remove());
  document.body.append(node);
  node.showModal();
  return { node, close };
}

/** Copies text, saying so on the button for a moment. */
export async function copyText(text, pressed) {
  const before = pressed.textContent;
  try {
    await navigator.clipboard.writeText(text);
    pressed.textContent = "Copied";
  } catch {
    pressed.textContent = "Copying was refused";
  }
  setTimeout(() => (pressed.textContent = before), 1400);
}

/** Arrow keys, Home and End move within a group of buttons, one of which is in the tab order. */
export function roving(group, buttons, { sideways = true } = {}) {
  const steps = { ArrowDown: 1, ArrowUp: -1, ...(sideways ? { ArrowRight: 1, ArrowLeft: -1 } : {}) };
  buttons.forEach((item, place) => (item.tabIndex = place ? -1 : 0));
  group.addEventListener("keydown", (event) => {
    const here = buttons.indexOf(document.activeElement);
    const edge = { Home: 0, End: buttons.length - 1 }[event.key];
    const next = edge ?? Math.min(buttons.length - 1, Math.max(0, here + (steps[event.key] ?? NaN)));
    if (here < 0 || Number.isNaN(next) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    buttons.forEach((item, place) => (item.tabIndex = place === next ? 0 : -1));
    buttons[next].focus();
  });
}
