// Conditions on the rows: the chips that show them, and the dialog that makes them.

import { compose, NULL_OPERATORS, OPERATORS, readable } from "./clauses.js";
import { button, byId, el, fill, openDialog } from "./dom.js";
import { kindOf, typeName } from "./format.js";
import { change, orderOf, state } from "./state.js";

/** Adds a condition; the same one twice is once. */
export function addFilter(clause) {
  if (!state.filters.includes(clause)) change({ filters: [...state.filters, clause], page: 1, row: null });
}

/** Sorts by a column: up, then down, then as the files have it. */
export function sortBy(name) {
  const order = orderOf(state.orderby);
  const column = `"${name.replaceAll('"', '""')}"`;
  const again = order?.column === name;
  const next = !again ? column : order.descending ? "" : `${column} desc`;
  change({ orderby: next, page: 1, row: null });
}

function chip(text, title, remove) {
  const close = button("✕", remove, { "aria-label": `Remove: ${text}` });
  return el("div", { class: "chip", role: "listitem", title }, el("span", { dir: "auto" }, text), close);
}

/** Draws the chips of the conditions, the order and hidden columns. */
export function drawChips(features) {
  const chips = state.filters.map((clause) =>
    chip(readable(clause, features), clause, () =>
      change({ filters: state.filters.filter((other) => other !== clause), page: 1, row: null }),
    ),
  );
  const order = orderOf(state.orderby);
  if (order)
    chips.push(
      chip(`${order.descending ? "↓" : "↑"} ${order.column}`, "The order of the rows", () =>
        change({ orderby: "", page: 1, row: null }),
      ),
    );
  fill(byId("chips"), ...chips);
  byId("chips").hidden = chips.length === 0; // an empty list is an error to screen readers
}

/** The dialog that adds a condition. */
export function openFilterDialog(features, first = "") {
  const column = el(
    "select",
    { id: "filter-column" },
    ...features.map((feature) => el("option", { value: feature.name }, `${feature.name}  (${typeName(feature.type)})`)),
  );
  if (first) column.value = first;
  const operator = el("select", { id: "filter-operator" });
  const place = el("div", {});
  const fault = el("p", { class: "fault", role: "alert" });
  const written = el("input", {
    id: "filter-written",
    type: "text",
    class: "mono",
    placeholder: '"stars" >= 4 and "text" ilike \'%film%\'',
    spellcheck: "false",
    autocomplete: "off",
  });
  const chosen = () => features.find((feature) => feature.name === column.value);

  const redrawValue = () => {
    const needed = !operator.value.startsWith("is ");
    fill(place, needed && valueInput(chosen()));
    place.parentElement.hidden = !needed;
  };
  const redraw = () => {
    const kinds = [...OPERATORS[kindOf(chosen()?.type)], ...NULL_OPERATORS];
    fill(operator, ...kinds.map(([value, text]) => el("option", { value }, text)));
    redrawValue();
  };
  const submit = (event) => {
    event.preventDefault();
    try {
      const text = written.value.trim();
      addFilter(
        text || compose(column.value, kindOf(chosen().type), operator.value, byId("filter-value")?.value ?? ""),
      );
      dialog.close();
    } catch (error) {
      fill(fault, error.message);
    }
  };
  const line = (label, control, id) => el("div", { class: "form-line" }, el("label", { for: id }, label), control);
  const form = el(
    "form",
    { on: { submit } },
    line("Column", column, "filter-column"),
    line("Condition", operator, "filter-operator"),
    line("Value", place, "filter-value"),
    el("p", { class: "or" }, "or write it"),
    line("Where", written, "filter-written"),
    fault,
    el("div", { class: "form-end" }, el("button", { type: "submit", class: "primary" }, "Add filter")),
  );
  column.addEventListener("change", redraw);
  operator.addEventListener("change", redrawValue);
  const dialog = openDialog("Add a filter", { class: "small" }, form);
  redraw();
  (byId("filter-value") ?? column).focus();
}

function valueInput(feature) {
  const kind = kindOf(feature?.type);
  if (kind === "class") {
    return el(
      "select",
      { id: "filter-value" },
      ...feature.type.names.map((name, place) => el("option", { value: place }, name)),
    );
  }
  if (kind === "bool") return el("select", { id: "filter-value" }, el("option", {}, "true"), el("option", {}, "false"));
  const numeric = kind === "number" || kind === "list";
  return el("input", {
    id: "filter-value",
    type: "text",
    inputmode: numeric ? "decimal" : null,
    placeholder: kind === "time" ? "2026-01-31 12:00:00" : null,
    autocomplete: "off",
    dir: "auto",
  });
}

/** The dialog that says which columns are shown. */
export function openColumnsDialog(features) {
  const boxes = features.map((feature) => {
    const box = el("input", { type: "checkbox", value: feature.name });
    box.checked = !state.hidden.includes(feature.name);
    return box;
  });
  const apply = () =>
    change({ hidden: boxes.filter((box) => !box.checked).map((box) => box.value) }, { replace: true });
  const list = el(
    "div",
    { class: "checks" },
    ...boxes.map((box) => el("label", {}, box, el("span", { dir: "auto" }, box.value))),
  );
  list.addEventListener("change", apply);
  const all = (checked) => () => {
    for (const box of boxes) box.checked = checked;
    apply();
  };
  openDialog(
    "Columns",
    {},
    el("p", { class: "form-end" }, button("Show all", all(true)), button("Hide all", all(false))),
    list,
  );
}
