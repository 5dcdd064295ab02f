/** What a task asks for: texts, a list of sentences, labels. Each field reads and writes plain values. */

import { element, freshId, icon } from "./dom.js";

/**
 * @typedef {Object} FieldSpec
 * @property {string} name
 * @property {string} label
 * @property {"text"|"line"|"list"|"labels"|"switch"} kind
 * @property {string} [help]
 * @property {number} [rows]
 * @property {boolean} [optional]
 */

/**
 * @param {FieldSpec} spec
 * @returns {{spec: FieldSpec, part: HTMLElement, read: () => any, write: (value: any) => void, first: () => HTMLElement}}
 */
export function field(spec) {
  if (spec.kind === "list") return sentenceList(spec);
  if (spec.kind === "switch") return toggle(spec);
  const id = freshId(spec.name);
  const help = spec.help ? element("p", { class: "help", id: `${id}-help` }, spec.help) : null;
  const common = { id, dir: "auto", "aria-describedby": help?.id, "data-field": spec.name };
  const input =
    spec.kind === "text"
      ? element("textarea", { ...common, rows: spec.rows ?? 5 })
      : element("input", { ...common, type: "text", autocomplete: "off" });
  const heading = element("label", { for: id }, spec.label, spec.optional ? element("span", {}, " (optional)") : null);
  const labels = spec.kind === "labels";
  return {
    spec,
    part: element("div", { class: "field" }, heading, input, help),
    read: () => (labels ? input.value.split(",").map((one) => one.trim()).filter(Boolean) : input.value),
    write: (value) => {
      const given = labels || !Array.isArray(value) ? value : value[0];
      input.value = Array.isArray(given) ? given.join(", ") : (given ?? "");
    },
    first: () => input,
  };
}

function toggle(spec) {
  const id = freshId(spec.name);
  const input = element("input", { type: "checkbox", id, "data-field": spec.name });
  return {
    spec,
    part: element("div", { class: "field switch" }, input, element("label", { for: id }, spec.label)),
    read: () => input.checked,
    write: (value) => (input.checked = String(value) === "true"),
    first: () => input,
  };
}

/** Sentences, each in a line of its own, as many as one likes. */
function sentenceList(spec) {
  const list = element("ol", { class: "sentences" });
  const more = element("button", { type: "button", class: "quiet" }, icon("plus"), "Add a sentence");
  const inputs = () => [...list.querySelectorAll("input")];
  const changed = () => list.dispatchEvent(new Event("input", { bubbles: true }));
  const renumber = () => {
    const rows = [...list.children];
    rows.forEach((row, place) => {
      row.querySelector("input").setAttribute("aria-label", `Sentence ${place + 1}`);
      const button = row.querySelector("button");
      button.setAttribute("aria-label", `Remove sentence ${place + 1}`);
      button.disabled = rows.length === 1;
    });
  };
  const add = (text) => {
    const input = element("input", { type: "text", value: text, dir: "auto", "data-field": spec.name });
    const remove = element("button", { type: "button", class: "quiet square" }, icon("cross"));
    const row = element("li", {}, input, remove);
    remove.addEventListener("click", () => {
      const next = (row.nextElementSibling ?? row.previousElementSibling).querySelector("input");
      row.remove();
      renumber();
      next.focus();
      changed();
    });
    list.append(row);
    renumber();
    return input;
  };
  more.addEventListener("click", () => {
    add("").focus();
    changed();
  });
  add("");
  return {
    spec,
    part: element("fieldset", { class: "field" }, element("legend", {}, spec.label), list, more),
    read: () => inputs().map((input) => input.value).filter((text) => text.trim() !== ""),
    write: (value) => {
      list.replaceChildren();
      const given = Array.isArray(value) ? value : [value ?? ""];
      for (const text of given.length ? given : [""]) add(text);
    },
    first: () => inputs()[0],
  };
}
