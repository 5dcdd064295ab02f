// Asks a server through the openai package for JavaScript, unmodified: JSON in, JSON out.
// Standard input holds {"packages": folder, "base": url, "token": ..., "embed": model, "write": model, "text": ...}.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const given = JSON.parse(readFileSync(0, "utf8"));
const require = createRequire(`${given.packages}/`);
const { default: OpenAI } = await import(pathToFileURL(require.resolve("openai")));
const client = new OpenAI({ baseURL: given.base, apiKey: given.token ?? "unused", maxRetries: 0 });
const prompt = { model: given.write, prompt: given.text, max_tokens: 8, temperature: 0 };

/** @param {() => Promise<unknown>} call */
async function failure(call) {
  try {
    await call();
    return null;
  } catch (error) {
    return { kind: error.constructor.name, status: error.status, message: error.message };
  }
}

const events = [];
for await (const event of await client.completions.create({ ...prompt, stream: true })) events.push(event);
const found = {
  embedding: (await client.embeddings.create({ model: given.embed, input: given.text })).data[0].embedding,
  embeddings: await client.embeddings.create({ model: given.embed, input: [given.text, "Other."], encoding_format: "float" }),
  completion: await client.completions.create(prompt),
  events,
  models: (await client.models.list()).data,
  unknown: await failure(() => client.embeddings.create({ model: "nobody", input: given.text })),
  refused: await failure(() => client.completions.create({ ...prompt, max_tokens: -1 })),
};
process.stdout.write(JSON.stringify(found));
