/** The tasks as the page sees them: what each asks for, what it sends, and what shows its answer. */

import { features } from "./features.js";
import { choices, fillings, labels, similarities } from "./bars.js";
import { entities, passages } from "./spans.js";
import { continuation, rewritten } from "./writing.js";

/**
 * @typedef {Object} PageTask
 * @property {string} summary what it does, for those who meet it first
 * @property {import("./fields.js").FieldSpec[]} fields
 * @property {(values: Object<string, any>) => any} inputs the `inputs` of the request
 * @property {string[]} [promoted] parameters that the form asks for as fields
 * @property {boolean} [rooted] whether parameters stand beside `inputs` instead of below `parameters`
 * @property {boolean} [streams] whether its text comes token by token without being asked to
 * @property {(answer: any, context: Object) => Node} show
 */

const TEXT = { name: "text", label: "Text", kind: "text" };
const SHORT = { ...TEXT, rows: 3 };
const alone = ({ text }) => text;
const AS_IT_COMES = { name: "stream", label: "Show the text as it comes (greedy search)", kind: "switch" };

/** @type {Object<string, PageTask>} */
export const TASKS = {
  "text-classification": {
    summary: "Gives a text a label, such as its sentiment.",
    fields: [
      { ...TEXT, rows: 4 },
      { name: "text_pair", label: "Second text", kind: "line", optional: true, help: "For models that judge pairs." },
    ],
    inputs: ({ text, text_pair: pair }) => (pair ? { text, text_pair: pair } : text),
    show: labels,
  },
  "token-classification": {
    summary: "Finds names of people, places and the like in a text.",
    fields: [TEXT],
    inputs: alone,
    show: entities,
  },
  "question-answering": {
    summary: "Finds the passage of a text that answers a question.",
    fields: [
      { name: "question", label: "Question", kind: "line" },
      { name: "context", label: "Where to look", kind: "text", rows: 8 },
    ],
    inputs: ({ question, context }) => ({ question, context }),
    show: passages,
  },
  "fill-mask": {
    summary: "Guesses the words of a gap.",
    fields: [{ ...SHORT, masked: true }],
    inputs: alone,
    show: fillings,
  },
  "zero-shot-classification": {
    summary: "Judges which of your own labels fit a text.",
    fields: [
      { ...TEXT, rows: 4 },
      { name: "candidate_labels", label: "Labels", kind: "labels", help: "Any words, with commas between them." },
      { name: "multi_label", label: "Several labels may be true", kind: "switch" },
    ],
    promoted: ["candidate_labels", "multi_label"],
    inputs: alone,
    show: choices,
  },
  "sentence-similarity": {
    summary: "Measures how close sentences are in meaning.",
    fields: [
      { name: "source_sentence", label: "Source sentence", kind: "line" },
      { name: "sentences", label: "Compared with", kind: "list" },
    ],
    inputs: ({ source_sentence, sentences }) => ({ source_sentence, sentences }),
    show: similarities,
  },
  "feature-extraction": {
    summary: "Turns a text into vectors.",
    fields: [SHORT],
    inputs: alone,
    rooted: true,
    show: features,
  },
  "text-generation": {
    summary: "Goes on from a text, token by token.",
    fields: [{ ...TEXT, label: "Prompt" }],
    inputs: alone,
    streams: true,
    show: continuation,
  },
  "text2text-generation": {
    summary: "Writes a text for a text, by whatever the model was trained for.",
    fields: [TEXT, AS_IT_COMES],
    inputs: alone,
    show: rewritten,
  },
  summarization: {
    summary: "Writes the gist of a text.",
    fields: [{ ...TEXT, rows: 10 }, AS_IT_COMES],
    inputs: alone,
    show: rewritten,
  },
  translation: {
    summary: "Writes a text in another language.",
    fields: [TEXT, AS_IT_COMES],
    inputs: alone,
    show: rewritten,
  },
};

/** The row of a task, which may name its languages. */
export const taskOf = (name) => TASKS[name] ?? TASKS[/^translation_/.test(name) ? "translation" : ""];

/**
 * The body of a request.
 * @param {PageTask} task
 * @param {Object<string, any>} values of the fields
 * @param {Object<string, any>} parameters of the panel
 */
export function bodyOf(task, values, parameters) {
  const promoted = Object.fromEntries((task.promoted ?? []).map((name) => [name, values[name]]));
  const all = { ...promoted, ...parameters };
  const body = { inputs: task.inputs(values) };
  if (task.rooted) Object.assign(body, all);
  else if (Object.keys(all).length) body.parameters = all;
  if ((task.streams && flows(parameters)) || values.stream) body.stream = true;
  return body;
}

/** Whether a text can be told token by token: there is one of it, and no search that changes its mind. */
const flows = (parameters) =>
  ["num_return_sequences", "best_of", "num_beams"].every((name) => (parameters[name] ?? 1) <= 1);

/** The first of the fields that must not be empty and is. */
export function missingField(task, values) {
  return task.fields.find(({ name, kind, optional }) => kind !== "switch" && !optional && !values[name]?.length);
}
