// The dialog of one column: its statistics in numbers, all its classes, its type in full.

import { isNull } from "./clauses.js";
import { figureNodes } from "./columns.js";
import { button, el, openDialog } from "./dom.js";
import { count, percent, short, typeName } from "./format.js";

const NUMBERS = [
  ["min", "Least"],
  ["max", "Most"],
  ["mean", "Mean"],
  ["median", "Median"],
  ["std", "Deviation"],
];
const MEASURED = { string_text: "Lengths in characters", list: "Lengths in items" };

/**
 * Opens it.
 * @param {{name: string, type: any}} column
 * @param {any} found  the column's statistics, undefined while there are none
 * @param {{filter: (clause: string) => void, sort: (name: string) => void}} actions
 */
export function openColumnDialog(column, found, actions) {
  const numbers = found?.column_statistics ?? {};
  const closing = (act) => (value) => {
    dialog.close();
    act(value);
  };
  const own = { ...actions, filter: closing(actions.filter) };
  const boxes = NUMBERS.filter(([key]) => numbers[key] !== null && numbers[key] !== undefined).map(([key, name]) =>
    box(name, short(numbers[key])),
  );
  if (numbers.n_unique !== undefined) boxes.push(box("Different", count(numbers.n_unique)));
  if (numbers.nan_count !== undefined)
    boxes.push(box("Null", `${count(numbers.nan_count)} (${percent(numbers.nan_proportion)})`));
  const nested = column.type?._type !== "Value" && column.type?._type !== "ClassLabel";
  const dialog = openDialog(
    column.name,
    {},
    el(
      "p",
      { class: "hint" },
      typeName(column.type),
      MEASURED[found?.column_type] && `. ${MEASURED[found.column_type]}:`,
    ),
    boxes.length > 0 && el("dl", { class: "figures" }, ...boxes),
    found
      ? el("div", { class: "about" }, ...figureNodes(column, found, own, Infinity))
      : el("p", { class: "hint" }, "There are no statistics of this column, or none yet."),
    nested && el("pre", { class: "code", tabindex: "0" }, JSON.stringify(column.type, null, 2)),
    el(
      "div",
      { class: "form-end" },
      numbers.nan_count > 0 && button("Rows where it is null", () => own.filter(isNull(column.name, column.type))),
      button("Sort by it", () => closing(actions.sort)(column.name)),
    ),
  );
}

function box(name, value) {
  return el("div", {}, el("dt", {}, name), el("dd", {}, value));
}
