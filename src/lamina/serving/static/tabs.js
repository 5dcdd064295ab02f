/** Tabs after the WAI-ARIA pattern: arrows move between them, only the chosen one is in the order of the Tab key. */

import { element, freshId } from "./dom.js";

/**
 * @param {string} label
 * @param {Array<{name: string, title: string, panel: HTMLElement}>} entries
 * @param {(name: string) => void} onselect
 */
export function tabs(label, entries, onselect) {
  const buttons = entries.map(({ title }) => {
    const id = freshId("tab");
    return element("button", { type: "button", role: "tab", id, "aria-controls": `${id}-panel` }, title);
  });
  const list = element("div", { role: "tablist", "aria-label": label, class: "tablist" }, buttons);
  entries.forEach(({ panel }, place) => {
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", buttons[place].id);
    panel.id = `${buttons[place].id}-panel`;
    panel.tabIndex = 0;
  });
  let chosen = "";

  const select = (name, focus = false) => {
    chosen = name;
    entries.forEach((entry, place) => {
      const current = entry.name === name;
      buttons[place].setAttribute("aria-selected", String(current));
      buttons[place].tabIndex = current ? 0 : -1;
      entry.panel.hidden = !current;
      if (current && focus) buttons[place].focus();
    });
    onselect(name);
  };
  buttons.forEach((button, place) => button.addEventListener("click", () => select(entries[place].name)));
  list.addEventListener("keydown", (event) => {
    const place = entries.findIndex(({ name }) => name === chosen);
    const moves = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: entries.length - 1 };
    if (!(event.key in moves)) return;
    event.preventDefault();
    select(entries[(moves[event.key] + entries.length) % entries.length].name, true);
  });
  return { list, select, chosen: () => chosen };
}
