// How long the texts of a column are in tokens of a tokenizer that lies on this machine.

import { get, lines } from "./api.js";
import { button, byId, el, fill, svg } from "./dom.js";
import { count, kindOf, percent, plural } from "./format.js";
import { bins, fitting, mean, niceStep, quantile, totalOf } from "./lengths.js";
import { change, state } from "./state.js";

const [WIDTH, HEIGHT, BOTTOM, LEFT] = [980, 250, 26, 8];
const SAMPLES = [
  ["10000", "the first 10,000 rows"],
  ["100000", "the first 100,000 rows"],
  ["", "all rows"],
];

let tokenizers = null;
let parts = null;
let running = null;
let built = "";

/** Brings the view to what the state says. `features` are those of the open split. */
export async function showTokens(features) {
  const key = JSON.stringify([state.config, state.split, features.map((feature) => feature.name)]);
  if (built === key) return;
  stopCounting();
  const texts = features.filter((feature) => kindOf(feature.type) === "text").map((feature) => feature.name);
  const view = byId("view-tokens");
  try {
    tokenizers ??= (await get("view/tokenizers")).tokenizers;
  } catch (error) {
    fill(view, el("p", { class: "notice error" }, error.message));
    return;
  }
  built = key;
  if (!texts.length) {
    fill(
      view,
      el("div", { class: "empty" }, el("h2", {}, "No text to count"), el("p", {}, "This split has no column of text.")),
    );
    return;
  }
  build(view, texts);
  if (state.column && state.tokenizer && texts.includes(state.column)) run();
}

function choice(label, options, value) {
  const select = el("select", {}, ...options.map(([key, text]) => el("option", { value: key }, text)));
  if (options.some(([key]) => key === value)) select.value = value;
  return { select, node: el("label", {}, label, select) };
}

function build(view, texts) {
  const column = choice(
    "Column",
    texts.map((name) => [name, name]),
    state.column || longestName(texts),
  );
  const tokenizer = choice(
    "Tokenizer",
    tokenizers.map((item) => [item.id, item.name]),
    state.tokenizer,
  );
  const sample = choice("Rows", SAMPLES, "10000");
  const start = button("Count", run, { class: "primary" });
  const stop = button("Cancel", stopCounting, { disabled: true });
  const status = el("p", { class: "hint", role: "status", "aria-live": "polite" });
  const bar = el("progress", { max: 1, value: 0, hidden: true, "aria-label": "Rows counted" });
  const result = el("div", {});
  parts = {
    column: column.select,
    tokenizer: tokenizer.select,
    sample: sample.select,
    start,
    stop,
    status,
    bar,
    result,
  };
  const none =
    !tokenizers.length &&
    el("p", { class: "hint" }, "No tokenizer was found. Name one: lamina view DATA --tokenizer FOLDER");
  start.disabled = !tokenizers.length;
  fill(
    view,
    el(
      "div",
      { class: "lengths", tabindex: "0", role: "region", "aria-label": "Counts" },
      el(
        "form",
        { on: { submit: (event) => event.preventDefault() } },
        column.node,
        tokenizer.node,
        sample.node,
        start,
        stop,
      ),
      none,
      status,
      bar,
      result,
    ),
  );
}

/** Texts are more often called text, sentence or document than id or url. */
function longestName(texts) {
  return texts.find((name) => /text|sentence|document|content|review|question|article|body/i.test(name)) ?? texts[0];
}

/** Stops the counting under way. */
export function stopCounting() {
  running?.abort();
}

async function run() {
  stopCounting();
  running = new AbortController();
  const mine = running;
  const [column, tokenizer] = [parts.column.value, parts.tokenizer.value];
  change({ column, tokenizer }, { silent: true });
  const params = { config: state.config, split: state.split, column, tokenizer, rows: parts.sample.value };
  parts.start.disabled = true;
  parts.stop.disabled = parts.bar.hidden = false;
  let last = null;
  try {
    for await (const event of lines("view/tokens", params, mine.signal)) {
      if (event.error) throw new Error(event.error);
      last = event;
      parts.bar.value = event.total ? event.done / event.total : 0;
      fill(parts.status, `${count(event.done)} of ${plural(event.total, "row")} counted`);
      draw(event);
    }
    if (last && !last.finished) throw new Error("The counting ended early: the server closed the connection.");
    fill(
      parts.status,
      `${plural(last.done, "row")} counted${last.cut ? `, ${plural(last.cut, "text")} of more than 5 million characters cut there` : ""}${last.nulls ? `, ${plural(last.nulls, "null")} among them left out` : ""}, special tokens included`,
    );
  } catch (error) {
    fill(parts.status, error.name === "AbortError" ? "Cancelled" : el("span", { class: "fault" }, error.message));
  } finally {
    if (mine === running) {
      parts.start.disabled = false;
      parts.stop.disabled = parts.bar.hidden = true;
    }
  }
}

function draw(event) {
  const { counts } = event;
  if (!counts.length) return;
  const limit = Math.min(state.limit ?? event.model_max_length ?? 512, 1_000_000);
  const chart = el("div", { class: "chart" });
  const fits = el("output", {});
  const slider = el("input", {
    type: "range",
    min: 1,
    max: Math.max(512, counts.at(-1)[0]),
    value: limit,
    "aria-label": "Tokens a model reads",
  });
  const number = el("input", { type: "number", min: 1, value: limit, "aria-label": "Tokens a model reads" });
  const show = (value) => {
    fill(chart, drawChart(counts, value, limit));
    const share = fitting(counts, value) / totalOf(counts);
    const tokens = counts.reduce((sum, [length, rows]) => sum + Math.max(0, length - value) * rows, 0);
    fill(fits, `${percent(share)} of the rows fit`, tokens ? `, ${count(tokens)} tokens would be cut off` : "");
  };
  const moved = (source, other) => () => {
    const value = Math.max(1, Math.trunc(Number(source.value)) || 1);
    other.value = value;
    change({ limit: value }, { replace: true, silent: true });
    show(value);
  };
  slider.addEventListener("input", moved(slider, number));
  number.addEventListener("input", moved(number, slider));
  show(limit);
  if (!event.finished) return void fill(parts.result, chart, figures(counts)); // a slider would be replaced under the hand
  fill(
    parts.result,
    chart,
    el("div", { class: "limit-line" }, "A model that reads ", slider, number, " tokens:", fits),
    figures(counts),
    longest(event),
  );
}

function figures(counts) {
  const items = [
    ["Mean", mean(counts).toFixed(1)],
    ["Median", count(quantile(counts, 0.5))],
    ["90 %", count(quantile(counts, 0.9))],
    ["95 %", count(quantile(counts, 0.95))],
    ["99 %", count(quantile(counts, 0.99))],
    ["Longest", count(counts.at(-1)[0])],
    ["Tokens", count(counts.reduce((sum, [length, rows]) => sum + length * rows, 0))],
  ];
  return el(
    "dl",
    { class: "figures" },
    ...items.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))),
  );
}

function longest(event) {
  const open = (row) => () =>
    change({ view: "data", q: "", filters: [], orderby: "", page: Math.floor(row / 100) + 1, row });
  const rows = event.longest.map(([row, tokens]) =>
    el(
      "tr",
      {},
      el("td", {}, button(`Row ${count(row)}`, open(row), { class: "link" })),
      el("td", {}, plural(tokens, "token")),
    ),
  );
  return el("div", {}, el("h2", {}, "The longest"), el("table", {}, el("tbody", {}, ...rows)));
}

function drawChart(counts, limit, reach) {
  const { width, bars, beyond, longest: last } = bins(counts, reach);
  const highest = Math.max(...bars);
  const space = (WIDTH - LEFT) / bars.length;
  const base = HEIGHT - BOTTOM;
  const x = (length) => LEFT + (length / width) * space;
  const drawn = bars.map((rows, at) => {
    const height = rows ? Math.max(1.5, ((base - 20) * rows) / highest) : 0;
    const title = svg(
      "title",
      {},
      `${at * width}${width > 1 ? `–${(at + 1) * width - 1}` : ""} tokens: ${plural(rows, "row")}`,
    );
    return svg(
      "rect",
      {
        x: x(at * width) + 0.5,
        y: base - height,
        width: Math.max(1, space - 1),
        height,
        rx: 1.5,
        class: at * width > limit ? "beyond" : null,
      },
      title,
    );
  });
  const step = niceStep(bars.length * width, 10);
  const ticks = [];
  for (let at = 0; at <= bars.length * width; at += step)
    ticks.push(svg("text", { x: x(at), y: HEIGHT - 7, "text-anchor": at ? "middle" : "start" }, count(at)));
  const end = bars.length * width;
  const mark = limit <= end && [
    svg("line", { class: "limit", x1: x(limit), x2: x(limit), y1: 0, y2: base }),
    svg(
      "text",
      {
        class: "limit",
        x: x(limit) + (limit > end * 0.8 ? -6 : 6),
        y: 12,
        "text-anchor": limit > end * 0.8 ? "end" : "start",
      },
      `${count(limit)} tokens`,
    ),
  ];
  const rest =
    beyond > 0 &&
    svg(
      "text",
      { x: WIDTH, y: base - 8, "text-anchor": "end" },
      `${plural(beyond, "row")} beyond, up to ${count(last)}`,
    );
  const said = `Rows by number of tokens: half have at most ${count(quantile(counts, 0.5))}, the longest ${count(last)}`;
  return svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": said },
    drawn,
    svg("line", { class: "axis", x1: LEFT, x2: WIDTH, y1: base, y2: base }),
    ticks,
    mark,
    rest,
  );
}
