// Talking to the server: JSON in which large integers stay exact, and errors with the server's own words.

/** What the server refused, in its words; `code` is its X-Error-Code, `body` the JSON it sent. */
export class ApiError extends Error {
  constructor(message, code, status, body) {
    super(message);
    this.name = "ApiError";
    this.code = code;
    this.status = status;
    this.body = body;
  }
}

/** JSON text to a value; integers beyond 2^53 become BigInt where the browser tells their digits. */
export function parse(text) {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  return JSON.parse(text, function (_key, value, context) {
    const rounded = typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value);
    return rounded && context && /^-?\d+$/.test(context.source) ? BigInt(context.source) : value;
  });
}

/** The query string of `params`; null, undefined and empty values are left out. */
export function query(params) {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== null && value !== undefined && value !== "") found.set(name, String(value));
  }
  return found.toString();
}

/** Fetches, and turns every kind of failure into an ApiError; an abort stays an AbortError. */
export async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server does not answer. Is `lamina view` still running?", "Unreachable", 0, null);
  }
  if (response.ok) return response;
  const text = await response.text();
  let body = null;
  try {
    body = parse(text);
  } catch {
    // not JSON: a proxy's page, say
  }
  const message = body?.error ?? `The server answered ${response.status} ${response.statusText}`;
  throw new ApiError(message, response.headers.get("X-Error-Code") ?? "", response.status, body);
}

/** GET as JSON. */
export async function get(path, params = {}, signal = undefined) {
  const text = query(params);
  const response = await request(text ? `${path}?${text}` : path, { signal });
  return parse(await response.text());
}

/** POST of JSON, answered by JSON. */
export async function post(path, body, signal = undefined) {
  const headers = { "Content-Type": "application/json" };
  const response = await request(path, { method: "POST", headers, body: JSON.stringify(body), signal });
  return parse(await response.text());
}

/** The lines of a streamed answer, each parsed, as they come. */
export async function* lines(path, params, signal) {
  const response = await request(`${path}?${query(params)}`, { signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    rest += value ?? "";
    const whole = rest.split("\n");
    rest = done ? "" : whole.pop();
    for (const line of whole) if (line) yield parse(line);
    if (done) return;
  }
}
