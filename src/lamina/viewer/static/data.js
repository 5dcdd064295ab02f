// The view of rows: fetching a page, drawing it, and what happens when something in it is clicked.

import { get } from "./api.js";
import { openColumnDialog } from "./aboutcolumn.js";
import { showStatistics } from "./columns.js";
import { button, byId, el, fill } from "./dom.js";
import { hideDrawer, showRow } from "./drawer.js";
import { addFilter, drawChips, openColumnsDialog, openFilterDialog, sortBy } from "./filters.js";
import { count, percent, plural } from "./format.js";
import { termsOf } from "./marking.js";
import { change, orderOf, PAGE, state, whereOf } from "./state.js";
import { followStatistics } from "./statistics.js";
import { showNotices } from "./notices.js";
import { drawPager } from "./pager.js";
import { drawTable, emptyNode, selectRow } from "./table.js";

const CELL = 8000; // bytes of a cell on the page; an open row is fetched again for more

let page = null; // the last answer
let asked = ""; // what it answers
let statistics = { key: "", found: new Map(), state: "running", done: 0, total: 0 };
let waiting = new AbortController();
let counting = new AbortController();
let reading = new AbortController();
let allColumns = false;
let drawn = ""; // what the table on the page shows
let openNext = null; // "first" or "last": the row to open once the next page is here

const place = () => ({ config: state.config, split: state.split });
const grid = () => byId("grid");

/** The features of the split, once a page was read. */
export function features() {
  return page?.features ?? [];
}

/** The features of the split, fetched if they are not here. */
export async function waitForData() {
  if (!page || asked !== JSON.stringify(address())) await showData();
  return features();
}

function address() {
  const where = whereOf(state.filters);
  const path = state.q ? "search" : where || state.orderby ? "filter" : "rows";
  const params = { ...place(), offset: (state.page - 1) * PAGE, length: PAGE, cell: CELL };
  return { path, params: path === "rows" ? params : { ...params, query: state.q, where, orderby: state.orderby } };
}

/** Brings the view to what the state says; fetches only what is not here yet. */
export async function showData() {
  byId("search").value = state.q;
  drawChips(features());
  const wanted = address();
  const key = JSON.stringify(wanted);
  if (key === asked && page) return settle();
  waiting.abort();
  waiting = new AbortController();
  grid().classList.add("waiting");
  const began = performance.now();
  const patience = setTimeout(sayWaiting, 500);
  try {
    page = await get(wanted.path, wanted.params, waiting.signal);
  } catch (error) {
    if (error.name !== "AbortError") showFailure(error);
    return;
  } finally {
    clearTimeout(patience);
  }
  asked = key;
  page.spent = performance.now() - began;
  grid().scrollTop = 0;
  follow();
  settle();
}

function sayWaiting() {
  const [said, why] = state.q
    ? ["Searching …", "The first search of a split builds an index of its words."]
    : ["Reading …", ""];
  if (!grid().querySelector("table")) fill(grid(), emptyNode(said, why));
  fill(byId("summary"), said);
}

/** Draws what was fetched. */
function settle() {
  grid().classList.remove("waiting");
  showNotices("split", page.notices ?? []);
  drawChips(features());
  drawSummary();
  redraw();
  drawHeads();
  drawPager(page, pages(), turn);
  if (openNext && page.rows.length) {
    const item = openNext === "first" ? page.rows[0] : page.rows.at(-1);
    openNext = null;
    change({ row: item.row_idx }, { replace: true, silent: true });
  }
  syncRow();
}

/** Draws the table, unless it is there: opening a row leaves it as it is, and scrolled as it is. */
function redraw() {
  const looks = { order: orderOf(state.orderby), terms: termsOf(state.q), hidden: state.hidden, all: allColumns };
  const key = JSON.stringify([asked, looks]);
  if (key === drawn) return;
  drawn = key;
  const focused = document.activeElement?.closest("th[data-column]")?.dataset.column;
  const table = drawTable(grid(), page, { ...looks, actions });
  if (!page.rows.length) grid().append(nothing());
  for (const cell of focused === undefined ? [] : table.querySelectorAll("th[data-column]")) {
    if (cell.dataset.column === focused) cell.querySelector(".sort").focus({ preventScroll: true });
  }
}

const actions = {
  sort: sortBy,
  filter: addFilter,
  open: (row) => change({ row }),
  describe: (column) => openColumnDialog(column, statistics.found.get(column.name), actions),
  allColumns: () => {
    allColumns = true;
    settle();
  },
};

/** Opens or closes the drawer as the state says. */
export function syncRow() {
  reading.abort();
  if (state.row === null || state.view !== "data") {
    const closing = !byId("drawer").hidden;
    hideDrawer();
    if (closing) grid().querySelector("tr.selected th button")?.focus();
    selectRow(grid(), null);
    return;
  }
  reading = new AbortController();
  selectRow(grid(), state.row);
  const here = page?.rows.find((other) => other.row_idx === state.row);
  const item = here && !here.truncated_cells.length ? here : null;
  const close = () => change({ row: null });
  showRow(place(), state.row, {
    features: features(),
    item,
    terms: termsOf(state.q),
    step,
    close,
    signal: reading.signal,
  });
}

/** Goes to the row before or after the open one, over the edge of a page too. */
export function step(by) {
  const here = page?.rows.findIndex((item) => item.row_idx === state.row) ?? -1;
  const next = page?.rows[here + by];
  if (here >= 0 && next) return change({ row: next.row_idx }, { replace: true });
  const target = state.page + by;
  if (here < 0 || target < 1 || target > pages()) return undefined;
  openNext = by > 0 ? "first" : "last";
  return change({ page: target, row: null }, { replace: true });
}

function pages() {
  return Math.max(1, Math.ceil((page?.num_rows_total ?? 0) / PAGE));
}

export function turn(by) {
  const target = Math.min(pages(), Math.max(1, state.page + by));
  if (target !== state.page) change({ page: target, row: null });
}

function drawSummary() {
  const narrowed = state.q || state.filters.length;
  const all = statistics.num_examples;
  const share = narrowed && all ? ` of ${count(all)} (${percent(page.num_rows_total / all)})` : "";
  const text = narrowed
    ? `${count(page.num_rows_total)}${share} ${page.num_rows_total === 1 ? "row matches" : "rows match"}`
    : plural(page.num_rows_total, "row");
  if (byId("summary").textContent !== text) fill(byId("summary"), text); // filling it again would be read out again
}

/** Why there is no row, below the heads. */
function nothing() {
  const clear = button("Show all rows", () => change({ q: "", filters: [], page: 1, row: null }));
  const start = button("Go to the first page", () => change({ page: 1, row: null }));
  const total = page.num_rows_total;
  if (total)
    return emptyNode(`Page ${count(state.page)} is beyond the end`, `There are ${plural(total, "row")}.`, start);
  const how = state.q && "Search finds rows with any of the words, in any of their forms.";
  if (state.q || state.filters.length) return emptyNode("No row matches", how, clear);
  return emptyNode("This split is empty", "Its files hold no rows.");
}

function showFailure(error) {
  page = null;
  drawn = "";
  asked = "";
  showNotices("split", []);
  grid().classList.remove("waiting");
  fill(byId("summary"));
  byId("progress").hidden = true;
  byId("pager").hidden = true;
  const narrowed = state.q || state.filters.length || state.orderby;
  const again = button("Try again", () => showData());
  const clear =
    narrowed && button("Show all rows", () => change({ q: "", filters: [], orderby: "", page: 1, row: null }));
  const failed = emptyNode(
    narrowed ? "This could not be answered" : "These rows could not be read",
    error.message,
    again,
    " ",
    clear,
  );
  fill(grid(), failed);
}

/** Statistics of the split, asked for once. */
function follow() {
  const key = JSON.stringify(place());
  if (statistics.key === key) return;
  counting.abort();
  counting = new AbortController();
  statistics = { key, found: new Map(), state: "running", done: 0, total: 0 };
  const mine = statistics;
  const tell = (news) => {
    Object.assign(mine, news, {
      found: new Map((news.statistics ?? []).map((column) => [column.column_name, column])),
    });
    if (mine === statistics) drawHeads();
  };
  followStatistics(place(), counting.signal, tell).catch((error) => {
    if (error.name !== "AbortError")
      tell({ state: "failed", error: error.message, statistics: [...mine.found.values()] });
  });
}

function drawHeads() {
  const { found, state: stage, done, total, error } = statistics;
  for (const cell of grid().querySelectorAll("thead th[data-column]")) {
    const column = features().find((feature) => feature.name === cell.dataset.column);
    const known = found.get(cell.dataset.column);
    const drawn = !cell.querySelector(".figure").classList.contains("waiting");
    if (column && !drawn && (known || stage !== "running")) showStatistics(cell, column, known, actions);
  }
  const bar = byId("progress");
  bar.hidden = stage === "done" || !page;
  if (stage === "failed") fill(bar, `No statistics: ${error ?? "they failed"}`);
  else if (stage === "running")
    fill(
      bar,
      el("progress", { value: done, max: total || 1, "aria-label": "Statistics" }),
      total ? `Statistics: ${count(done)} of ${plural(total, "column")}` : "Statistics …",
    );
  if (page) drawSummary();
}

/** Connects the bar above the table. */
export function connectData() {
  byId("search-form").addEventListener("submit", (event) => {
    event.preventDefault();
    change({ q: byId("search").value.trim(), page: 1, row: null });
  });
  byId("search").addEventListener(
    "search",
    () => byId("search").value === "" && state.q && change({ q: "", page: 1, row: null }),
  );
  byId("filter-button").addEventListener("click", () => openFilterDialog(features()));
  byId("columns-button").addEventListener("click", () => openColumnsDialog(features()));
}
