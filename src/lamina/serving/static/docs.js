/** The API, drawn from the server's own OpenAPI document. */

import { element } from "./dom.js";

const METHODS = ["get", "post", "put", "patch", "delete", "head"];
const DEEPEST = 3; // objects within objects that are shown

/** What a `$ref` of the document points to. */
function resolved(document, schema) {
  if (!schema?.$ref) return schema ?? {};
  return resolved(document, schema.$ref.slice(2).split("/").reduce((part, name) => part?.[name], document));
}

/** The type of a schema in a few words. */
function typeName(document, given) {
  const schema = resolved(document, given);
  const options = schema.anyOf ?? schema.oneOf;
  if (options) return [...new Set(options.map((option) => typeName(document, option)))].join(" | ");
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.type === "array") return `[${typeName(document, schema.items ?? {})}]`;
  return schema.title && schema.properties ? schema.title : (schema.type ?? "any");
}

/** The object inside a schema, if there is one: itself, its items, or one of its options. */
function objectIn(document, given) {
  const schema = resolved(document, given);
  if (schema.properties) return schema;
  for (const inner of [schema.items, ...(schema.anyOf ?? schema.oneOf ?? [])]) {
    const found = inner && objectIn(document, inner);
    if (found) return found;
  }
  return null;
}

function limits(schema) {
  const names = { minimum: "≥", maximum: "≤", exclusiveMinimum: ">", exclusiveMaximum: "<" };
  const facts = Object.entries(names).filter(([name]) => schema[name] !== undefined);
  const bounds = facts.map(([name, sign]) => ` ${sign} ${schema[name]}`).join("");
  return schema.default === undefined || schema.default === null ? bounds : `${bounds}, default ${JSON.stringify(schema.default)}`;
}

function fieldList(document, object, depth = 0) {
  const entries = Object.entries(object.properties ?? {});
  return element(
    "ul",
    { class: "fields" },
    entries.map(([name, property]) => {
      const inner = depth < DEEPEST ? objectIn(document, property) : null;
      return element(
        "li",
        {},
        element("code", {}, name),
        element("span", { class: "type" }, typeName(document, property) + limits(resolved(document, property))),
        object.required?.includes(name) ? element("span", { class: "must" }, "required") : null,
        property.description ? element("p", {}, property.description) : null,
        inner && inner !== object ? fieldList(document, inner, depth + 1) : null,
      );
    }),
  );
}

function body(document, title, content) {
  return Object.entries(content ?? {}).flatMap(([media, { schema = {} }]) => {
    const object = objectIn(document, schema);
    return [
      element("h3", {}, `${title}: `, element("code", {}, media), element("span", { class: "type" }, typeName(document, schema))),
      object ? fieldList(document, object) : null,
    ];
  });
}

function operation(document, path, method, described) {
  const parameters = (described.parameters ?? []).map((one) => resolved(document, one));
  const asked = {
    properties: Object.fromEntries(parameters.map((one) => [one.name, { ...resolved(document, one.schema), description: one.description }])),
    required: parameters.filter((one) => one.required).map((one) => one.name),
  };
  const answers = Object.entries(described.responses ?? {}).map(([status, answer]) =>
    element("li", {}, element("code", {}, status), " ", element("span", { class: "soft" }, resolved(document, answer).description ?? "")),
  );
  const request = resolved(document, described.requestBody ?? {});
  const good = Object.entries(described.responses ?? {}).find(([status]) => status.startsWith("2"));
  return element(
    "details",
    { class: "operation" },
    element(
      "summary",
      {},
      element("span", { class: "method" }, method.toUpperCase()),
      element("span", { class: "path" }, path),
      element("span", { class: "soft" }, described.summary ?? ""),
    ),
    element(
      "div",
      { class: "inside" },
      described.description ? element("p", {}, described.description) : null,
      parameters.length ? [element("h3", {}, "Parameters"), fieldList(document, asked)] : null,
      body(document, "Request", request.content),
      good ? body(document, "Answer", resolved(document, good[1]).content) : null,
      element("h3", {}, "Statuses"),
      element("ul", { class: "fields" }, answers),
    ),
  );
}

function page(document) {
  const groups = new Map();
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const method of METHODS.filter((name) => methods[name])) {
      const tag = methods[method].tags?.[0] ?? "Other";
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(operation(document, path, method, methods[method]));
    }
  }
  const { title, version, description } = document.info;
  return element(
    "div",
    { class: "docs" },
    element("div", { class: "heading" }, element("h1", {}, `${title} ${version}`), description ? element("p", { class: "lead" }, description) : null),
    [...groups].map(([tag, operations]) => element("section", {}, element("h2", {}, tag), operations)),
  );
}

const main = document.getElementById("main");
try {
  const response = await fetch("/openapi.json");
  if (!response.ok) throw new Error(`The server answered ${response.status}.`);
  main.replaceChildren(page(await response.json()));
} catch (error) {
  main.replaceChildren(element("p", { class: "notice error", role: "alert" }, error.message));
}
