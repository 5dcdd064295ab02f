/** The request as code, one tab for each language. */

import { addressOf, getKey } from "./api.js";
import { copyButton, element } from "./dom.js";
import { snippets } from "./snippets.js";
import { tabs } from "./tabs.js";

const remembered = { language: "curl" };

/**
 * Fills `panel` with the code that asks what the form holds.
 * @param {HTMLElement} panel
 * @param {{api: string}} model
 * @param {string} task the task's plain name
 * @param {Object} body
 */
export function showCode(panel, model, task, body) {
  const url = `${location.origin}${addressOf(model)}`;
  const entries = snippets({ url, task, body, keyed: getKey() !== "" }).map(({ name, title, code }) => ({
    name,
    title,
    panel: element(
      "div",
      { class: "snippet" },
      element("div", { class: "actions" }, copyButton(`Copy as ${title}`, () => code)),
      element("pre", { class: "code", tabindex: "0", "aria-label": `The request in ${title}` }, element("code", {}, code)),
    ),
  }));
  const bar = tabs("Language", entries, (name) => (remembered.language = name));
  bar.list.classList.add("small");
  bar.select(remembered.language);
  panel.replaceChildren(bar.list, ...entries.map((entry) => entry.panel));
}
