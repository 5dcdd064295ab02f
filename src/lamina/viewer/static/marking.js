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
    // Korean syllables are kept whole: taken apart they would be letters of which a part could match.
    const plain = /\p{Script=Hangul}/u.test(sign) ? sign : sign.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
    folded += plain;
    for (let unit = 0; unit < plain.length; unit += 1) places.push(place);
    place += sign.length;
  }
  places.push(place);
  return { folded, places };
}

/** Where terms stand in the text, as [start, end] in order; whole words, or parts where no whole word is there. */
export function hits(text, terms) {
  if (!terms.length) return [];
  const { folded, places } = fold(text);
  const at = (place) => (places ? places[place] : place);
  const found = [];
  for (const term of terms) {
    const safe = term.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    const whole = [...folded.matchAll(new RegExp(`(?<![\\p{L}\\p{N}])${safe}(?![\\p{L}\\p{N}])`, "gu"))];
    const matches = whole.length ? whole : [...folded.matchAll(new RegExp(safe, "gu"))];
    for (const match of matches) found.push([at(match.index), at(match.index + match[0].length)]);
  }
  found.sort((one, other) => one[0] - other[0] || other[1] - one[1]);
  return found.filter(([start, end], place) => end > start && found.slice(0, place).every((earlier) => earlier[1] <= start));
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
