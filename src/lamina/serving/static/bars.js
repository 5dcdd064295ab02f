/** Scores as bars: labels, the words of a gap, similarities. */

import { cutAtSpans } from "./codepoints.js";
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
export function fillings(answer) {
  const gaps = Array.isArray(answer[0]) ? answer : [answer];
  return element(
    "div",
    { class: "gaps" },
    gaps.map((guesses, place) => {
      const best = Math.max(...guesses.map(({ score }) => score));
      const entries = guesses.map((guess) => ({ name: guessed(guess), score: guess.score }));
      const label = gaps.length > 1 ? `Gap ${place + 1} of ${gaps.length}` : "Guesses";
      return [gaps.length > 1 ? element("h3", {}, label) : null, bars(entries, { full: best, label })];
    }),
  );
}

/** The word, and the sentence with it put in. */
function guessed({ token_str: word, sequence }) {
  const bare = word.trim();
  const found = bare ? sequence.toLowerCase().indexOf(bare.toLowerCase()) : -1;
  const only = found >= 0 && sequence.toLowerCase().indexOf(bare.toLowerCase(), found + 1) < 0;
  const start = only ? [...sequence.slice(0, found)].length : 0;
  const runs = cutAtSpans(sequence, only ? [{ start, end: start + [...bare].length }] : []);
  return [
    element("b", {}, bare || "␣"),
    element(
      "span",
      { class: "sequence" },
      runs.map(({ text, span }) => (span ? element("em", {}, text) : text)),
    ),
  ];
}
