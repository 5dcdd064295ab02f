// What is being looked at, kept in the address: opening the address again shows the same.

/**
 * @typedef {object} State
 * @property {string} config
 * @property {string} split
 * @property {string} view  "data", "sql" or "tokens"
 * @property {string} q  words searched for
 * @property {string[]} filters  conditions, all of which must hold
 * @property {string} orderby  as the API takes it: `"column"` or `"column" desc`
 * @property {number} page  from 1
 * @property {number|null} row  global index of the open row
 * @property {string[]} hidden  columns not shown
 * @property {string} sql
 * @property {string} column  whose token lengths are counted
 * @property {string} tokenizer
 * @property {number|null} limit  tokens a model reads
 */

/** Rows of a page. */
export const PAGE = 100;

const KEYS = {
  config: "config",
  split: "split",
  view: "view",
  q: "q",
  orderby: "orderby",
  sql: "sql",
  column: "column",
  tokenizer: "tokenizer",
};

/** Reads a query string. @returns {State} */
export function readState(search) {
  const params = new URLSearchParams(search);
  const text = (name) => params.get(name) ?? "";
  const whole = (name) => (/^\d{1,15}$/.test(text(name)) ? Number(text(name)) : null);
  return {
    config: text("config"),
    split: text("split"),
    view: ["sql", "tokens"].includes(text("view")) ? text("view") : "data",
    q: text("q"),
    filters: params.getAll("where").filter(Boolean),
    orderby: text("orderby"),
    page: Math.max(1, whole("p") ?? 1),
    row: whole("row"),
    hidden: params.getAll("hide"),
    sql: text("sql"),
    column: text("column"),
    tokenizer: text("tokenizer"),
    limit: whole("limit"),
  };
}

/** The query string that `readState` reads back; defaults are left out. @param {State} state */
export function writeState(state) {
  const params = new URLSearchParams();
  for (const [name, key] of Object.entries(KEYS)) {
    if (state[name] && !(name === "view" && state.view === "data")) params.set(key, state[name]);
  }
  for (const clause of state.filters) params.append("where", clause);
  for (const column of state.hidden) params.append("hide", column);
  if (state.page > 1) params.set("p", String(state.page));
  if (state.row !== null) params.set("row", String(state.row));
  if (state.limit !== null) params.set("limit", String(state.limit));
  return params.toString();
}

export const state = readState(location.search);

/** @type {((before: State) => void)[]} */
const listeners = [];

/** Calls `listener(before)` after every change, the browser's back and forward included. */
export function onChange(listener) {
  listeners.push(listener);
}

function announce(before) {
  for (const listener of listeners) listener(before);
}

/**
 * Changes what is looked at. `replace` keeps the change out of the browser's history; `silent` tells nobody.
 * @param {Partial<State>} changes
 */
export function change(changes, { replace = false, silent = false } = {}) {
  const before = { ...state };
  Object.assign(state, changes);
  const text = writeState(state);
  const address = text ? `?${text}` : location.pathname;
  if (text !== writeState(before)) history[replace ? "replaceState" : "pushState"](null, "", address);
  if (!silent) announce(before);
}

addEventListener("popstate", () => {
  const before = { ...state };
  Object.assign(state, readState(location.search));
  announce(before);
});

/** Where every condition holds, as the API's `where`; one with `or` in it stands in parentheses. */
export function whereOf(filters) {
  return filters.map((clause) => (filters.length > 1 && /\bor\b/i.test(clause) ? `(${clause})` : clause)).join(" and ");
}

/** The column and direction of an `orderby`. */
export function orderOf(orderby) {
  const found = /^"((?:[^"]|"")+)"(?:\s+(asc|desc))?$/i.exec(orderby.trim());
  return found ? { column: found[1].replaceAll('""', '"'), descending: found[2]?.toLowerCase() === "desc" } : null;
}
