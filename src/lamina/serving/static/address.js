/**
 * The input kept in the page's address, so that a link or a reload brings it back. It stands behind the `#`, which
 * browsers never send: what is typed here enters no server's log.
 */

const LONGEST = 16_000;

/**
 * @param {Object<string, string|string[]>} inputs by field
 * @param {Object<string, any>} parameters
 */
export function encodeState(inputs, parameters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(inputs)) {
    for (const text of Array.isArray(value) ? value : [value]) query.append(name, text);
  }
  if (Object.keys(parameters).length) query.set("parameters", JSON.stringify(parameters));
  const encoded = query.toString();
  return encoded.length > LONGEST ? "" : encoded;
}

/**
 * @param {string} fragment with or without its `#`
 * @returns {{inputs: Object<string, string[]>, parameters: Object<string, any>} | null} null where there is nothing
 */
export function decodeState(fragment) {
  const query = new URLSearchParams(fragment.replace(/^#/, ""));
  const inputs = {};
  let parameters = {};
  for (const [name, value] of query) {
    if (name === "parameters") parameters = parsed(value);
    else (inputs[name] ??= []).push(value);
  }
  return Object.keys(inputs).length ? { inputs, parameters } : null;
}

function parsed(text) {
  try {
    const value = JSON.parse(text);
    return value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};
  } catch {
    return {};
  }
}

export function writeAddress(encoded) {
  history.replaceState(null, "", encoded ? `#${encoded}` : location.pathname + location.search);
}
