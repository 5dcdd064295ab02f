/**
 * The server counts characters as Unicode code points, JavaScript as UTF-16 units: an emoji is one there and two here.
 */

/**
 * Where each code point of a text begins, and where the text ends: `indices[n]` is the place of code point n in a
 * JavaScript string.
 * @param {string} text
 * @returns {number[]}
 */
export function codePointIndices(text) {
  const indices = [];
  let place = 0;
  for (const character of text) {
    indices.push(place);
    place += character.length;
  }
  indices.push(place);
  return indices;
}

/** How many code points a text has. */
export function codePointCount(text) {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

/**
 * A text cut into runs: `[{ text, span }]`, where `span` is what covers the run, or null between spans. Spans carry
 * `start` and `end` in code points. A run shows one color: a span that begins inside another shows what is left of it,
 * as where the pieces of one Hangul syllable belong to two entities.
 * @param {string} text
 * @param {Array<{start: number, end: number}>} spans
 */
export function cutAtSpans(text, spans) {
  const indices = codePointIndices(text);
  const last = indices.length - 1;
  const within = (place) => indices[Math.max(0, Math.min(last, place))];
  const runs = [];
  let reached = 0;
  const sorted = [...spans].sort((one, other) => one.start - other.start || other.end - one.end);
  for (const span of sorted) {
    const [from, to] = [Math.max(reached, within(span.start)), within(span.end)];
    if (to <= from) continue;
    if (from > reached) runs.push({ text: text.slice(reached, from), span: null });
    runs.push({ text: text.slice(from, to), span });
    reached = to;
  }
  if (reached < text.length) runs.push({ text: text.slice(reached), span: null });
  return runs;
}
