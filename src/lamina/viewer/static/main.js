// Starts the page: what there is, which of it is shown, and the keys.

import { get } from "./api.js";
import { showConsole, stopQuery } from "./console.js";
import { connectData, features, showData, step, syncRow, turn, waitForData } from "./data.js";
import { openCodeDialog, openKeysDialog } from "./dialogs.js";
import { byId, el, fill } from "./dom.js";
import { openFilterDialog } from "./filters.js";
import { count } from "./format.js";
import { showNotices } from "./notices.js";
import { change, onChange, state } from "./state.js";
import { showTokens, stopCounting } from "./tokens.js";

let overview = null;
const sizes = new Map(); // rows of splits, once counted

const configNow = () => overview.configs.find((config) => config.config === state.config);
const splitNow = () => configNow().splits.find((split) => split.split === state.split);

/** What the address leaves out, and what there is not, become the defaults. */
function settleState() {
  const config =
    configNow() ?? overview.configs.find((each) => each.config === overview.default) ?? overview.configs[0];
  const names = config.splits.map((split) => split.split);
  const split = names.includes(state.split) ? state.split : names.includes("train") ? "train" : names[0];
  if (config.config !== state.config || split !== state.split)
    change({ config: config.config, split }, { replace: true, silent: true });
}

function drawPickers() {
  const option = (value, rows) => el("option", { value }, rows === undefined ? value : `${value}  (${count(rows)})`);
  const total = (config) =>
    config.splits
      .map((split) => sizes.get(`${config.config}/${split.split}`))
      .reduce((sum, rows) => (sum === undefined || rows === undefined ? undefined : sum + rows), 0);
  fill(byId("config"), ...overview.configs.map((config) => option(config.config, total(config))));
  fill(
    byId("split"),
    ...configNow().splits.map((split) => option(split.split, sizes.get(`${state.config}/${split.split}`))),
  );
  byId("config").value = state.config;
  byId("split").value = state.split;
  byId("config-picker").hidden = overview.configs.length < 2;
  byId("split-picker").hidden = false;
}

/** Counts of all splits: they may take a while, and nothing waits for them. */
async function countSplits() {
  try {
    const found = await get("size");
    for (const split of found.size.splits) sizes.set(`${split.config}/${split.split}`, split.num_rows);
    drawPickers();
  } catch {
    // a split that cannot be counted says why when it is opened
  }
}

function show(before) {
  settleState();
  drawPickers();
  const moved = !before || before.config !== state.config || before.split !== state.split;
  const turned = before && before.view !== state.view;
  if (turned || moved) {
    stopQuery();
    stopCounting();
  }
  for (const tab of document.querySelectorAll(".tabs button")) {
    if (tab.dataset.view === state.view) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  for (const view of ["data", "sql", "tokens"]) byId(`view-${view}`).hidden = view !== state.view;
  document.title = `${overview.name}: ${state.split} · Lamina`;
  if (state.view !== "data") syncRow();
  if (state.view === "data") showData();
  else if (state.view === "sql") showConsole();
  else waitForData().then((known) => showTokens(known));
}

function viewNow() {
  return {
    ...overview,
    ...splitNow(),
    config: state.config,
    only: overview.configs.length === 1,
    filters: state.filters,
    orderby: state.orderby,
    features: features(),
  };
}

const goTo = (place) =>
  change({ ...place, page: 1, row: null, q: "", filters: [], orderby: "", hidden: [], column: "" });

function connect() {
  byId("config").addEventListener("change", (event) => goTo({ config: event.target.value, split: "" }));
  byId("split").addEventListener("change", (event) => change({ split: event.target.value, page: 1, row: null }));
  for (const tab of document.querySelectorAll(".tabs button"))
    tab.addEventListener("click", () => change({ view: tab.dataset.view, row: null }));
  byId("code-button").addEventListener("click", () => openCodeDialog(viewNow(), state.q !== ""));
  byId("keys-button").addEventListener("click", openKeysDialog);
  const theme = byId("theme-button");
  const signs = { auto: "◐", light: "☀", dark: "☾" };
  const drawTheme = (name) => {
    theme.textContent = signs[name];
    theme.title = `Colors: ${name === "auto" ? "as the system" : name}`;
  };
  theme.addEventListener("click", () => drawTheme(window.laminaTheme.next()));
  drawTheme(window.laminaTheme.current());
  document.addEventListener("keydown", onKey);
}

const KEYS = {
  "/": () => byId("search").focus(),
  f: () => openFilterDialog(features()),
  j: () => step(1),
  k: () => step(-1),
  n: () => turn(1),
  p: () => turn(-1),
  c: () => byId("code-button").click(),
  1: () => change({ view: "data" }),
  2: () => change({ view: "sql" }),
  3: () => change({ view: "tokens" }),
  "?": openKeysDialog,
};
const ROW_KEYS = "/fjknp";

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "Escape") {
    if (state.row !== null) change({ row: null });
    return;
  }
  if (event.target.closest("input, textarea, select")) return;
  const act = KEYS[event.key];
  if (!act || (ROW_KEYS.includes(event.key) && state.view !== "data")) return;
  event.preventDefault();
  act();
}

async function start() {
  try {
    overview = await get("view/overview");
  } catch (error) {
    fill(
      byId("main"),
      el(
        "div",
        { class: "empty" },
        el("h2", {}, "The data set could not be opened"),
        el("p", { class: "detail" }, error.message),
      ),
    );
    return;
  }
  byId("name").textContent = overview.name;
  byId("name").title = overview.root;
  showNotices(
    "dataset",
    overview.failures.map((failure) => failure.message),
  );
  connect();
  connectData();
  onChange(show);
  show(null);
  countSplits();
}

start();
