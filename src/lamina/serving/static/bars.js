/** Scores as bars: labels, the words of a gap, similarities. */

import { codePointCount, cutAtSpans } from "./codepoints.js";
import { element } from "./dom.js";

/** A score as people read it. */
export const percent = (score) => `${(score * 100).toFixed(score > 0.9995 || score < 0.0995 ? 2 : 1)}%`;
const plain = (score) => score.toFixed(3);

/**
 * @param {Array<{name: Node|string, score: number}>} entries
 * @param {{shown?: (score: number) => string, full?: number, label: string}} options
 */
export function bars(entries, { shown = percent, full = 1, label }) {
  const best = Math.max(...entries.map(({ score }) => score));
  const widest = Math.max(full, ...entries.map(({ score }) => Math.abs(score)));
  return element(
    "ol",
    { class: "bars", "aria-label": label },
    entries.map(({ name, score }) => {
      const bar = element("span", { class: score < 0 ? "bar below" : "bar", "aria-hidden": "true" });
      bar.style.setProperty("--share", String(Math.abs(score) / widest));
      return element(
        "li",
        { class: score === best ? "best" : null },
        element("span", { class: "bar-name", dir: "auto" }, name),
        element("span", { class: "bar-score" }, shown(score)),
        bar,
      );
    }),
  );
}

/** `[[{ label, score }]]`, or the same without the outer list. */
export function labels(answer) {
  const found = Array.isArray(answer[0]) ? answer[0] : answer;
  return scored(found, "Labels");
}

/** Labels of one's own, as a list, or in the older form with two lists. */
export function choices(answer) {
  const found = Array.isArray(answer)
    ? answer
    : answer.labels.map((label, place) => ({ label, score: answer.scores[place] }));
  return scored(found, "Your labels");
}

function scored(found, label) {
  const shares = found.every(({ score }) => score >= 0 && score <= 1);
  const entries = found.map((one) => ({ name: one.label, score: one.score }));
  return bars(entries, { shown: shares ? percent : plain, full: shares ? 1 : 0, label });
}

/** Cosines, each beside its sentence; they may be below zero. */
export function similarities(answer, { values }) {
  const entries = answer.map((score, place) => ({ name: values.sentences[place] ?? "", score }));
  return bars(entries, { shown: plain, label: "Similarity, in the order of the sentences" });
}

/** The guesses for each gap. */
export function fillings(answer, { values, mask }) {
  const gap = values.text.indexOf(mask);
  const gaps = Array.isArray(answer[0]) ? answer : [answer];
  return element(
    "div",
    { class: "gaps" },
    gaps.map((guesses, place) => {
      const best = Math.max(...guesses.map(({ score }) => score));
      const entries = guesses.map((guess) => ({ name: guessed(guess, gaps.length > 1 ? -1 : gap), score: guess.score }));
      const label = gaps.length > 1 ? `Gap ${place + 1} of ${gaps.length}` : "Guesses";
      return [gaps.length > 1 ? element("h3", {}, label) : null, bars(entries, { full: best, label })];
    }),
  );
}

/** The word, and the sentence with it put in; of several such words the one nearest to the gap is marked. */
function guessed({ token_str: word, sequence }, gap) {
  const bare = word.trim();
  const places = bare ? occurrences(sequence.toLowerCase(), bare.toLowerCase()) : [];
  const found = places.sort((one, other) => Math.abs(one - gap) - Math.abs(other - gap))[0];
  const certain = gap >= 0 ? found !== undefined : places.length === 1;
  const start = certain ? codePointCount(sequence.slice(0, found)) : 0;
  const runs = cutAtSpans(sequence, certain ? [{ start, end: start + codePointCount(bare) }] : []);
  return [
    element("b", {}, bare || "␣"),
    element(
      "span",
      { class: "sequence" },
      runs.map(({ text, span }) => (span ? element("em", {}, text) : text)),
    ),
  ];
}

/** Every place where `part` begins in `text`. */
function occurrences(text, part) {
  const places = [];
  for (let place = text.indexOf(part); place >= 0; place = text.indexOf(part, place + 1)) places.push(place);
  return places;
}
