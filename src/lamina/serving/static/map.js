/** One attention map as a picture: a row for each token that looks, a column for each that is looked at. */

import { onThemeChange, paint } from "./colors.js";
import { element } from "./dom.js";
import { visible } from "./pieces.js";

const WIDEST = 520; // pixels
const LARGEST = 30; // of a cell
const SMALLEST = 4;
const READABLE = 11; // a cell that has room for its token

/**
 * @param {Object} found a map with its tokens
 * @param {(query: number) => void} onselect a row was clicked
 */
export function mapPicture(found, onselect) {
  const [rows, columns] = [found.queries.length, found.keys.length];
  const cell = Math.max(SMALLEST, Math.min(LARGEST, Math.floor(WIDEST / Math.max(rows, columns))));
  const canvas = element("canvas", {
    class: "map",
    role: "img",
    "aria-label":
      `Attention of layer ${found.layer + 1}, head ${found.head + 1}: ${rows} tokens looking at ${columns}. ` +
      "The same as words below: choose the token that looks.",
  });
  canvas.style.width = `${columns * cell}px`;
  canvas.style.height = `${rows * cell}px`;
  const row = element("span", { class: "map-row", "aria-hidden": "true" });
  const spot = element("span", { class: "map-spot", "aria-hidden": "true", hidden: true });
  const readout = element("p", { class: "readout", "aria-hidden": "true" });
  const frame = element("div", { class: "map-frame" }, canvas, row, spot);
  const place = (part, query, key, width) => {
    part.style.top = `${query * cell}px`;
    part.style.left = `${key * cell}px`;
    part.style.width = `${width * cell}px`;
    part.style.height = `${cell}px`;
  };
  const under = (event) => {
    const box = canvas.getBoundingClientRect();
    const query = Math.floor((event.clientY - box.top) / cell);
    const key = Math.floor((event.clientX - box.left) / cell);
    return query >= 0 && query < rows && key >= 0 && key < columns ? { query, key } : null;
  };
  const rest = () => {
    spot.hidden = true;
    readout.textContent = "Ink is the square root of the weight. Point at it to read the numbers.";
  };
  frame.addEventListener("pointermove", (event) => {
    const at = under(event);
    if (!at) return;
    spot.hidden = false;
    place(spot, at.query, at.key, 1);
    const [from, to] = [visible(found.queries[at.query].text), visible(found.keys[at.key].text)];
    readout.textContent = `${from} → ${to}: ${found.weights[at.query][at.key].toFixed(3)}`;
  });
  frame.addEventListener("pointerleave", rest);
  frame.addEventListener("click", (event) => {
    const at = under(event);
    if (at) onselect(at.query);
  });
  rest();
  const draw = () => paint(canvas, columns, rows, (query, key) => Math.sqrt(found.weights[query][key]));
  onThemeChange(canvas, draw);
  const labeled = cell >= READABLE;
  const part = element(
    "figure",
    { class: "map-figure" },
    element("figcaption", {}, `Layer ${found.layer + 1}, head ${found.head + 1}`),
    element(
      "div",
      { class: labeled ? "map-grid labeled" : "map-grid", tabindex: "0", role: "group", "aria-label": "The map" },
      labeled ? labels(found.keys, cell, "columns") : null,
      labeled ? labels(found.queries, cell, "rows") : null,
      frame,
    ),
    readout,
  );
  return { part, draw, mark: (query) => place(row, query, 0, columns) };
}

function labels(tokens, cell, side) {
  const part = element(
    "div",
    { class: `map-labels ${side}`, "aria-hidden": "true" },
    tokens.map(({ text }) => element("span", {}, visible(text))),
  );
  part.style.setProperty("--cell", `${cell}px`);
  part.style.setProperty("--letters", `${Math.min(13, cell - 1)}px`);
  return part;
}
