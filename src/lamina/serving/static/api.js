/** Every request of these pages: all go to the server that sent them. */

import { events } from "./sse.js";

const KEY = "lamina-key";

/** What the server, or the way to it, refused; `message` is for people. */
export class ServerError extends Error {
  constructor(message, status = 0, kind = "") {
    super(message);
    this.status = status;
    this.kind = kind;
  }
}

/** The API key of this tab, or an empty text. */
export const getKey = () => sessionStorage.getItem(KEY) ?? "";

export function setKey(key) {
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
}

/** A model's id as part of an address: its slashes stay. */
export const pathOf = (id) => id.split("/").map(encodeURIComponent).join("/");

/** Where a task of a model is asked. */
export const addressOf = (model) => `/${pathOf(model.api.slice(1))}`;

/** All models of this server. */
export async function listModels(signal) {
  return (await request("GET", "/playground/models", undefined, signal)).json();
}

/**
 * One question to a model. With `onevent` it is asked to write its answer as it comes.
 * @param {{api: string}} model
 * @param {Object} body
 * @param {{signal?: AbortSignal, onevent?: (event: any) => void}} options
 * @returns {Promise<{answer: any, metrics: Object<string, number>}>}
 */
export async function ask(model, body, { signal, onevent } = {}) {
  const begun = performance.now();
  const response = await request("POST", addressOf(model), body, signal);
  const metrics = readMetrics(response.headers);
  let answer;
  if ((response.headers.get("content-type") ?? "").startsWith("text/event-stream")) {
    answer = await written(response.body, onevent, metrics, begun);
  } else {
    answer = await response.json();
  }
  metrics.total = (performance.now() - begun) / 1000;
  return { answer, metrics };
}

async function written(body, onevent, metrics, begun) {
  let text = "";
  let last = null;
  for await (const event of events(body)) {
    if ("error" in event) throw new ServerError(String(event.error), 200, event.error_type);
    metrics.first ??= (performance.now() - begun) / 1000;
    metrics.written = (metrics.written ?? 0) + 1;
    text += event.token.special ? "" : event.token.text;
    last = event;
    onevent?.(event);
  }
  metrics.writing = (performance.now() - begun) / 1000 - (metrics.first ?? 0);
  return { generated_text: last?.generated_text ?? text, ...(last?.details ? { details: last.details } : {}) };
}

/** The tokens of a text: `[{ id, text, special, start, stop }]`. */
export async function tokenize(model, text, signal) {
  const response = await request("POST", `/models/${pathOf(model.id)}/tokenize`, { inputs: text }, signal);
  return (await response.json())[0];
}

/** The attention of one layer and head, or an overview of all. */
export async function attend(model, body, signal) {
  const asked = { task: model.task, ...body };
  return (await request("POST", `/playground/${pathOf(model.id)}/attention`, asked, signal)).json();
}

async function request(method, path, body, signal) {
  const headers = body === undefined ? {} : { "Content-Type": "application/json" };
  if (getKey()) headers.Authorization = `Bearer ${getKey()}`;
  let response;
  try {
    response = await fetch(path, { method, headers, body: body && JSON.stringify(body), signal, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("The server does not answer. Is it still running?");
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

async function refusal(response) {
  let message = "";
  let kind = "";
  try {
    const { error, error_type: type } = await response.json();
    message = typeof error === "string" ? error : (error?.message ?? "");
    kind = type ?? "";
  } catch {
    message = "";
  }
  if (response.status === 401) window.dispatchEvent(new Event("lamina-unauthorized"));
  return new ServerError(message || `The server answered ${response.status}.`, response.status, kind);
}

function readMetrics(headers) {
  const names = {
    compute: "x-compute-time",
    queue: "x-queue-time",
    inference: "x-inference-time",
    tokens: "x-compute-tokens",
    characters: "x-compute-characters",
  };
  const found = {};
  for (const [name, header] of Object.entries(names)) {
    const value = Number.parseFloat(headers.get(header) ?? "");
    if (Number.isFinite(value)) found[name] = value;
  }
  return found;
}
