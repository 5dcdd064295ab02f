/** The list of models that this server answers with. */

import { pathOf } from "./api.js";
import { element } from "./dom.js";
import { taskOf } from "./tasks.js";

const STATES = { ready: "Ready", loading: "Loading", failed: "Failed" };

/** The page of a model, for its own task or another that it can do. */
export const pageOf = (model, task = model.task) =>
  `/ui/models/${pathOf(model.id)}${task === model.task ? "" : `/pipeline/${pathOf(task)}`}`;

/** A word and a colored point for the state of a model. */
export function stateChip(state) {
  return element("span", { class: `state ${state}` }, element("span", { class: "point", "aria-hidden": "true" }), STATES[state] ?? state);
}

/** Facts about a model that fit in a line. */
export function facts(model) {
  return [
    model.max_length ? `reads ${model.max_length} tokens` : null,
    model.layers ? `${model.layers} layers, ${model.heads} heads` : null,
    model.parameter_count ? `${count(model.parameter_count)} parameters` : null,
    model.precision,
    model.device,
  ].filter(Boolean);
}

function count(number) {
  if (number >= 1e9) return `${(number / 1e9).toFixed(1)} B`;
  if (number >= 1e6) return `${(number / 1e6).toFixed(number < 1e7 ? 1 : 0)} M`;
  return `${Math.max(1, Math.round(number / 1e3))} K`;
}

function otherTasks(model) {
  const others = model.tasks.filter(({ task }) => task !== model.task);
  if (!others.length) return null;
  const links = others.map(({ task }) => element("a", { href: pageOf(model, task) }, task));
  return element("p", { class: "others" }, "Also: ", links.flatMap((link, place) => (place ? [", ", link] : [link])));
}

export function modelList(models) {
  const cards = models.map((model) =>
    element(
      "li",
      { class: "card" },
      element(
        "a",
        { href: pageOf(model) },
        element("span", { class: "card-name" }, model.id),
        element("span", { class: "card-task" }, model.task ?? ""),
      ),
      element("p", {}, model.error ?? taskOf(model.task)?.summary ?? ""),
      otherTasks(model),
      element("p", { class: "card-foot" }, stateChip(model.state), element("span", {}, facts(model).slice(0, 3).join(" · "))),
    ),
  );
  return element(
    "div",
    { class: "list" },
    element("h1", {}, "Models"),
    element(
      "p",
      { class: "lead" },
      models.length === 1 ? "One model answers here. " : `${models.length} models answer here. `,
      "Open one to try it; the same addresses answer the usual clients.",
    ),
    element("ul", { class: "cards" }, cards),
  );
}
