/** The panel of a task's parameters: one control each, and only what was set is sent. */

import { element, freshId } from "./dom.js";
import { parametersOf, readValue, showValue } from "./schema.js";

/** `max_new_tokens` as people write it. */
const spoken = (name) => name.replaceAll("_", " ").replace(/^./, (letter) => letter.toUpperCase());

/**
 * @param {Object|null} schema
 * @param {string[]} elsewhere names that the form asks for itself
 * @param {() => void} onchange
 */
export function parameterPanel(schema, elsewhere, onchange) {
  const parameters = parametersOf(schema).filter((parameter) => !elsewhere.includes(parameter.name));
  const controls = new Map(parameters.map((parameter) => [parameter, control(parameter)]));
  const count = element("span", { class: "count", hidden: true });
  const reset = element("button", { type: "button", class: "quiet", hidden: true }, "Back to the defaults");
  const rows = parameters.map((parameter) => row(parameter, controls.get(parameter)));
  const panel = element(
    "details",
    { class: "parameters", hidden: parameters.length === 0 },
    element("summary", {}, "Parameters", count),
    element("div", { class: "parameter-grid" }, rows),
    reset,
  );

  const changed = () => {
    const set = [...controls.values()].filter((input) => input.value.trim() !== "").length;
    count.textContent = `${set} set`;
    count.hidden = reset.hidden = set === 0;
    onchange();
  };
  const write = (values) => {
    for (const [parameter, input] of controls) input.value = showValue(parameter, values[parameter.name]);
    changed();
  };
  reset.addEventListener("click", () => {
    write({});
    panel.querySelector("summary").focus();
  });
  panel.addEventListener("input", changed);
  return { panel, write, read: () => read(controls) };
}

/** Brings the control that an error of `read` is about into view. */
export function reveal(control) {
  control.closest("details").open = true;
  control.focus();
}

/** The values that were set; throws an error that names its `control` where one makes no sense. */
function read(controls) {
  const values = {};
  for (const [parameter, input] of controls) {
    const text = input.validity?.badInput ? "not a number" : input.value;
    let value;
    try {
      value = readValue(parameter, text);
    } catch {
      value = Number.NaN;
    }
    input.removeAttribute("aria-invalid");
    if (Number.isNaN(value)) {
      input.setAttribute("aria-invalid", "true");
      const message = `${parameter.name} must be ${parameter.kind === "json" ? "JSON" : "a number"}.`;
      throw Object.assign(new Error(message), { control: input });
    }
    if (value !== undefined) values[parameter.name] = value;
  }
  return values;
}

function row(parameter, input) {
  const help = parameter.help ? element("p", { class: "help", id: `${input.id}-help` }, parameter.help) : null;
  if (help) input.setAttribute("aria-describedby", help.id);
  return element(
    "div",
    { class: "parameter" },
    element("label", { for: input.id }, spoken(parameter.name)),
    input,
    help,
  );
}

function control(parameter) {
  const id = freshId("parameter");
  const fallback = parameter.fallback === null ? "default" : `default: ${showValue(parameter, parameter.fallback)}`;
  if (parameter.kind === "boolean" || parameter.kind === "choice") {
    const usual = parameter.fallback === null ? "Default" : `Default (${onOff(parameter.fallback)})`;
    const choices = parameter.kind === "boolean" ? [true, false] : parameter.choices.filter((one) => one !== null);
    return element(
      "select",
      { id },
      element("option", { value: "" }, usual),
      choices.map((choice) => element("option", { value: String(choice) }, onOff(choice))),
    );
  }
  if (parameter.kind === "integer" || parameter.kind === "number") {
    return element("input", {
      id,
      type: "number",
      inputmode: parameter.kind === "integer" ? "numeric" : "decimal",
      step: parameter.kind === "integer" ? 1 : "any",
      min: parameter.minimum,
      max: parameter.maximum,
      placeholder: fallback,
    });
  }
  const placeholder = parameter.kind === "list" ? "one, two, …" : parameter.kind === "json" ? "JSON" : fallback;
  return element("input", { id, type: "text", placeholder, spellcheck: "false", dir: "auto" });
}

const onOff = (value) => (value === true ? "On" : value === false ? "Off" : String(value));
