// What is wrong with the data, said above it; the rest is shown all the same.

import { button, byId, el, fill } from "./dom.js";
import { plural } from "./format.js";

const SHOWN = 50;
const kept = new Map();
const dismissed = new Set();

/** Shows the notices of a kind in place of those it had. @param {string} kind @param {string[]} texts */
export function showNotices(kind, texts) {
  kept.set(kind, texts);
  draw();
}

function draw() {
  const texts = [...new Set([...kept.values()].flat())].filter((text) => !dismissed.has(text));
  if (!texts.length) return void fill(byId("notices"));
  const dismiss = button("Dismiss", () => {
    for (const text of texts) dismissed.add(text);
    draw();
  });
  const items = texts.slice(0, SHOWN).map((text) => el("li", { dir: "auto" }, text));
  if (texts.length > SHOWN) items.push(el("li", {}, `${plural(texts.length - SHOWN, "more")} …`));
  const said =
    texts.length === 1
      ? el("p", { dir: "auto" }, texts[0])
      : el(
          "details",
          {},
          el("summary", {}, `${plural(texts.length, "notice")} about the files`),
          el("ul", {}, ...items),
        );
  fill(byId("notices"), el("div", { class: "notice", role: "status" }, said, dismiss));
}
