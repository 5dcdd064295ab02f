/** Tokens under the names that people can read, whatever way a vocabulary spells them. */

import { codePointIndices } from "./codepoints.js";

const SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉";
const SPACE_BEFORE = /^[Ġ▁]/; // how byte-level and SentencePiece vocabularies write it
const BYTES = /[\u0080-\u0143]/; // the letters that stand for bytes

/**
 * What to show for each token of a text. Where a character was cut into several byte tokens, each shows the character
 * with its number: 서₁ 서₂ 서₃.
 * @param {Array<{text: string, special: boolean, start: number|null, stop: number|null}>} tokens
 * @param {string} text
 * @returns {string[]}
 */
export function readable(tokens, text) {
  const indices = codePointIndices(text);
  const together = new Map();
  for (const { start, stop } of tokens) together.set(`${start}-${stop}`, (together.get(`${start}-${stop}`) ?? 0) + 1);
  const counted = new Map();
  return tokens.map(({ text: name, special, start, stop }) => {
    if (special || name.startsWith("##")) return name;
    const lead = SPACE_BEFORE.test(name) ? " " : "";
    const bare = name.replace(SPACE_BEFORE, "");
    const slice = start === null ? "" : text.slice(indices[start], indices[stop]).trimStart();
    if (!slice || bare === slice || !BYTES.test(bare)) return lead + bare;
    const span = `${start}-${stop}`;
    counted.set(span, (counted.get(span) ?? 0) + 1);
    return lead + slice + (together.get(span) > 1 ? subscript(counted.get(span)) : "");
  });
}

const subscript = (number) => [...String(number)].map((digit) => SUBSCRIPTS[digit]).join("");

/** Spaces and ends of lines made visible. */
export const visible = (text) => text.replaceAll(" ", "·").replaceAll("\n", "↵").replaceAll("\t", "⇥") || "∅";
