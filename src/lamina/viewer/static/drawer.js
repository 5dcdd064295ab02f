// One row, whole, beside the table.

import { get, query } from "./api.js";
import { button, byId, copyText, el, fill } from "./dom.js";
import { count } from "./format.js";
import { describe, jsonText, valueNodes, valueText } from "./values.js";

const PIECE = 50_000; // characters of a long text drawn at a time

/**
 * Opens or refreshes the drawer.
 * @param {{config: string, split: string}} place
 * @param {number} row  global index
 * @param {{features: any[], item: any|null, terms: string[], step: (by: number) => void, close: () => void, signal: AbortSignal}} given
 */
export async function showRow(place, row, given) {
  const drawer = byId("drawer");
  const opened = drawer.hidden;
  drawer.hidden = false;
  const fields = el("dl", { class: "fields", tabindex: "0", "aria-label": `Fields of row ${row}` });
  const copy = button("Copy as JSON", () => found && copyText(jsonText(found.item.row, 2), copy), { disabled: true });
  const title = el("h2", { tabindex: "-1" }, `Row ${count(row)}`);
  let found = null;
  const focused = drawer.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
  fill(
    drawer,
    el(
      "header",
      {},
      title,
      copy,
      button("↑", () => given.step(-1), { class: "square", "aria-label": "Row before", title: "Row before (k)" }),
      button("↓", () => given.step(1), { class: "square", "aria-label": "Next row", title: "Next row (j)" }),
      button("✕", given.close, { class: "quiet square", "aria-label": "Close the row", title: "Close (Escape)" }),
    ),
    fields,
  );
  if (opened) title.focus();
  else if (focused)
    [...drawer.querySelectorAll("button")].find((item) => item.getAttribute("aria-label") === focused)?.focus();
  try {
    found = given.item ? given : await fetchRow(place, row, given.signal);
  } catch (error) {
    if (error.name === "AbortError") return;
    fill(
      fields,
      el(
        "div",
        { class: "field" },
        el("dt", {}, "This row could not be read"),
        el("dd", { class: "fault" }, error.message),
      ),
    );
    return;
  }
  copy.disabled = found.item.truncated_cells.length > 0;
  const cut = new Set(found.item.truncated_cells);
  const odd = found.item.not_finite_cells ?? {};
  fill(
    fields,
    ...found.features.map((feature) =>
      field(place, row, feature, odd[feature.name] ?? found.item.row[feature.name], cut.has(feature.name), given.terms),
    ),
  );
}

async function fetchRow(place, row, signal) {
  const found = await get("rows", { ...place, offset: row, length: 1 }, signal);
  if (!found.rows.length)
    throw new Error(`There is no row ${count(row)}: the split has ${count(found.num_rows_total)} rows.`);
  return { features: found.features, item: found.rows[0] };
}

function field(place, row, feature, value, cut, terms) {
  const copy = button("Copy", () => copyText(valueText(value), copy), {
    class: "quiet",
    "aria-label": `Copy ${feature.name}`,
  });
  const content = el("dd", { dir: "auto" });
  const name = el(
    "dt",
    {},
    el("strong", { dir: "auto" }, feature.name),
    el("span", { class: "type" }, cut ? "" : describe(value, feature.type)),
    !cut && copy,
  );
  if (cut) showPieces(content, place, row, feature.name);
  else if (typeof value === "string" && value.length > PIECE) showSlices(content, value, terms);
  else fill(content, ...valueNodes(value, feature.type, { terms, whole: true }));
  return el("div", { class: "field" }, name, content);
}

/** A text that is here but too long to draw at once. */
function showSlices(node, text, terms, end = PIECE) {
  const more = button("Show more", () => showSlices(node, text, terms, end * 4));
  const rest =
    text.length > end && el("p", { class: "more" }, more, `${count(end)} of ${count(text.length)} characters`);
  fill(node, ...valueNodes(text.slice(0, end), null, { terms, whole: true }), rest);
}

/** A cell that was cut on its way: the rest is fetched piece by piece, or saved to a file. */
async function showPieces(node, place, row, column) {
  const address = { ...place, row, column };
  const text = el("span", {});
  const line = el("p", { class: "more" });
  const save = el("a", { href: `view/cell?${query({ ...address, download: true })}`, download: "" }, "Save to a file");
  const next = async (offset) => {
    fill(line, "Reading …");
    try {
      const piece = await get("view/cell", { ...address, offset, length: PIECE });
      text.append(piece.text);
      const more = piece.next !== null && button("Show more", () => next(piece.next));
      fill(line, more, save, `${count(piece.end)} of ${count(piece.total)} characters`);
    } catch (error) {
      fill(line, el("span", { class: "fault" }, error.message), save);
    }
  };
  fill(node, text, line);
  await next(0);
}

/** Hides the drawer. */
export function hideDrawer() {
  byId("drawer").hidden = true;
  fill(byId("drawer"));
}
