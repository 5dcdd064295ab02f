/** A text as the model reads it: colored pieces, each with its id. */

import { tokenize } from "./api.js";
import { codePointCount } from "./codepoints.js";
import { element } from "./dom.js";
import { readable, visible } from "./pieces.js";

const HUES = 8;

/**
 * Fills `panel` with the tokens of every text of the form.
 * @param {HTMLElement} panel
 * @param {{id: string}} model
 * @param {Array<{label: string, text: string}>} texts
 * @param {AbortSignal} signal
 */
export async function showTokens(panel, model, texts, signal) {
  const given = texts.filter(({ text }) => text !== "");
  if (!given.length) {
    panel.replaceChildren(element("p", { class: "nothing" }, "Write something to see its tokens."));
    return;
  }
  const found = await Promise.all(given.map(({ text }) => tokenize(model, text, signal)));
  panel.replaceChildren(
    ...given.map(({ label, text }, place) => section(given.length > 1 ? label : null, text, found[place], model)),
  );
}

function section(label, text, tokens, model) {
  const characters = codePointCount(text);
  const limit = model.max_length && tokens.length > model.max_length ? `, more than the ${model.max_length} it reads` : "";
  const names = readable(tokens, text);
  const pieces = tokens.map((token, place) => {
    const where = Number.isInteger(token.start) && !token.special ? `characters ${token.start}–${token.stop}` : "added";
    return element(
      "li",
      { class: token.special ? "piece special" : `piece hue-${place % HUES}`, title: `Token ${place}: ${token.text}, ${where}` },
      element("span", { class: "piece-text", dir: "auto" }, visible(names[place])),
      element("span", { class: "piece-id" }, String(token.id)),
    );
  });
  return element(
    "section",
    { class: "token-section" },
    label ? element("h3", {}, label) : null,
    element("p", { class: "soft" }, `${tokens.length} tokens for ${characters} characters${limit}.`),
    element("ol", { class: "pieces", "aria-label": `Tokens${label ? ` of ${label}` : ""}` }, pieces),
  );
}
