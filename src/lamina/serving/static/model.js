/** The page of one model: its form on the left, what it answers on the right. */

import { decodeState, encodeState, writeAddress } from "./address.js";
import { announce, copyButton, element, icon, later } from "./dom.js";
import { field } from "./fields.js";
import { facts, pageOf, stateChip } from "./models.js";
import { output } from "./output.js";
import { parameterPanel, reveal } from "./parameters.js";
import { bodyOf, missingField, taskOf } from "./tasks.js";

const MAC = /Mac|iPhone|iPad/.test(navigator.platform);
const TYPING = 300; // milliseconds of quiet before the address and the tokens follow

/** @param {Object} model as /playground/models describes it */
export function modelView(model) {
  const task = taskOf(model.task);
  const view = element("div", { class: "model" }, heading(model, task));
  if (model.state === "failed") {
    view.append(element("p", { class: "notice error", role: "alert" }, `This model could not be loaded. ${model.error ?? ""}`));
  } else if (model.state === "loading") {
    view.append(
      element("p", { class: "notice", role: "status" }, element("span", { class: "spinner", "aria-hidden": "true" }), "The weights are being read. This page goes on by itself."),
    );
  } else if (!task) {
    view.append(element("p", { class: "notice" }, `There is no form for ${model.task}; it answers over HTTP, see `, element("a", { href: "/docs" }, "the API"), "."));
  } else {
    view.append(workbench(model, task));
  }
  return view;
}

function heading(model, task) {
  const known = facts(model);
  return element(
    "div",
    { class: "heading" },
    element("h1", {}, model.id),
    element("p", { class: "lead" }, task?.summary ?? ""),
    element(
      "p",
      { class: "chips" },
      taskChoice(model),
      stateChip(model.state),
      element("span", { class: "soft" }, known.join(" · ")),
    ),
  );
}

/** The task, or links to every task that the model can do. */
function taskChoice(model) {
  if (model.own.tasks.length < 2) return model.task ? element("span", { class: "chip" }, model.task) : null;
  return element(
    "span",
    { class: "task-choice", role: "navigation", "aria-label": "Tasks of this model" },
    model.own.tasks.map(({ task }) =>
      element("a", { class: "chip", href: pageOf(model.own, task), "aria-current": task === model.task ? "page" : null }, task),
    ),
  );
}

function workbench(model, task) {
  const fields = task.fields.map((spec) => field(spec));
  const panel = parameterPanel(model.parameters, task.promoted ?? [], () => changed());
  const error = element("p", { class: "notice error", role: "alert", hidden: true });
  const out = output(model, task);
  let running = null;

  const values = () => Object.fromEntries(fields.map((one) => [one.spec.name, one.read()]));
  const body = () => bodyOf(task, values(), panel.read());
  const fail = (message) => {
    error.textContent = message;
    error.hidden = !message;
  };
  const remember = () => {
    let parameters = {};
    try {
      parameters = panel.read();
    } catch {
      return; // half a number is not a state to come back to
    }
    const kept = values();
    for (const [name, value] of Object.entries(kept)) if (value === false || value === "") delete kept[name];
    writeAddress(encodeState(kept, parameters));
    out.input({ values: values(), body: body() });
  };
  const changed = later(TYPING, remember);
  const fill = (given, parameters) => {
    for (const one of fields) one.write(given[one.spec.name] ?? "");
    panel.write(parameters ?? {});
  };

  const run = async () => {
    fail("");
    const given = values();
    const missing = missingField(task, given);
    if (missing) {
      fail(`${missing.label} is empty.`);
      fields.find((one) => one.spec === missing).first().focus();
      return;
    }
    let asked;
    try {
      asked = body();
    } catch (problem) {
      fail(problem.message);
      reveal(problem.control);
      return;
    }
    remember();
    running?.abort();
    const own = new AbortController();
    running = own;
    buttons.busy(true);
    try {
      await out.run({ values: given, body: asked }, own.signal);
    } catch (problem) {
      if (problem.name === "AbortError") announce("Stopped");
      else fail(problem.message);
    } finally {
      if (running === own) {
        running = null;
        buttons.busy(false);
      }
    }
  };
  const stop = () => running?.abort();
  const clear = () => {
    stop();
    fill({}, {});
    fail("");
    out.clear();
    writeAddress("");
    fields[0].first().focus();
  };
  const buttons = actions(run, stop, clear);
  const start = ({ inputs, parameters }) => {
    fill(inputs, parameters);
    run();
  };

  const form = element(
    "form",
    { class: "pane ask", "aria-label": "Input", novalidate: true },
    element("h2", { class: "unseen" }, "Input"),
    examples(model, start),
    fields.map((one) => [one.part, one.spec.masked && model.mask_token ? maskButton(model, one.first()) : null]),
    buttons.part,
    error,
    panel.panel,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run();
  });
  form.addEventListener("input", changed);
  listen({ run, stop, first: () => fields[0].first() });

  const state = decodeState(location.hash);
  if (state) start(state);
  return element("div", { class: "bench" }, form, out.part);
}

function examples(model, start) {
  if (!model.examples?.length) return null;
  const buttons = model.examples.map((example) => {
    const button = element("button", { type: "button", class: "example", dir: "auto" }, example.title);
    button.addEventListener("click", () => start(example));
    return button;
  });
  return element("div", { class: "examples", role: "group", "aria-label": "Examples" }, element("span", { class: "small-label" }, "Examples"), buttons);
}

function maskButton(model, input) {
  const button = element("button", { type: "button", class: "quiet mask" }, icon("plus"), "Gap ", element("code", {}, model.mask_token));
  button.addEventListener("click", () => {
    input.setRangeText(model.mask_token, input.selectionStart, input.selectionEnd, "end");
    input.focus();
    input.dispatchEvent(new Event("input", { bubbles: true }));
  });
  return button;
}

function actions(run, stop, clear) {
  const start = element(
    "button",
    { type: "submit", class: "primary" },
    icon("run"),
    "Run",
    element("kbd", { "aria-hidden": "true" }, MAC ? "⌘ ↵" : "Ctrl ↵"),
  );
  const halt = element("button", { type: "button", hidden: true }, icon("stop"), "Stop", element("kbd", { "aria-hidden": "true" }, "Esc"));
  const wipe = element("button", { type: "button", class: "quiet" }, "Clear");
  halt.addEventListener("click", stop);
  wipe.addEventListener("click", clear);
  start.setAttribute("aria-keyshortcuts", MAC ? "Meta+Enter" : "Control+Enter");
  halt.setAttribute("aria-keyshortcuts", "Escape");
  return {
    part: element("div", { class: "actions" }, start, halt, wipe, element("span", { class: "grow" }), copyButton("Copy link", () => location.href, "link")),
    busy: (busy) => {
      const held = document.activeElement === halt;
      halt.hidden = !busy;
      if (!busy && held) start.focus();
    },
  };
}

/** Keys that work wherever one is on the page. */
function listen({ run, stop, first }) {
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      run();
    } else if (event.key === "Escape") {
      stop();
    } else if (event.key === "/" && !event.target.closest("input, textarea, select")) {
      event.preventDefault();
      first().focus();
    }
  });
}
