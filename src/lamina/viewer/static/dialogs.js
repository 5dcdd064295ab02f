// The dialogs of the top bar: the rows at hand as Python, and the keys.

import { button, copyText, el, openDialog } from "./dom.js";
import { datasetsLines, duckdbLines, pandasLines } from "./snippets.js";

const KINDS = [
  ["datasets", datasetsLines],
  ["pandas", pandasLines],
  ["DuckDB", duckdbLines],
];

/** Shows the lines of code that open what is on the page. */
export function openCodeDialog(view, searched) {
  const code = el("pre", { class: "code", tabindex: "0", id: "code" });
  const tabs = KINDS.map(([name, write]) => {
    const tab = button(name, () => show(tab, write), { role: "tab", "aria-controls": "code" });
    return tab;
  });
  const show = (chosen, write) => {
    for (const tab of tabs) tab.setAttribute("aria-selected", String(tab === chosen));
    code.textContent = write(view);
  };
  const copy = button("Copy", () => copyText(code.textContent, copy), { class: "primary", autofocus: true });
  const hint =
    searched && el("p", { class: "hint" }, "The search is not part of these lines: its index is the viewer's own.");
  openDialog(
    "Use in Python",
    {},
    el("div", { class: "code-tabs", role: "tablist", "aria-label": "Library" }, ...tabs),
    code,
    hint,
    el("div", { class: "form-end" }, copy),
  );
  show(tabs[0], KINDS[0][1]);
}

const SHORTCUTS = [
  ["/", "Search"],
  ["f", "Add a filter"],
  ["j  k", "Next row, row before"],
  ["↑ ↓ Enter", "Move among rows and open one"],
  ["n  p", "Next page, page before"],
  ["1 2 3", "Rows, SQL, token lengths"],
  ["c", "Use in Python"],
  ["Ctrl Enter", "Run the SQL query"],
  ["Esc", "Close, or cancel the query"],
  ["?", "These keys"],
];

/** Shows the keys. */
export function openKeysDialog() {
  const list = SHORTCUTS.map(([keys, text]) => [
    el("dt", {}, ...keys.split(/ +/).flatMap((key, place) => [place ? " " : "", el("kbd", {}, key)])),
    el("dd", {}, text),
  ]);
  openDialog("Keys", { class: "small" }, el("dl", { class: "keys" }, list));
}
