// The head of a column: name and order, type, share of nulls, and a figure whose bars filter when clicked.

import { between, equals, isNull, quoted } from "./clauses.js";
import { button, el, fill, roving } from "./dom.js";
import { count, percent, plural, short, typeName } from "./format.js";

const SHOWN_CLASSES = 3;
const SPLIT_OF = { list: ".len()", string_text: ".length()" }; // what the histogram of such a column measures

/**
 * A head.
 * @param {{name: string, type: any}} column
 * @param {{column: string, descending: boolean}|null} order
 * @param {{sort: (name: string) => void, filter: (clause: string) => void}} actions
 */
export function headCell(column, order, actions) {
  const sorted = order?.column === column.name;
  const arrow = sorted ? (order.descending ? "↓" : "↑") : "";
  const sort = button(
    [el("span", { dir: "auto" }, column.name), el("span", { class: "sort-arrow", "aria-hidden": "true" }, arrow)],
    () => actions.sort(column.name),
    {
      class: "sort",
      title: `Sort by ${column.name}`,
    },
  );
  const type = button(typeName(column.type), () => actions.describe(column), {
    class: "type",
    title: `All about ${column.name}`,
    "aria-haspopup": "dialog",
  });
  const head = el(
    "div",
    { class: "head" },
    el("div", { class: "head-line" }, sort, type, el("span", { class: "null-share" })),
    el("div", { class: "figure waiting" }),
  );
  const direction = sorted ? (order.descending ? "descending" : "ascending") : null;
  return el("th", { scope: "col", "aria-sort": direction, "data-column": column.name }, head);
}

/** Puts a column's statistics into its head; without any the place stays empty. */
export function showStatistics(cell, column, found, actions) {
  const figure = cell.querySelector(".figure");
  figure.classList.remove("waiting");
  if (!found) return fill(figure);
  const numbers = found.column_statistics ?? {};
  if (numbers.nan_count > 0) fill(cell.querySelector(".null-share"), nullShare(column, numbers, actions));
  return fill(figure, ...figureNodes(column, found, actions));
}

/** The bars of a column; none where there is nothing to draw. */
export function figureNodes(column, found, actions, most = SHOWN_CLASSES) {
  const numbers = found.column_statistics ?? {};
  if (numbers.frequencies) return classBars(column, found.column_type, numbers, actions, most);
  if (numbers.histogram) return histogram(column, found.column_type, numbers, actions);
  return [el("p", { class: "caption" }, numbers.nan_proportion === 1 ? "only nulls" : "")];
}

function nullShare(column, numbers, actions) {
  const text = `${percent(numbers.nan_proportion)} null`;
  return button(text, () => actions.filter(isNull(column.name, column.type)), {
    class: "nulls",
    title: `${plural(numbers.nan_count, "null")}: show these rows`,
  });
}

function histogram(column, type, numbers, actions) {
  const { hist, bin_edges: edges } = numbers.histogram;
  const highest = Math.max(1, ...hist);
  const all = hist.reduce((sum, height) => sum + height, 0) || 1;
  const unit = { string_text: " characters", list: " items" }[type] ?? "";
  const caption = el("div", { class: "caption", "aria-hidden": "true" });
  const rest = () =>
    fill(
      caption,
      el("span", {}, short(numbers.min ?? edges[0])),
      el("span", {}, `${short(numbers.max ?? edges.at(-1))}${unit}`),
    );
  const bars = hist.map((height, place) => {
    const [low, high] = [edges[place], edges[place + 1] ?? edges[place]];
    const last = place === hist.length - 1;
    const said = `${short(low)} – ${short(high)}: ${count(height)} (${percent(height / all)})`;
    const clause = between(column.name, SPLIT_OF[type] ?? "", low, high, last);
    const bar = button(
      el("i", { style: { height: height ? `max(2px, ${(100 * height) / highest}%)` : "0" } }),
      () => actions.filter(clause),
      {
        "aria-label": `${said}. Filter ${column.name}`,
      },
    );
    const tell = () => fill(caption, el("span", {}, said));
    for (const event of ["mouseenter", "focus"]) bar.addEventListener(event, tell);
    for (const event of ["mouseleave", "blur"]) bar.addEventListener(event, rest);
    return bar;
  });
  rest();
  const clickable = !["image", "audio", "video"].includes(type);
  if (!clickable) for (const bar of bars) bar.disabled = true;
  const group = el("div", { class: "bars", role: "group", "aria-label": `Distribution of ${column.name}` }, ...bars);
  roving(group, bars);
  return [group, caption];
}

/** The condition that one class, text or truth value stands for. */
function classClause(column, type, label) {
  if (type === "class_label") return equals(column.name, column.type.names.indexOf(label));
  if (type === "bool") return `${quoted(column.name)}=${label.toLowerCase()}`;
  return equals(column.name, label);
}

function classBars(column, type, numbers, actions, atMost) {
  const ranked = Object.entries(numbers.frequencies).sort((one, other) => other[1] - one[1]);
  if (numbers.no_label_count > 0 && type === "class_label") ranked.push(["(no label)", numbers.no_label_count]);
  const all = ranked.reduce((sum, entry) => sum + entry[1], 0) || 1;
  const most = Math.max(1, ...ranked.map((entry) => entry[1]));
  const bar = ([label, size]) => {
    const clause = label === "(no label)" ? equals(column.name, -1) : classClause(column, type, label);
    const [name, share] = [label === "" ? "(empty)" : label, percent(size / all)];
    return button(
      [
        el("i", { style: { width: `${(100 * size) / most}%` } }),
        el("span", { dir: "auto" }, name.slice(0, 200)),
        " ",
        el("span", {}, share),
      ],
      () => actions.filter(clause),
      {
        title: `${label}: ${plural(size, "row")}`,
        "aria-label": `${name} ${share}: ${plural(size, "row")}. Filter ${column.name}`,
      },
    );
  };
  const few = ranked.length <= atMost ? ranked : ranked.slice(0, atMost - 1);
  const bars = few.map(bar);
  if (few.length < ranked.length) {
    const more = `${count(ranked.length - few.length)} more values …`;
    bars.push(button(more, () => actions.describe(column), { class: "more", "aria-haspopup": "dialog" }));
  }
  const group = el("div", { class: "classes", role: "group", "aria-label": `Values of ${column.name}` }, ...bars);
  roving(group, bars);
  return [group];
}
