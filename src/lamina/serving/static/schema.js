/** A task's parameters, as the server's JSON Schema states them, brought down to what a form needs. */

/**
 * @typedef {Object} Parameter
 * @property {string} name
 * @property {"number"|"integer"|"boolean"|"choice"|"text"|"list"|"json"} kind
 * @property {string} help
 * @property {any} fallback what the server takes where nothing is said
 * @property {number} [minimum]
 * @property {number} [maximum]
 * @property {any[]} [choices]
 */

/**
 * @param {Object} schema of an object
 * @returns {Parameter[]}
 */
export function parametersOf(schema) {
  const definitions = schema?.$defs ?? {};
  return Object.entries(schema?.properties ?? {}).map(([name, property]) => describe(name, property, definitions));
}

function describe(name, property, definitions) {
  const core = unwrapped(property, definitions);
  return {
    name,
    kind: kindOf(core),
    help: property.description ?? core.description ?? "",
    fallback: property.default ?? core.default ?? null,
    minimum: lowest(core),
    maximum: core.maximum ?? core.exclusiveMaximum,
    choices: core.enum ?? (core.const === undefined ? undefined : [core.const]),
  };
}

/** The one type of a property that may also be null; of several the first that a form can ask for. */
function unwrapped(property, definitions) {
  if (property.$ref) return unwrapped(definitions[property.$ref.split("/").pop()] ?? {}, definitions);
  const options = property.anyOf ?? property.oneOf ?? (property.allOf?.length === 1 ? property.allOf : null);
  if (!options) return property;
  const real = options.map((option) => unwrapped(option, definitions)).filter((option) => option.type !== "null");
  const list = real.find((option) => option.type === "array" && option.items?.type === "string");
  return list ?? real[0] ?? {};
}

function kindOf(core) {
  if (core.enum) return "choice";
  if (core.type === "array") return (core.items?.type ?? "string") === "string" ? "list" : "json";
  if (core.type === "string") return "text";
  if (core.type === "boolean" || core.type === "integer" || core.type === "number") return core.type;
  return "json";
}

function lowest(core) {
  if (core.minimum !== undefined) return core.minimum;
  if (core.exclusiveMinimum === undefined) return undefined;
  return core.type === "integer" ? core.exclusiveMinimum + 1 : core.exclusiveMinimum;
}

/**
 * What a control's text says, as the server wants it; undefined where it says nothing.
 * @param {Parameter} parameter
 * @param {string} text
 */
export function readValue(parameter, text) {
  if (text.trim() === "") return undefined;
  switch (parameter.kind) {
    case "boolean":
      return text === "true";
    case "integer":
    case "number":
      return Number(text);
    case "list":
      return text.split(",").map((part) => part.trim()).filter(Boolean);
    case "json":
      return JSON.parse(text);
    case "choice":
      return parameter.choices.find((choice) => String(choice) === text);
    default:
      return text;
  }
}

/** The text that a control shows for a value. */
export function showValue(parameter, value) {
  if (value === undefined || value === null) return "";
  if (parameter.kind === "list") return Array.isArray(value) ? value.join(", ") : String(value);
  return parameter.kind === "json" ? JSON.stringify(value) : String(value);
}
