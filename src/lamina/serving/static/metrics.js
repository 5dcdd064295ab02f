/** What an answer cost, in one line. */

import { element } from "./dom.js";

/** Seconds as people read them. */
export function duration(seconds) {
  if (seconds < 0.0095) return `${(seconds * 1000).toFixed(1)} ms`;
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  return `${seconds.toFixed(seconds < 9.95 ? 2 : 1)} s`;
}

/**
 * @param {Object<string, number>} metrics as `ask` gives them
 * @returns {HTMLElement}
 */
export function metricLine(metrics) {
  const facts = [];
  const add = (name, value, title) => facts.push({ name, value, title });
  if (metrics.first !== undefined) add("First token", duration(metrics.first), "Until the first token arrived");
  if (metrics.written > 1 && metrics.writing > 0) {
    const pace = (metrics.written - 1) / metrics.writing;
    add("Pace", `${pace.toFixed(pace < 10 ? 1 : 0)} tokens/s`, "After the first token");
    add("Written", `${metrics.written} tokens`, "Tokens of the answer");
  }
  if (metrics.inference !== undefined && metrics.first === undefined) {
    add("Model", duration(metrics.inference), "Inside the model");
  } else if (metrics.compute !== undefined && metrics.first === undefined) {
    add("Compute", duration(metrics.compute), "On the server");
  }
  if (metrics.queue !== undefined) add("Queue", duration(metrics.queue), "Waiting for the model");
  add("Round trip", duration(metrics.total), "From the click to the whole answer");
  if (metrics.tokens !== undefined) add("Read", `${metrics.tokens} tokens`, "Tokens of the input");
  if (metrics.characters !== undefined) add("Input", `${metrics.characters} characters`, "Characters of the input");
  return element(
    "dl",
    { class: "metrics", "aria-label": "Latency and counts" },
    facts.map(({ name, value, title }) =>
      element("div", { title }, element("dt", {}, name), element("dd", {}, value)),
    ),
  );
}
