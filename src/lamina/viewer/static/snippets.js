// The rows at hand, opened elsewhere: lines for `datasets`, pandas and DuckDB that run as they are.

import { kindOf } from "./format.js";
import { orderOf, whereOf } from "./state.js";

/** A text as a Python literal; JSON's escapes are Python's too. */
function py(text) {
  return JSON.stringify(text);
}

function pyList(texts) {
  return texts.length === 1 ? py(texts[0]) : `[\n${texts.map((text) => `    ${py(text)},\n`).join("")}]`;
}

const COMPARISON =
  /^"((?:[^"]|"")+)"(\.(?:length|len)\(\))?(=|<>|>=|<=|>|<)(-?[\d.]+(?:e[+-]?\d+)?|true|false|'(?:[^']|'')*')$/i;
const NULLNESS = /^"((?:[^"]|"")+)" is (not )?null$/;
const CONTAINS = /^"((?:[^"]|"")+)" ilike '%((?:[^'%_\\]|'')*)%'$/;

/** Conditions joined by `and`, apart; quoted parts are left whole. */
function conditions(filters) {
  return filters
    .flatMap((clause) => clause.match(/(?:"(?:[^"]|"")*"|'(?:[^']|'')*'|(?! and )[^])+/g) ?? [])
    .map((part) => part.trim().replace(/^and /, ""));
}

function value(literal) {
  if (/^true$/i.test(literal)) return "True";
  if (/^false$/i.test(literal)) return "False";
  return literal.startsWith("'") ? py(literal.slice(1, -1).replaceAll("''", "'")) : literal;
}

/** A condition as Python over `row` or over `df`; null where only SQL can say it. */
function pythonic(part, features, frame) {
  const nullness = NULLNESS.exec(part);
  const contains = CONTAINS.exec(part);
  const comparison = COMPARISON.exec(part);
  const name = (nullness ?? contains ?? comparison)?.[1].replaceAll('""', '"');
  if (name === undefined || kindOf(features.find((feature) => feature.name === name)?.type) === "time") return null;
  const cell = `${frame ? "df" : "row"}[${py(name)}]`;
  if (nullness)
    return frame ? `${cell}.${nullness[2] ? "notna" : "isna"}()` : `${cell} is ${nullness[2] ? "not " : ""}None`;
  if (contains) {
    const word = contains[2].replaceAll("''", "'");
    return frame
      ? `${cell}.str.contains(${py(word)}, case=False, regex=False, na=False)`
      : `${py(word.toLowerCase())} in (${cell} or "").lower()`;
  }
  const operator = { "=": "==", "<>": "!=" }[comparison[3]] ?? comparison[3];
  const measured = frame ? `${cell}${comparison[2] ? ".str.len()" : ""}` : comparison[2] ? `len(${cell})` : cell;
  const test = `${measured} ${operator} ${value(comparison[4])}`;
  if (operator === "==" && !comparison[2]) return frame ? `(${test})` : test;
  return frame ? `(${test}) & ${cell}.notna()` : `${cell} is not None and ${test}`;
}

/** Every condition as Python, or null where one of them needs SQL. */
function allPythonic(view, frame) {
  const parts = conditions(view.filters).map((part) => pythonic(part, view.features, frame));
  return parts.includes(null) ? null : parts;
}

function sqlTail(view) {
  const where = whereOf(view.filters);
  return (where ? `\nWHERE ${where}` : "") + (view.orderby ? `\nORDER BY ${view.orderby}` : "");
}

function quotedSql(sql) {
  return `"""\n${sql.replaceAll("\\", "\\\\").replaceAll('"""', '\\"\\"\\"')}\n"""`;
}

/** @typedef {{kind: string, name: string, root: string, parted: boolean, config: string, only: boolean, split: string, format: string, files: string[], filters: string[], orderby: string, features: any[]}} View */

/** Lines for the `datasets` library. @param {View} view */
export function datasetsLines(view) {
  const lines = [opened(view)];
  const parts = allPythonic(view, false);
  const order = orderOf(view.orderby);
  if (parts === null) {
    return [
      `import duckdb\n${lines[0]}`,
      'table = rows.with_format("arrow")[:]',
      `rows = duckdb.sql(${quotedSql(`SELECT * FROM "table"${sqlTail(view)}`)}).to_arrow_table()`,
    ].join("\n");
  }
  if (parts.length) lines.push(`rows = rows.filter(lambda row: ${parts.join(" and ")})`);
  if (order) lines.push(`rows = rows.sort(${py(order.column)}${order.descending ? ", reverse=True" : ""})`);
  return lines.join("\n");
}

function opened(view) {
  if (view.kind === "saved")
    return `from datasets import load_from_disk\n\nrows = load_from_disk(${py(view.root)})${view.parted ? `[${py(view.split)}]` : ""}`;
  const head = "from datasets import load_dataset\n\n";
  if (view.kind === "hub")
    return `${head}rows = load_dataset(${py(view.name)}${view.only ? "" : `, ${py(view.config)}`}, split=${py(view.split)})`;
  const builder = { csv: "csv", json: "json", text: "text", arrow: "arrow" }[view.format] ?? "parquet";
  const separator = builder === "csv" && view.files.every((file) => /\.tsv(\.\w+)?$/.test(file)) ? ', sep="\\t"' : "";
  return `${head}rows = load_dataset(${py(builder)}, data_files=${pyList(view.files)}${separator}, split="train")`;
}

/** Lines for pandas. @param {View} view */
export function pandasLines(view) {
  const parts = allPythonic(view, true);
  const order = orderOf(view.orderby);
  const lines = [...(parts === null ? ["import duckdb"] : []), frame(view)];
  if (parts === null)
    return [...lines, `df = duckdb.sql(${quotedSql(`SELECT * FROM df${sqlTail(view)}`)}).df()`].join("\n");
  if (parts.length) lines.push(`df = df[${parts.join(" & ")}]`);
  if (order) lines.push(`df = df.sort_values(${py(order.column)}${order.descending ? ", ascending=False" : ""})`);
  return lines.join("\n");
}

function frame(view) {
  const all = (read) =>
    view.files.length === 1
      ? `df = ${read(py(view.files[0]))}`
      : `files = ${pyList(view.files)}\ndf = pd.concat([${read("file")} for file in files], ignore_index=True)`;
  const lined = /\.(jsonl|ndjson)(\.\w+)?$/.test(view.files[0]);
  const tabbed = /\.tsv(\.\w+)?$/.test(view.files[0]);
  const readers = {
    csv: (file) => `pd.read_csv(${file}${tabbed ? ', sep="\\t"' : ""})`,
    json: (file) => `pd.read_json(${file}${lined ? ", lines=True" : ""})`,
    text: (file) => `pd.DataFrame({"text": open(${file}, encoding="utf-8").read().splitlines()})`,
    arrow: (file) => `pa.ipc.open_stream(${file}).read_pandas()`,
  };
  const imports = view.format === "arrow" ? "import pandas as pd\nimport pyarrow as pa" : "import pandas as pd";
  return `${imports}\n\n${all(readers[view.format] ?? ((file) => `pd.read_parquet(${file})`))}`;
}

/** Lines for DuckDB. @param {View} view */
export function duckdbLines(view) {
  const files = view.files.map((file) => `'${file.replaceAll("'", "''")}'`);
  const list = files.length === 1 ? files[0] : `[\n  ${files.join(",\n  ")}\n]`;
  if (view.format === "arrow") {
    const read =
      view.files.length === 1
        ? `pa.ipc.open_stream(${py(view.files[0])}).read_all()`
        : `pa.concat_tables(pa.ipc.open_stream(file).read_all() for file in ${pyList(view.files)})`;
    return `import duckdb\nimport pyarrow as pa\n\ndata = ${read}\nrows = duckdb.sql(${quotedSql(`SELECT * FROM data${sqlTail(view)}`)})`;
  }
  const readers = {
    csv: `read_csv(${list})`,
    json: `read_json(${list})`,
    text: `read_csv(${list}, columns = {'text': 'VARCHAR'}, header = false, delim = '\\0', quote = '', escape = '')`,
  };
  const source = readers[view.format] ?? `read_parquet(${list})`;
  return `import duckdb\n\nrows = duckdb.sql(${quotedSql(`SELECT * FROM ${source}${sqlTail(view)}`)})`;
}
