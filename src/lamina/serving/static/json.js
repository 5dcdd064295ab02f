/** JSON, indented and colored. */

import { copyButton, element } from "./dom.js";

const SHOWN = 60_000; // characters; a feature matrix has millions
const PART = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** Fills `panel` with a value. */
export function showJson(panel, value) {
  const text = JSON.stringify(value, null, 2);
  const cut = text.length > SHOWN;
  const code = element("code", {}, colored(cut ? text.slice(0, SHOWN) : text));
  panel.replaceChildren(
    element("div", { class: "actions" }, copyButton("Copy JSON", () => text)),
    element("pre", { class: "code", tabindex: "0", "aria-label": "The answer as JSON" }, code),
    cut ? element("p", { class: "soft" }, `The first ${SHOWN} of ${text.length} characters; copying takes all.`) : "",
  );
}

function colored(text) {
  const parts = [];
  let reached = 0;
  for (const match of text.matchAll(PART)) {
    if (match.index > reached) parts.push(text.slice(reached, match.index));
    const [whole, string, colon, word] = match;
    const kind = string ? (colon ? "key" : "string") : word ? "word" : "digits";
    parts.push(element("span", { class: `json-${kind}` }, string ?? whole), colon ?? "");
    reached = match.index + whole.length;
  }
  parts.push(text.slice(reached));
  return parts;
}
