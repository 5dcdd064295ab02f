// Lengths in tokens: sums over [length, count] pairs, without any drawing.

/** @typedef {[number, number][]} Counts  pairs of a length and how many rows have it, by length */

export function totalOf(counts) {
  return counts.reduce((sum, [, rows]) => sum + rows, 0);
}

/** The length that a share of the rows does not exceed. @param {Counts} counts */
export function quantile(counts, share) {
  const wanted = Math.max(1, Math.ceil(totalOf(counts) * share));
  let seen = 0;
  for (const [length, rows] of counts) {
    seen += rows;
    if (seen >= wanted) return length;
  }
  return 0;
}

export function mean(counts) {
  const total = totalOf(counts);
  return total ? counts.reduce((sum, [length, rows]) => sum + length * rows, 0) / total : 0;
}

/** Rows that fit a limit. */
export function fitting(counts, limit) {
  return totalOf(counts.filter(([length]) => length <= limit));
}

/** A step of 1, 2 or 5 times a power of ten, so that about `wanted` of them make up `span`. */
export function niceStep(span, wanted) {
  const rough = Math.max(1, span / wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough);
}

/** Bars of equal width from 0: how many rows have a length in [place * width, (place + 1) * width). The
 * axis goes to `reach` at least, if there are texts so long. */
export function bins(counts, reach = 0, wanted = 64) {
  const longest = counts.at(-1)?.[0] ?? 0;
  // A few giants would press all others into the first bar: the axis ends a little beyond the 99.5th percentile.
  const end = Math.min(longest, Math.max(8, reach, Math.ceil(quantile(counts, 0.995) * 1.15)));
  const width = niceStep(end + 1, wanted);
  const bars = new Array(Math.floor(end / width) + 1).fill(0);
  let beyond = 0;
  for (const [length, rows] of counts) {
    const at = Math.floor(length / width);
    if (at < bars.length) bars[at] += rows;
    else beyond += rows;
  }
  return { width, bars, beyond, longest };
}
