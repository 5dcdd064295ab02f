/** What comes back: the answer, and beside it the tokens, the attention, the JSON and the code of the request. */

import { ask } from "./api.js";
import { attentionView } from "./attention.js";
import { showCode } from "./code.js";
import { announce, element, later } from "./dom.js";
import { showJson } from "./json.js";
import { metricLine } from "./metrics.js";
import { tabs } from "./tabs.js";
import { showTokens } from "./tokens.js";
import { stream } from "./writing.js";

const plainTask = (name) => (name.startsWith("translation") ? "translation" : name);
const LONGEST_TARGET = 2000; // UTF-16 units, within the server's limit
const nothing = (text) => element("p", { class: "nothing" }, text);

/**
 * @param {Object} model
 * @param {import("./tasks.js").PageTask} task
 */
export function output(model, task) {
  const panels = {};
  const panelOf = (name, title) => ({ name, title, panel: (panels[name] = element("div", { class: "panel" })) });
  const entries = [
    panelOf("answer", "Answer"),
    panelOf("tokens", "Tokens"),
    ...(model.layers ? [panelOf("attention", "Attention")] : []),
    panelOf("json", "JSON"),
    panelOf("code", "Code"),
  ];
  const footer = element("div", { class: "pane-foot" });
  const state = { values: {}, body: null, answer: null, answered: null, running: null };
  const fail = (panel) => (error) => {
    if (error.name !== "AbortError") panel.replaceChildren(element("p", { class: "notice error", role: "alert" }, error.message));
  };
  const attention = model.layers ? attentionView(panels.attention, model, fail(panels.attention)) : null;
  const draw = {
    answer: () => {},
    tokens: later(0, () => drawTokens(panels.tokens, model, task, state, fail(panels.tokens))),
    attention: () => {
      const { body, answered, answer } = state;
      if (!body || isEmpty(body.inputs)) panels.attention.replaceChildren(nothing("Write something to see where the model looks."));
      else attention.load({ inputs: body.inputs, parameters: body.parameters, target: targetOf(body, answered, answer) });
    },
    json: () => (state.answer === null ? panels.json.replaceChildren(nothing("No answer yet.")) : showJson(panels.json, state.answer)),
    code: () => (state.body ? showCode(panels.code, model, plainTask(model.task), state.body) : panels.code.replaceChildren(nothing("Write something to see the request as code."))),
  };
  const bar = tabs("What to see", entries, (name) => draw[name]());
  const part = element("section", { class: "pane out", "aria-label": "Output" }, element("h2", { class: "unseen" }, "Output"), bar.list, entries.map(({ panel }) => panel), footer);
  const clear = () => {
    Object.assign(state, { values: {}, body: null, answer: null, answered: null });
    panels.answer.replaceChildren(nothing("Click an example, or write something and run it."));
    footer.replaceChildren();
    draw[bar.chosen()]?.();
  };

  const run = async (request, signal) => {
    Object.assign(state, request, { running: request });
    part.setAttribute("aria-busy", "true");
    const flow = request.body.stream ? stream(task.streams ? request.values.text : "") : null;
    try {
      const onevent = flow && ((event) => show(panels.answer, flow, event));
      const { answer, metrics } = await ask(model, request.body, { signal, onevent });
      Object.assign(state, { answer, answered: request.body });
      panels.answer.replaceChildren(task.show(answer, { values: request.values, task: plainTask(model.task), mask: model.mask_token }));
      footer.replaceChildren(metricLine(metrics));
      announce(`Answer: ${heard(panels.answer)}`);
      draw[bar.chosen()]();
    } finally {
      flow?.end();
      if (state.running === request) part.removeAttribute("aria-busy");
    }
  };
  bar.select("answer");
  clear();
  return {
    part,
    run,
    clear,
    input: (request) => {
      Object.assign(state, request);
      if (["tokens", "code"].includes(bar.chosen())) draw[bar.chosen()]();
    },
  };
}

/** The first piece of a stream takes the place of the last answer. */
function show(panel, flow, event) {
  if (!panel.contains(flow.part)) panel.replaceChildren(flow.part);
  flow.push(event);
}

const isEmpty = (inputs) => (typeof inputs === "string" ? inputs.trim() === "" : Object.values(inputs).some((one) => !one.length));

/** What was written for just this input: the decoder's side of an attention map. */
function targetOf(body, answered, answer) {
  if (answered === null || JSON.stringify(answered) !== JSON.stringify(body)) return undefined;
  const first = Array.isArray(answer) ? answer[0] : answer;
  return (first?.summary_text ?? first?.translation_text ?? first?.generated_text)?.slice(0, LONGEST_TARGET);
}

function drawTokens(panel, model, task, state, onerror) {
  state.tokens?.abort();
  state.tokens = new AbortController();
  const texts = task.fields
    .filter(({ kind }) => kind !== "switch")
    .flatMap(({ name, label, kind }) => {
      const value = state.values[name] ?? "";
      if (!Array.isArray(value)) return [{ label, text: value }];
      return value.map((text, place) => ({ label: kind === "list" ? `${label} ${place + 1}` : text, text }));
    });
  showTokens(panel, model, texts, state.tokens.signal).catch(onerror);
}

/** What an answer sounds like: the best of its bars, its new text, or how many places it marked. */
function heard(panel) {
  const best = panel.querySelector(".bars li.best");
  if (best) return `${best.querySelector(".bar-name").textContent}, ${best.querySelector(".bar-score").textContent}`;
  const fresh = panel.querySelector(".fresh");
  if (fresh) return fresh.textContent;
  const marks = panel.querySelectorAll("mark").length;
  return marks ? `${marks} places marked` : "ready";
}
