// The SQL console: one read-only query at a time, cancelled when its reader leaves.

import { get, post, query } from "./api.js";
import { quoted } from "./clauses.js";
import { button, byId, el, fill } from "./dom.js";
import { count, plural, spent } from "./format.js";
import { change, state } from "./state.js";
import { valueNodes } from "./values.js";

const SHOWN = 500; // rows drawn at once

let tables = null;
let running = null; // AbortController of the query under way
let parts = null; // the nodes of the console

const place = () => ({ config: state.config, split: state.split });

/** Brings the console to what the state says. */
export async function showConsole() {
  if (!parts) build();
  if (state.sql && parts.editor.value !== state.sql) parts.editor.value = state.sql;
  const key = JSON.stringify(place());
  if (tables?.key === key) return;
  try {
    tables = { ...(await get("view/tables", place())), key };
  } catch (error) {
    fill(parts.schema, el("p", { class: "fault" }, error.message));
    return;
  }
  drawSchema();
  if (!parts.editor.value) parts.editor.value = examples()[0][1];
}

function build() {
  const editor = el("textarea", {
    id: "sql",
    "aria-label": "SQL query",
    spellcheck: "false",
    autocapitalize: "off",
    wrap: "soft",
  });
  const run = button("Run", runQuery, { class: "primary", title: "Ctrl+Enter or ⌘+Enter" });
  const cancel = button("Cancel", stopQuery, { disabled: true });
  const csv = button("Download CSV", () => download("csv"));
  const parquet = button("Download Parquet", () => download("parquet"));
  const example = el("select", { "aria-label": "Example queries" });
  const status = el("p", { class: "summary", role: "status", "aria-live": "polite" });
  const results = el("div", { class: "results", tabindex: "0", role: "region", "aria-label": "Answer" });
  const schema = el("div", { class: "schema", tabindex: "0", role: "region", "aria-label": "Tables and columns" });
  parts = { editor, run, cancel, example, status, results, schema };
  editor.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      runQuery();
    } else if (event.key === "Escape" && running) stopQuery();
  });
  example.addEventListener("change", () => {
    editor.value = examples()[Number(example.value)]?.[1] ?? editor.value;
    example.value = "";
    editor.focus();
  });
  const actions = el("div", { class: "actions" }, run, cancel, example, csv, parquet, status);
  fill(
    byId("view-sql"),
    el(
      "div",
      { class: "console" },
      schema,
      el("div", { class: "workbench" }, el("div", { class: "editor" }, editor, actions), results),
    ),
  );
  fill(
    results,
    el(
      "div",
      { class: "empty" },
      el("p", {}, "One SELECT in DuckDB's SQL. It reads the files of this data set and nothing else."),
    ),
  );
}

/** The split that is open; the server names it first. */
function here() {
  return tables?.tables[0];
}

/** Queries that make sense for the columns at hand. */
function examples() {
  const table = here();
  if (!table) return [["Everything", "SELECT 1"]];
  const from = quotedTable(table.name);
  const text = table.columns.find((column) => /^(VARCHAR|STRING)/.test(column.type));
  const few =
    table.columns.find((column) => column.names) ??
    table.columns.find((column) => /^(BOOLEAN|TINYINT|ENUM)/.test(column.type));
  const found = [
    ["First rows", `SELECT *\nFROM ${from}\nLIMIT 100`],
    ["Random rows", `SELECT *\nFROM ${from}\nUSING SAMPLE 20`],
    ["Summary of every column", `SUMMARIZE ${from}`],
  ];
  if (few)
    found.push([
      `Rows per ${few.name}`,
      `SELECT ${quoted(few.name)}, count(*) AS rows\nFROM ${from}\nGROUP BY ALL\nORDER BY rows DESC`,
    ]);
  if (text) {
    const name = quoted(text.name);
    found.push([
      `Longest ${text.name}`,
      `SELECT length(${name}) AS characters, ${name}\nFROM ${from}\nORDER BY characters DESC\nLIMIT 20`,
    ]);
    found.push([
      `Duplicates of ${text.name}`,
      `SELECT ${name}, count(*) AS times\nFROM ${from}\nGROUP BY ALL\nHAVING times > 1\nORDER BY times DESC\nLIMIT 100`,
    ]);
  }
  return found;
}

function quotedTable(name) {
  return /^[a-z_][a-z0-9_]*$/.test(name) ? name : quoted(name);
}

function drawSchema() {
  fill(
    parts.example,
    el("option", { value: "" }, "Examples …"),
    ...examples().map(([name], index) => el("option", { value: index }, name)),
  );
  const insert = (text) => () => {
    const { editor } = parts;
    editor.setRangeText(text, editor.selectionStart, editor.selectionEnd, "end");
    editor.focus();
  };
  const blocks = tables.tables.map((table) => [
    el("h3", { dir: "auto" }, quotedTable(table.name)),
    el("p", { class: "type" }, table.error ?? `${table.split}, ${plural(table.num_rows, "row")}`),
    ...table.columns.map((column) =>
      button(
        [
          el("span", { dir: "auto" }, column.name),
          el(
            "span",
            { class: "type" },
            column.names ? "class" : column.type.replace(/^STRUCT\(.*\)/s, "STRUCT").toLowerCase(),
          ),
        ],
        insert(quoted(column.name)),
        { title: `Insert ${column.name}` },
      ),
    ),
  ]);
  fill(parts.schema, el("h2", {}, "Tables"), blocks);
}

/** Stops the query under way: the server interrupts it when the connection closes. */
export function stopQuery() {
  running?.abort();
}

async function runQuery() {
  const sql = parts.editor.value.trim();
  if (!sql || running) return;
  change({ sql }, { silent: true });
  running = new AbortController();
  parts.run.disabled = true;
  parts.cancel.disabled = false;
  const began = performance.now();
  const clock = setInterval(() => fill(parts.status, `Running, ${spent(performance.now() - began)}`), 200);
  try {
    const found = await post("view/sql", { sql, ...place() }, running.signal);
    drawResult(found);
    const more = found.truncated ? `, cut at the first ${count(found.rows.length)}: the downloads hold all` : "";
    fill(parts.status, `${plural(found.rows.length, "row")} in ${spent(performance.now() - began)}${more}`);
  } catch (error) {
    const stopped = error.name === "AbortError";
    fill(parts.status, stopped ? "Cancelled" : "");
    if (!stopped) fill(parts.results, el("p", { class: "fault", role: "alert" }, error.message));
  } finally {
    clearInterval(clock);
    running = null;
    parts.run.disabled = false;
    parts.cancel.disabled = true;
  }
}

function drawResult(found) {
  const heads = found.columns.map((column) =>
    el(
      "th",
      { scope: "col" },
      el("strong", { dir: "auto" }, column.name),
      " ",
      el("span", { class: "type" }, column.type.toLowerCase()),
    ),
  );
  const body = el("tbody", {});
  const numeric = found.columns.map(
    (column) => /INT|DOUBLE|FLOAT|DECIMAL/.test(column.type) && !column.type.endsWith("]"),
  );
  const add = (from) => {
    for (const [index, row] of found.rows.slice(from, from + SHOWN).entries()) {
      const cells = row.map((value, at) =>
        el(
          "td",
          { class: numeric[at] ? "numeric" : null },
          el("div", { class: "cell", dir: numeric[at] ? null : "auto" }, ...valueNodes(value, null, {})),
        ),
      );
      body.append(
        el(
          "tr",
          {},
          el("th", { scope: "row", class: "number" }, el("span", { class: "line" }, count(from + index + 1))),
          ...cells,
        ),
      );
    }
    more.hidden = from + SHOWN >= found.rows.length;
    more.onclick = () => add(from + SHOWN);
  };
  const more = button("Show more rows", () => {});
  const head = el(
    "thead",
    {},
    el("tr", {}, el("th", { scope: "col", class: "number" }, el("span", { class: "unseen" }, "Line")), ...heads),
  );
  const table = el("table", { class: "rows" }, el("caption", { class: "unseen" }, "Answer of the query"), head, body);
  const none = found.rows.length ? null : el("div", { class: "empty" }, el("p", {}, "The query found no rows."));
  add(0);
  fill(parts.results, table, none, more);
  parts.results.scrollTop = 0;
}

function download(format) {
  const sql = parts.editor.value.trim();
  if (!sql) return;
  const link = el("a", {
    href: `view/sql/download?${query({ sql, format, ...place() })}`,
    download: `query.${format}`,
  });
  link.click();
}
