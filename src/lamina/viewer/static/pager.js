// Below the table: which rows these are, and the way to others.

import { button, byId, el, fill } from "./dom.js";
import { count, spent } from "./format.js";
import { change, PAGE, state } from "./state.js";

/**
 * Draws it.
 * @param {{rows: any[], num_rows_total: number, spent: number}} page
 * @param {number} last  the last page's number
 * @param {(by: number) => void} turn
 */
export function drawPager(page, last, turn) {
  const pager = byId("pager");
  pager.hidden = false;
  const from = (state.page - 1) * PAGE;
  const number = el("input", { type: "number", min: 1, max: last, value: state.page, "aria-label": "Page" });
  const jump = () => change({ page: Math.min(last, Math.max(1, Math.trunc(Number(number.value)) || 1)), row: null });
  number.addEventListener("change", jump);
  fill(
    pager,
    button("‹", () => turn(-1), { class: "square", "aria-label": "Page before", disabled: state.page <= 1 }),
    button("›", () => turn(1), { class: "square", "aria-label": "Next page", disabled: state.page >= last }),
    el(
      "span",
      { class: "range" },
      page.rows.length ? `${count(from + 1)}–${count(from + page.rows.length)} of ${count(page.num_rows_total)}` : "",
    ),
    el("label", {}, "Page ", number),
    el("span", {}, `of ${count(last)}`),
    el("span", { class: "spent" }, spent(page.spent)),
  );
}
