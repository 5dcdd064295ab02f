// A client of `lamina serve GPT2` without any package: text as it is written, from a stream of server-sent events.
// node examples/serve_client.mjs [URL] [PROMPT]
const [url = "http://127.0.0.1:8080", prompt = "The film was"] = process.argv.slice(2);

const response = await fetch(`${url}/generate_stream`, {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ inputs: prompt, parameters: { max_new_tokens: 40 } }),
});
if (!response.ok) {
  const { error } = await response.json();
  throw new Error(`${response.status}: ${error}`);
}

process.stdout.write(prompt);
let waiting = "";
for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
  const lines = (waiting + piece).split("\n");
  waiting = lines.pop();
  for (const line of lines.filter((each) => each.startsWith("data:"))) {
    const event = JSON.parse(line.slice("data:".length));
    if (event.error) throw new Error(event.error);
    process.stdout.write(event.token.text);
  }
}
process.stdout.write("\n");
