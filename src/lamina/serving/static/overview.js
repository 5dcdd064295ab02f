/** All layers and heads at a glance: a small map of each, which a click opens. */

import { onThemeChange, paint } from "./colors.js";
import { element } from "./dom.js";

const GAP = 1; // points between two maps

/**
 * @param {{overview: {rows: number, columns: number, data: string}, layers: number, heads: number}} found
 * @param {(choice: {layer: number, head: number}) => void} onchoose
 */
export function overviewPicture(found, onchoose) {
  const { rows, columns, data } = found.overview;
  const weights = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const [high, wide] = [rows + GAP, columns + GAP];
  const { layers, heads } = found;
  const canvas = element("canvas", { class: "map", "aria-hidden": "true" });
  const box = element("span", { class: "overview-box", "aria-hidden": "true" });
  const frame = element("div", { class: "overview-frame", title: "Click a map to open it" }, canvas, box);
  frame.style.aspectRatio = `${heads} / ${layers}`;

  const share = (y, x) => {
    const [layer, query] = [Math.floor(y / high), y % high];
    const [head, key] = [Math.floor(x / wide), x % wide];
    if (query >= rows || key >= columns) return 0;
    return Math.sqrt(weights[((layer * heads + head) * rows + query) * columns + key] / 255);
  };
  const draw = () => paint(canvas, heads * wide, layers * high, share);
  frame.addEventListener("click", (event) => {
    const area = frame.getBoundingClientRect();
    const layer = Math.floor(((event.clientY - area.top) / area.height) * layers);
    const head = Math.floor(((event.clientX - area.left) / area.width) * heads);
    onchoose({ layer: Math.min(layers - 1, layer), head: Math.min(heads - 1, head) });
  });
  onThemeChange(canvas, draw);
  const part = element(
    "figure",
    { class: "overview" },
    element("figcaption", {}, `All ${layers} layers (down) and ${heads} heads (across)`),
    frame,
  );
  part.style.setProperty("--heads", heads);
  return {
    part,
    draw,
    mark: (layer, head) => {
      box.style.left = `${(head / heads) * 100}%`;
      box.style.top = `${(layer / layers) * 100}%`;
      box.style.width = `${100 / heads}%`;
      box.style.height = `${100 / layers}%`;
    },
  };
}
