// Asks a server through @huggingface/inference, unmodified: JSON in, JSON out.
// Standard input holds {"packages": folder, "token": ..., "requests": [{url, task, inputs, parameters, stream}]};
// each answer is {"found": ...} or {"error": message, "status": ...}.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const given = JSON.parse(readFileSync(0, "utf8"));
const require = createRequire(`${given.packages}/`);
const { InferenceClient } = await import(pathToFileURL(require.resolve("@huggingface/inference")));

/** @param {string} task "text-classification" @returns {string} "textClassification" */
const method = (task) => task.replace(/-(\w)/g, (_, letter) => letter.toUpperCase());

/** @param {{url: string, task: string, inputs: unknown, parameters?: object, stream?: boolean}} request */
async function ask({ url, task, inputs, parameters, stream }) {
  const client = new InferenceClient(given.token, { endpointUrl: url });
  const body = parameters && Object.keys(parameters).length ? { inputs, parameters } : { inputs };
  if (!stream) return client[method(task)](body);
  const events = [];
  for await (const event of client[`${method(task)}Stream`](body)) events.push(event);
  return events;
}

const answers = [];
for (const request of given.requests) {
  try {
    answers.push({ found: await ask(request) });
  } catch (error) {
    answers.push({ error: error.message, status: error.httpResponse?.status, kind: error.name });
  }
}
process.stdout.write(JSON.stringify(answers));
