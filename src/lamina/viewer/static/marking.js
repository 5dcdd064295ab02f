// Marking the words searched for. Search folds case and accents, so marking does too.

import { el } from "./dom.js";

/** The words of a query, as the index sees them: letters and digits, without accents, in lower case. */
export function termsOf(text) {
  return [...new Set(fold(text).folded.match(/[\p{L}\p{N}]+/gu) ?? [])];
}

/** Text without case and accents, and for each of its code units the place in `text` it came from. */
function fold(text) {
  if (/^[\x00-\x7f]*$/.test(text)) return { folded: text.toLowerCase(), places: null };
  let folded = "";
  const places = [];
  let place = 0;
  for (const sign of text) {
    // Korean syllables are kept whole: taken apart they would be letters, and a part of them could match.
    const plain = /\p{Script=Hangul}/u.test(sign) ? sign : sign.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
    folded += plain;
    for (let unit = 0; unit < plain.length; unit += 1) places.push(place);
    place += sign.length;
  }
  places.push(place);
  return { folded, places };
}

const ENDINGS = /(?:ations?|ingly|edly|ings?|ness|ment|ies|ied|ers?|ed|es|ly|s|e|y)$/;
const WITHOUT_SPACES = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/u;

/** A pattern for a term as the index finds it: in other forms of the word, or as a part where no spaces are written. */
function pattern(term) {
  if (WITHOUT_SPACES.test(term)) return new RegExp(term, "gu"); // letters only: nothing in it is a sign of a pattern
  const stem = term.length > 4 ? term.replace(ENDINGS, "") : term;
  const kept = stem.length < 3 ? term : stem;
  const more = kept === term && term.length < 4 ? "s?" : "\\p{L}{0,5}";
  return new RegExp(`(?<![\\p{L}\\p{N}])${kept}${more}(?![\\p{L}\\p{N}])`, "gu");
}

/** Where terms stand in the text, as [start, end] in order. */
export function hits(text, terms) {
  if (!terms.length) return [];
  const { folded, places } = fold(text);
  const at = (place) => (places ? places[place] : place);
  const found = terms.flatMap((term) =>
    [...folded.matchAll(pattern(term))].map((match) => [at(match.index), at(match.index + match[0].length)]),
  );
  found.sort((one, other) => one[0] - other[0] || other[1] - one[1]);
  const kept = [];
  for (const hit of found) if (hit[1] > hit[0] && hit[0] >= (kept.at(-1)?.[1] ?? 0)) kept.push(hit);
  return kept;
}

/** Nodes of a text with its hits marked. */
export function marked(text, terms) {
  const nodes = [];
  let last = 0;
  for (const [start, end] of hits(text, terms)) {
    if (start > last) nodes.push(text.slice(last, start));
    nodes.push(el("mark", {}, text.slice(start, end)));
    last = end;
  }
  if (last < text.length) nodes.push(text.slice(last));
  return nodes;
}

/** A long text from shortly before its first hit on, so that a cell shows why its row was found. */
export function aroundFirstHit(text, terms, before = 60, least = 220) {
  if (text.length <= least) return text;
  const first = hits(text, terms)[0];
  if (!first || first[0] < least - 60) return text;
  const space = text.indexOf(" ", first[0] - before);
  const start = space >= 0 && space < first[0] ? space + 1 : first[0] - before;
  const halved = text.charCodeAt(start) >> 10 === 0x37; // the second half of a sign beyond the basic plane
  return `… ${text.slice(halved ? start + 1 : start)}`;
}
