/** Attention maps: which tokens each token looks at, in any layer and head. */

import { attend } from "./api.js";
import { bars, percent } from "./bars.js";
import { element, freshId } from "./dom.js";
import { overviewPicture } from "./overview.js";
import { mapPicture } from "./map.js";
import { visible } from "./pieces.js";

const PARTS = { encoder: "Encoder", decoder: "Decoder", cross: "Decoder to source", self: "Self-attention" };
const LISTED = 5; // tokens that a token looks at most

/**
 * A panel that asks for maps when `load` is called.
 * @param {HTMLElement} panel
 * @param {{id: string}} model
 * @param {(error: Error) => void} onerror
 */
export function attentionView(panel, model, onerror) {
  const chosen = { part: null, row: 0, layer: 0, head: 0 };
  const asked = { inputs: null, parameters: undefined, target: undefined };
  const controls = element("div", { class: "attention-controls" });
  const head = element("div", { class: "attention-head" }, controls);
  const maps = element("div", { class: "attention-map" });
  const tokens = element("div", { class: "attention-tokens" });
  const body = element("div", { class: "attention-body" }, maps, tokens);
  let controller = new AbortController();
  let overview = null;

  const fetchMap = async (whole) => {
    controller.abort();
    controller = new AbortController();
    const { signal } = controller;
    panel.setAttribute("aria-busy", "true");
    try {
      const found = await attend(model, { ...asked, ...chosen, overview: whole }, signal);
      Object.assign(chosen, { part: found.part, row: found.row, layer: found.layer, head: found.head });
      draw(found, whole);
    } catch (error) {
      if (error.name !== "AbortError") onerror(error);
    } finally {
      if (!signal.aborted) panel.removeAttribute("aria-busy");
    }
  };
  const choose = (change) => {
    Object.assign(chosen, change);
    fetchMap("part" in change || "row" in change);
  };
  const draw = (found, whole) => {
    drawControls(controls, found, choose);
    const strip = tokenStrip(tokens, found, (query) => picture.mark(query));
    const picture = mapPicture(found, (query) => strip.select(query));
    if (whole) overview = overviewPicture(found, choose);
    overview.mark(found.layer, found.head);
    if (whole) head.replaceChildren(overview.part, controls);
    maps.replaceChildren(picture.part);
    picture.draw();
    if (whole) overview.draw();
    strip.select(firstReal(found.queries));
  };

  return {
    load: (request) => {
      if (panel.contains(maps) && JSON.stringify(request) === JSON.stringify(asked)) return;
      Object.assign(asked, { target: undefined, parameters: undefined }, request);
      Object.assign(chosen, { row: 0 });
      if (!panel.contains(maps)) panel.replaceChildren(head, body);
      fetchMap(true);
    },
    stop: () => controller.abort(),
  };
}

const firstReal = (tokens) => Math.max(0, tokens.findIndex(({ special }) => !special));

function drawControls(controls, found, choose) {
  const focused = document.activeElement?.dataset?.choice;
  const selects = [];
  const add = (name, label, names, value) => {
    const id = freshId(name);
    const options = names.map((text, place) => element("option", { value: place, selected: place === value }, text));
    const select = element("select", { id, "data-choice": name }, options);
    select.addEventListener("change", () => {
      const place = Number(select.value);
      choose({ [name]: name === "part" ? found.parts[place] : place });
    });
    selects.push(element("div", { class: "choice" }, element("label", { for: id }, label), select));
  };
  const numbered = (count, of) => Array.from({ length: count }, (_, place) => `${of} ${place + 1}`);
  if (found.parts.length > 1) {
    add("part", "Part", found.parts.map((part) => PARTS[part] ?? part), found.parts.indexOf(found.part));
  }
  if (found.rows > 1) add("row", "Input", numbered(found.rows, "Row"), found.row);
  add("layer", `Layer, of ${found.layers}`, numbered(found.layers, "Layer"), found.layer);
  add("head", `Head, of ${found.heads}`, numbered(found.heads, "Head"), found.head);
  const cut = found.truncated
    ? element("p", { class: "soft" }, `The first ${found.queries.length} of ${found.length} tokens.`)
    : null;
  controls.replaceChildren(...selects, ...(cut ? [cut] : []));
  if (focused) controls.querySelector(`[data-choice="${focused}"]`)?.focus();
}

/** The tokens in reading order: one is chosen, the others are shaded by how much it looks at them. */
function tokenStrip(part, found, onselect) {
  const buttons = found.queries.map((token, place) =>
    element("button", { type: "button", class: "token", tabIndex: place ? -1 : 0, "aria-pressed": "false" }, visible(token.text)),
  );
  const looked = found.keys.map((token) => element("span", { class: "token looked" }, visible(token.text)));
  const list = element("div", { "aria-live": "polite", class: "attention-list" });
  const from = element("div", { class: "strip", role: "group", "aria-label": "The token that looks" }, buttons);
  part.replaceChildren(
    element("h3", {}, "From"),
    from,
    element("h3", {}, "To"),
    element("div", { class: "strip", "aria-hidden": "true" }, looked),
    list,
  );
  const select = (query, focus = false) => {
    buttons.forEach((button, place) => {
      button.setAttribute("aria-pressed", String(place === query));
      button.tabIndex = place === query ? 0 : -1;
    });
    if (focus) buttons[query].focus();
    const weights = found.weights[query];
    looked.forEach((token, place) => token.style.setProperty("--share", weights[place]));
    list.replaceChildren(...mostLooked(found, query));
    onselect(query);
  };
  buttons.forEach((button, place) => button.addEventListener("click", () => select(place)));
  from.addEventListener("keydown", (event) => {
    const place = buttons.indexOf(document.activeElement);
    const moves = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: buttons.length - 1 };
    if (place < 0 || !(event.key in moves)) return;
    event.preventDefault();
    select(Math.max(0, Math.min(buttons.length - 1, moves[event.key])), true);
  });
  return { select };
}

function mostLooked(found, query) {
  const entries = found.weights[query]
    .map((score, place) => ({ name: visible(found.keys[place].text), score }))
    .sort((one, other) => other.score - one.score)
    .slice(0, LISTED);
  const label = `${visible(found.queries[query].text)} looks most at`;
  return [element("h3", {}, element("b", {}, visible(found.queries[query].text)), " looks most at"), bars(entries, { shown: percent, label })];
}
