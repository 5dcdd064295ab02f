// Conditions as the API's `where` takes them, made from clicks; and how they read on a chip.

/** A column's name, quoted. */
export function quoted(name) {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A value as a literal. */
export function literal(value) {
  if (typeof value === "number" || typeof value === "bigint" || typeof value === "boolean") return String(value);
  return `'${String(value).replaceAll("'", "''")}'`;
}

export function equals(name, value) {
  return `${quoted(name)}=${literal(value)}`;
}

/** Rows where a column has no value; statistics count a float's NaN among them. */
export function isNull(name, type) {
  const column = quoted(name);
  return /^float/.test(type?.dtype ?? "") ? `${column} is null or ${column}.isnan()` : `${column} is null`;
}

/** From `low` up to `high`, which the last bar includes. `measure` is "" or a call such as ".length()". */
export function between(name, measure, low, high, closed) {
  const column = quoted(name) + measure;
  if (low === high) return `${column}=${literal(low)}`;
  return `${column}>=${literal(low)} and ${column}${closed ? "<=" : "<"}${literal(high)}`;
}

/** Operators offered for a kind of column: [as written, as read]. */
export const OPERATORS = {
  number: [
    ["=", "="],
    ["<>", "≠"],
    [">", ">"],
    [">=", "≥"],
    ["<", "<"],
    ["<=", "≤"],
  ],
  text: [
    ["=", "is"],
    ["<>", "is not"],
    ["contains", "contains"],
    ["starts", "starts with"],
    ["ends", "ends with"],
    ["like", "like"],
  ],
  class: [
    ["=", "is"],
    ["<>", "is not"],
  ],
  bool: [["=", "is"]],
  time: [
    ["=", "at"],
    [">=", "from"],
    ["<", "before"],
    ["<=", "until"],
  ],
  list: [
    ["len>=", "has at least"],
    ["len<=", "has at most"],
  ],
  other: [],
};
export const NULL_OPERATORS = [
  ["is null", "is empty (null)"],
  ["is not null", "is not null"],
];

/** Percent and underscore have a meaning in LIKE; someone who looks for them means the characters. */
function plainLike(text) {
  return /[%_\\]/.test(text) ? null : text;
}

/** The condition for what was chosen in the form; throws an Error in plain words. */
export function compose(name, kind, operator, value) {
  const column = quoted(name);
  if (operator.startsWith("is ")) return `${column} ${operator}`;
  if (operator.startsWith("len")) return `${column}.len()${operator.slice(3)}${numeral(value)}`;
  const patterns = { contains: ["%", "%"], starts: ["", "%"], ends: ["%", ""] };
  if (operator in patterns) {
    const plain = plainLike(value);
    if (plain === null) throw new Error('Choose "like" to search for %, _ or \\: they are signs of a pattern.');
    return `${column} ilike ${literal(patterns[operator][0] + plain + patterns[operator][1])}`;
  }
  if (operator === "like") return `${column} like ${literal(value)}`;
  if (kind === "number" || kind === "class") return `${column}${operator}${numeral(value)}`;
  if (kind === "bool") return `${column}${operator}${value === "true"}`;
  return `${column}${operator}${literal(value)}`;
}

function numeral(text) {
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text.trim()))
    throw new Error(`${text || "nothing"} is not a number`);
  return text.trim().replace(/^\+/, "");
}

const NAME = '"((?:[^"]|"")+)"';
const RANGE = new RegExp(
  `^${NAME}(\\.\\w+\\(\\))?>=(\\S+|'[^']*') and "(?:[^"]|"")+"(?:\\.\\w+\\(\\))?<=?(\\S+|'[^']*')$`,
);
const ABSENT = new RegExp(`^${NAME} is null or "(?:[^"]|"")+"\\.isnan\\(\\)$`);
const LITERAL = "-?[\\d.]+(?:e[+-]?\\d+)?|true|false|'(?:[^']|'')*'|";
const PLAIN = new RegExp(`^${NAME}(\\.\\w+\\(\\))?(=|<>|>=|<=|>|<| is not null| is null| i?like )(${LITERAL})$`);
const WORDS = { "<>": "≠", ">=": "≥", "<=": "≤", " is null": "is null", " is not null": "is not null" };

/** How a condition reads on its chip: names without quotes, classes by name, ranges with a dash. */
export function readable(clause, features) {
  const range = RANGE.exec(clause);
  if (range) return `${called(range)} ${bare(range[3])} – ${bare(range[4])}`;
  const absent = ABSENT.exec(clause);
  if (absent) return `${called(absent)} is null or NaN`;
  const plain = PLAIN.exec(clause);
  if (!plain) return clause;
  const names = features.find((feature) => feature.name === plain[1].replaceAll('""', '"'))?.type?.names;
  const value = names && /^\d+$/.test(plain[4]) ? (names[Number(plain[4])] ?? plain[4]) : bare(plain[4]);
  return [called(plain), WORDS[plain[3]] ?? plain[3].trim(), value].filter(Boolean).join(" ");
}

function called([, name, measure = ""]) {
  return (measure ? "length of " : "") + name.replaceAll('""', '"');
}

function bare(text) {
  return /^'.*'$/s.test(text) ? text.slice(1, -1).replaceAll("''", "'") : text;
}
