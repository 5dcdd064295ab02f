// One value as nodes: text, numbers, class names, folded lists and structs, pictures.

import { el } from "./dom.js";
import { count, elementOf, kindOf, typeName } from "./format.js";
import { aroundFirstHit, marked } from "./marking.js";

const CELL_TEXT = 1200; // characters of a text in a table cell, which shows four lines of it
const TREE_ITEMS = 100; // items of a list shown at once
const PREVIEW = 90;

/**
 * @typedef {object} Showing
 * @property {string[]} [terms]  words to mark
 * @property {boolean} [whole]  everything, not only what fits a cell
 * @property {boolean} [cut]  the server sent the start of the value's JSON only
 */

/** Nodes for a value of a feature. @param {Showing} showing */
export function valueNodes(value, feature, showing = {}) {
  if (showing.cut) return cutNodes(value, showing);
  if (value === null || value === undefined) return [el("span", { class: "null" }, "null")];
  if (feature?._type === "ClassLabel") return [className(value, feature)];
  if (typeof value === "string") return textNodes(value, showing);
  if (typeof value === "object") return [pictured(value) ?? folded(value, feature, showing)];
  return [numberText(value, feature)];
}

function textNodes(text, { terms = [], whole = false }) {
  if (text === "") return [el("span", { class: "null" }, "empty text")];
  if (whole) return marked(text, terms);
  const shown = terms.length ? aroundFirstHit(text, terms) : text;
  return marked(shown.slice(0, CELL_TEXT), terms);
}

function cutNodes(json, { terms = [], whole = false }) {
  return [...textNodes(beginning(json), { terms, whole }), el("span", { class: "cut" }, " … cut")];
}

/** A text from the beginning of its JSON, as the server sent it; anything but a text stays JSON. */
function beginning(json) {
  if (typeof json !== "string" || !json.startsWith('"')) return String(json);
  const inside = json.slice(1);
  for (let less = 0; less < 7 && less <= inside.length; less += 1) {
    try {
      return JSON.parse(`"${inside.slice(0, inside.length - less)}"`); // the cut may lie within an escape
    } catch {
      continue;
    }
  }
  return inside;
}

function numberText(value, feature) {
  if (typeof value !== "number" || !/^float(16|32)$/.test(feature?.dtype ?? "")) return String(value);
  // JSON says a float32 as the double it becomes; the shortest number that becomes the same float32 is what was meant.
  for (let digits = 6; digits < 10; digits += 1) {
    const shorter = Number(value.toPrecision(digits));
    if (Math.fround(shorter) === value) return String(shorter);
  }
  return String(value);
}

function className(value, feature) {
  const name = feature.names?.[value];
  if (name === undefined) return el("span", { class: "null" }, `${value} (no label)`);
  return el("span", { class: "class-name" }, name, el("small", {}, String(value)));
}

/** A picture or sound that the server offers under an address of its own. */
function pictured(value) {
  const source = value.src ?? (Array.isArray(value) ? value[0]?.src : undefined);
  if (typeof source !== "string" || !source.startsWith("/")) return null; // nothing is ever loaded from elsewhere
  if (Array.isArray(value)) return el("audio", { controls: true, src: source, preload: "none" });
  return el("img", { src: source, alt: "", loading: "lazy" });
}

/** A list or struct: one line that opens. */
function folded(value, feature, showing) {
  const list = Array.isArray(value);
  const size = list ? value.length : Object.keys(value).length;
  const preview = el("span", { class: "preview" }, ...marked(previewOf(value), showing.terms ?? []));
  const summary = el("summary", {}, el("span", { class: "count" }, list ? `[${count(size)}]` : `{${size}}`), preview);
  const details = el("details", { class: "fold" }, summary);
  const open = () => {
    if (details.open && !details.querySelector(":scope > .tree")) details.append(tree(value, feature, showing));
    details
      .closest(".cell")
      ?.classList.toggle("open", details.closest(".cell").querySelector("details[open]") !== null);
  };
  details.addEventListener("toggle", open);
  if (showing.whole) {
    details.open = true;
    details.append(tree(value, feature, showing));
  }
  return details;
}

function tree(value, feature, showing) {
  const node = el("div", { class: "tree" });
  const list = Array.isArray(value);
  const entries = list ? value.map((item, place) => [place, item]) : Object.entries(value);
  const add = (from) => {
    for (const [key, item] of entries.slice(from, from + TREE_ITEMS)) {
      const inner = list ? elementOf(feature) : feature?.[key];
      node.append(
        el(
          "div",
          { dir: "auto" },
          el("span", { class: "key", dir: "auto" }, String(key)),
          ...valueNodes(item, inner, { ...showing, whole: typeof item !== "object" }),
        ),
      );
    }
    if (from + TREE_ITEMS < entries.length) {
      const more = el("button", { type: "button", class: "link" }, `${count(entries.length - from - TREE_ITEMS)} more`);
      more.addEventListener("click", (event) => {
        event.stopPropagation();
        more.remove();
        add(from + TREE_ITEMS);
      });
      node.append(more);
    }
  };
  add(0);
  return node;
}

/** A list or struct in one short line. */
export function previewOf(value, room = PREVIEW) {
  if (typeof value === "string") return value.length > room ? `${value.slice(0, room)}…` : value;
  if (value === null || typeof value !== "object") return String(value);
  const list = Array.isArray(value);
  let line = "";
  for (const [key, item] of Object.entries(value)) {
    line += (line ? ", " : "") + (list ? "" : `${key}: `) + previewOf(item, room - line.length);
    if (line.length >= room) return `${line.slice(0, room)}…`;
  }
  return line;
}

/** A value as text to copy: texts as they are, all else as JSON in which large integers keep their digits. */
export function valueText(value) {
  return typeof value === "string" ? value : jsonText(value, 2);
}

/** JSON with BigInt written as numbers. */
export function jsonText(value, indent = 0) {
  const big = [];
  const text = JSON.stringify(
    value,
    (_key, item) => (typeof item === "bigint" ? `\u0000${big.push(item) - 1}\u0000` : item),
    indent,
  );
  return big.length ? text.replace(/"\\u0000(\d+)\\u0000"/g, (_, place) => String(big[Number(place)])) : text;
}

/** What stands under a column's name in the open row. */
export function describe(value, feature) {
  if (typeof value === "string" && kindOf(feature) === "text")
    return `${typeName(feature)}, ${count([...value.slice(0, 1e6)].length)}${value.length > 1e6 ? "+" : ""} characters`;
  if (Array.isArray(value)) return `${typeName(feature)}, ${count(value.length)} items`;
  return typeName(feature);
}
