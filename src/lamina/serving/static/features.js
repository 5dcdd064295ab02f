/** Vectors as a picture: one row each, one point for every number. */

import { onThemeChange, paint } from "./colors.js";
import { copyButton, element } from "./dom.js";

const NUMBERS = 8; // shown of each vector
const ROWS = 64; // listed

/** `[[...]]` at any depth, as a list of vectors. */
function vectorsOf(answer) {
  let vectors = answer;
  while (Array.isArray(vectors[0]?.[0])) vectors = vectors.flat();
  return Array.isArray(vectors[0]) ? vectors : [vectors];
}

export function features(answer) {
  const vectors = vectorsOf(answer);
  const width = vectors[0].length;
  const all = vectors.flat();
  const lowest = all.reduce((one, other) => Math.min(one, other), Infinity);
  const highest = all.reduce((one, other) => Math.max(one, other), -Infinity);
  const reach = Math.max(Math.abs(lowest), Math.abs(highest)) || 1;
  const fact = `${vectors.length} ${vectors.length === 1 ? "vector" : "vectors"} of ${width} numbers`;
  const range = `from ${lowest.toFixed(2)} to ${highest.toFixed(2)}`;
  const canvas = element("canvas", { class: "heat", role: "img", "aria-label": `A heat map of ${fact}, ${range}` });
  canvas.style.height = `${Math.min(420, Math.max(28, vectors.length * 14))}px`;
  // A square root lets the many small numbers be seen beside the few large ones.
  const share = (row, column) => Math.sign(vectors[row][column]) * Math.sqrt(Math.abs(vectors[row][column]) / reach);
  const draw = () => paint(canvas, width, vectors.length, share);
  requestAnimationFrame(draw);
  onThemeChange(canvas, draw);
  return element(
    "div",
    { class: "stack" },
    element("p", { class: "soft" }, `${fact}, ${range}.`),
    element("div", { class: "heat-frame" }, canvas),
    element("p", { class: "legend", "aria-hidden": "true" }, swatch("below"), "below zero", swatch("above"), "above"),
    table(vectors),
    element("div", { class: "actions" }, copyButton("Copy vectors", () => JSON.stringify(answer)), download(answer)),
  );
}

const swatch = (kind) => element("span", { class: `swatch ${kind}` });

function table(vectors) {
  const rows = vectors.slice(0, ROWS).map((vector, place) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, String(place)),
      vector.slice(0, NUMBERS).map((value) => element("td", { class: "number" }, value.toFixed(3))),
      element("td", { class: "number soft" }, vector.length > NUMBERS ? "…" : ""),
    ),
  );
  const rest = vectors.length > ROWS ? ` and of ${ROWS} of ${vectors.length} vectors` : "";
  const caption = `The first ${Math.min(NUMBERS, vectors[0].length)} numbers of each vector${rest}`;
  return element(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    element("table", { class: "numbers" }, element("caption", {}, caption), element("tbody", {}, rows)),
  );
}

function download(answer) {
  const button = element("button", { type: "button", class: "quiet" }, "Download as JSON");
  button.addEventListener("click", () => {
    const address = URL.createObjectURL(new Blob([JSON.stringify(answer)], { type: "application/json" }));
    element("a", { href: address, download: "features.json" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  });
  return button;
}
