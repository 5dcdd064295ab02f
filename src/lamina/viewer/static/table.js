// The table of one page of rows.

import { el, fill, roving } from "./dom.js";
import { count, kindOf } from "./format.js";
import { headCell } from "./columns.js";
import { valueNodes } from "./values.js";

export const COLUMNS_AT_ONCE = 120; // more are behind a button: a thousand columns of a hundred rows choke a browser

/**
 * Draws a page of rows.
 * @param {HTMLElement} grid
 * @param {{features: any[], rows: any[], num_rows_total: number}} page
 * @param {{order: any, terms: string[], hidden: string[], all: boolean, actions: any}} looks
 */
export function drawTable(grid, page, looks) {
  const visible = page.features.filter((feature) => !looks.hidden.includes(feature.name));
  const shown = looks.all ? visible : visible.slice(0, COLUMNS_AT_ONCE);
  const wide = new Set(shown.filter((column) => needsRoom(page.rows, column)).map((column) => column.name));
  const head = el(
    "tr",
    {},
    el("th", { scope: "col", class: "number" }, el("span", { class: "unseen" }, "Row number")),
    ...shown.map((column) => headCell(column, looks.order, looks.actions)),
  );
  if (shown.length < visible.length) {
    const more = el(
      "button",
      { type: "button", on: { click: looks.actions.allColumns } },
      `${count(visible.length - shown.length)} more columns`,
    );
    head.append(el("th", { scope: "col" }, el("div", { class: "head" }, more)));
  }
  const body = el("tbody", {}, ...page.rows.map((item) => rowNode(item, shown, { ...looks, wide })));
  roving(body, [...body.querySelectorAll("th button")], { sideways: false });
  const table = el(
    "table",
    { class: "rows", "aria-rowcount": page.num_rows_total + 1 },
    el("caption", { class: "unseen" }, "Rows of the data set"),
    el("thead", {}, head),
    body,
  );
  fill(grid, table);
  return table;
}

function rowNode(item, columns, looks) {
  const open = (event) => {
    if (event.target.closest("summary, a, audio, .link")) return;
    if (!getSelection().isCollapsed) return; // someone selects text to copy it
    looks.actions.open(item.row_idx);
  };
  const number = el("button", { type: "button", "aria-label": `Open row ${count(item.row_idx)}` }, count(item.row_idx));
  const cut = new Set(item.truncated_cells ?? []);
  const odd = item.not_finite_cells ?? {};
  const cells = columns.map((column) =>
    cellNode(odd[column.name] ?? item.row[column.name], column, cut.has(column.name), looks),
  );
  return el(
    "tr",
    { "data-row": item.row_idx, on: { click: open } },
    el("th", { scope: "row", class: "number" }, number),
    ...cells,
  );
}

/** Whether a column holds long texts or nested values, which a narrow column would hide. */
function needsRoom(rows, column) {
  if (["list", "other"].includes(kindOf(column.type))) return rows.some((item) => item.row[column.name] !== null);
  if (kindOf(column.type) !== "text") return false;
  return rows.filter((item) => String(item.row[column.name] ?? "").length > 60).length * 10 > rows.length;
}

function cellNode(value, column, cut, { terms, wide }) {
  const kind = kindOf(column.type);
  return el(
    "td",
    { class: kind === "number" && !cut ? "numeric" : wide.has(column.name) ? "wide" : null },
    el(
      "div",
      { class: "cell", dir: kind === "number" ? null : "auto" },
      ...valueNodes(value, column.type, { terms, cut }),
    ),
  );
}

/** Shows which row is open, without drawing anew. */
export function selectRow(grid, row) {
  for (const line of grid.querySelectorAll("tbody tr")) {
    const here = row !== null && line.dataset.row === String(row);
    line.classList.toggle("selected", here);
    if (here) line.scrollIntoView({ block: "nearest" });
  }
}

/** What stands in place of rows: why there are none, and what to do. */
export function emptyNode(title, detail, ...actions) {
  return el("div", { class: "empty" }, el("h2", {}, title), detail && el("p", { class: "detail" }, detail), ...actions);
}
