/** The theme's colors as numbers, for what is drawn point by point. */

/** `[red, green, blue]` of a computed color. */
function numbers(color) {
  const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  probe.fillStyle = color;
  probe.fillRect(0, 0, 1, 1);
  return probe.getImageData(0, 0, 1, 1).data.slice(0, 3);
}

/** The ink of a canvas and the opposite of it, as its style says: `color` and `outline-color`. */
export function inks(canvas) {
  const style = getComputedStyle(canvas);
  return { ink: numbers(style.color), opposite: numbers(style.outlineColor) };
}

/**
 * Fills a canvas with one point for each number: its size is the number's share of the whole.
 * @param {HTMLCanvasElement} canvas
 * @param {number} columns
 * @param {number} rows
 * @param {(row: number, column: number) => number} share from -1 to 1; below zero in the opposite color
 */
export function paint(canvas, columns, rows, share) {
  canvas.width = columns;
  canvas.height = rows;
  const { ink, opposite } = inks(canvas);
  const drawing = canvas.getContext("2d");
  const image = drawing.createImageData(columns, rows);
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const value = share(row, column);
      const color = value < 0 ? opposite : ink;
      const place = 4 * (row * columns + column);
      image.data.set(color, place);
      image.data[place + 3] = Math.round(255 * Math.min(1, Math.abs(value)));
    }
  }
  drawing.putImageData(image, 0, 0);
}

/** Calls `redraw` whenever the page changes between light and dark, as long as `part` is on it. */
export function onThemeChange(part, redraw) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const changed = () => {
    if (part.isConnected) {
      redraw();
      return;
    }
    dark.removeEventListener("change", changed);
    window.removeEventListener("lamina-theme", changed);
  };
  dark.addEventListener("change", changed);
  window.addEventListener("lamina-theme", changed);
}
