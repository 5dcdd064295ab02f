/** Places in a text: entities in color, the answer where it stands in its context. */

import { bars, percent } from "./bars.js";
import { cutAtSpans } from "./codepoints.js";
import { element } from "./dom.js";

const HUES = 8;

/** The kind of an entity, without the mark of its beginning. */
const kindOf = (entity) => (entity.entity_group ?? entity.entity).replace(/^[BIESLU]-/, "");

/** A color for a label, the same on every visit. */
export function hueOf(label) {
  let sum = 7;
  for (const letter of label) sum = (sum * 31 + letter.codePointAt(0)) % 9973;
  return `hue-${sum % HUES}`;
}

/** Colors for labels, each its own as long as there are enough of them. */
function huesOf(names) {
  const taken = new Map();
  for (const name of [...new Set(names)].sort()) {
    let hue = Number(hueOf(name).slice(4));
    for (let tries = 0; tries < HUES && [...taken.values()].includes(hue); tries += 1) hue = (hue + 1) % HUES;
    taken.set(name, hue);
  }
  return (name) => `hue-${taken.get(name)}`;
}

/** Entities marked in their text, and listed below it. */
export function entities(answer, { values }) {
  if (!answer.length) return element("p", { class: "nothing" }, "Nothing was found in this text.");
  const hue = huesOf(answer.map(kindOf));
  const placed = answer.filter(({ start, end }) => Number.isInteger(start) && Number.isInteger(end));
  const text = element(
    "p",
    { class: "marked", dir: "auto" },
    cutAtSpans(values.text, placed).map(({ text: piece, span }) =>
      span ? element("mark", { class: hue(kindOf(span)) }, piece, tag(kindOf(span))) : piece,
    ),
  );
  const rows = answer.map((entity) =>
    element(
      "tr",
      {},
      element("td", {}, kindWithDot(kindOf(entity), hue)),
      element("td", { dir: "auto" }, entity.word),
      element("td", { class: "number" }, percent(entity.score)),
      element("td", { class: "number" }, Number.isInteger(entity.start) ? `${entity.start}–${entity.end}` : "–"),
    ),
  );
  const heads = ["Kind", "Words", "Score", "Characters"].map((name) => element("th", { scope: "col" }, name));
  return element(
    "div",
    {},
    text,
    element(
      "table",
      {},
      element("caption", { class: "unseen" }, "Entities"),
      element("thead", {}, element("tr", {}, heads)),
      element("tbody", {}, rows),
    ),
  );
}

const kindWithDot = (kind, hue) =>
  element("span", { class: "kind" }, element("span", { class: `dot ${hue(kind)}`, "aria-hidden": "true" }), kind);

const tag = (name) => element("span", { class: "tag" }, name);

/** The answers, and the context with the best of them marked. */
export function passages(answer, { values }) {
  const found = Array.isArray(answer) ? answer : [answer];
  const real = found.filter(({ answer: words, start, end }) => words !== "" && end > start);
  const context = element("p", { class: "marked context", dir: "auto" });
  const draw = (chosen) => {
    const spans = chosen ? [chosen] : [];
    context.replaceChildren(
      ...cutAtSpans(values.context, spans).map(({ text, span }) =>
        span ? element("mark", { class: "passage" }, text) : text,
      ),
    );
  };
  draw(real[0]);
  if (!real.length) {
    return element("div", {}, element("p", { class: "nothing" }, "The text does not hold an answer."), context);
  }
  const entries = found.map((one) => ({ name: passageName(one, draw, found.length > 1), score: one.score }));
  return element("div", {}, bars(entries, { label: "Answers" }), element("h3", {}, "In the text"), context);
}

/** An answer; where there are several, a button that marks it in the text. */
function passageName(one, draw, several) {
  const words = one.answer === "" ? "no answer" : one.answer;
  if (!several || one.answer === "") return element("b", { dir: "auto" }, words);
  const button = element("button", { type: "button", class: "as-text", dir: "auto" }, words);
  button.title = "Mark it in the text";
  button.addEventListener("click", () => draw(one));
  return button;
}
