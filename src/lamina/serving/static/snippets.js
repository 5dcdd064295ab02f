/** The request that the page makes, as code to paste elsewhere. Each of these is run by a test. */

/**
 * @typedef {Object} Call
 * @property {string} url
 * @property {string} task
 * @property {Object} body what the page would POST
 * @property {boolean} keyed whether the server wants a key
 */

// What huggingface_hub calls a task, how its arguments stand in the body, and the parameters that it knows.
const GENERATING =
  "best_of decoder_input_details details do_sample frequency_penalty max_new_tokens repetition_penalty " +
  "return_full_text seed stop temperature top_k top_n_tokens top_p truncate typical_p watermark";
const METHODS = {
  "text-classification": ["text_classification", ([text]) => [text], "function_to_apply top_k"],
  "token-classification": ["token_classification", ([text]) => [text], "aggregation_strategy ignore_labels stride"],
  "fill-mask": ["fill_mask", ([text]) => [text], "targets top_k"],
  "question-answering": [
    "question_answering",
    ([inputs]) => ({ question: inputs.question, context: inputs.context }),
    "align_to_words doc_stride handle_impossible_answer max_answer_len max_question_len max_seq_len top_k",
  ],
  "zero-shot-classification": [
    "zero_shot_classification",
    ([text]) => [text],
    "candidate_labels multi_label hypothesis_template",
  ],
  "sentence-similarity": [
    "sentence_similarity",
    ([inputs]) => ({ sentence: inputs.source_sentence, other_sentences: inputs.sentences }),
    "",
  ],
  "feature-extraction": ["feature_extraction", ([text]) => [text], "normalize prompt_name truncate truncation_direction"],
  summarization: [
    "summarization",
    ([text]) => [text],
    "clean_up_tokenization_spaces generate_parameters truncation",
  ],
  translation: [
    "translation",
    ([text]) => [text],
    "src_lang tgt_lang clean_up_tokenization_spaces truncation generate_parameters",
  ],
  "text-generation": ["text_generation", ([text]) => [text], GENERATING],
};

/**
 * @param {Call} call
 * @returns {Array<{name: string, title: string, code: string}>}
 */
export function snippets(call) {
  return [
    { name: "curl", title: "curl", code: curl(call) },
    { name: "python", title: "Python", code: python(call) },
    { name: "javascript", title: "JavaScript", code: javascript(call) },
  ];
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function curl({ url, body, keyed }) {
  const lines = [`curl${body.stream ? " -N" : ""} ${quoted(url)}`, "-H 'Content-Type: application/json'"];
  if (keyed) lines.push('-H "Authorization: Bearer $LAMINA_API_KEY"');
  lines.push(`-d ${quoted(JSON.stringify(body))}`);
  return lines.join(" \\\n  ");
}

/** A JSON value as Python writes it. */
export function pythonLiteral(value) {
  if (value === true) return "True";
  if (value === false) return "False";
  if (value === null || value === undefined) return "None";
  if (Array.isArray(value)) return `[${value.map(pythonLiteral).join(", ")}]`;
  if (typeof value !== "object") return JSON.stringify(value);
  return `{${Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${pythonLiteral(one)}`).join(", ")}}`;
}

function python(call) {
  const { task, body } = call;
  const { inputs, stream, parameters = {}, ...rest } = body;
  const options = { ...parameters, ...rest };
  const [method, place, known] = METHODS[task] ?? ["", null, ""];
  const fits = Object.keys(options).every((name) => known.split(" ").includes(name));
  if (!method || !fits || (stream && task !== "text-generation") || (typeof inputs === "object" && task in TEXT_ONLY)) return plainPython(call);
  const positional = place([inputs]);
  const named = Array.isArray(positional) ? options : { ...positional, ...options };
  const given = [
    ...(Array.isArray(positional) ? positional.map(pythonLiteral) : []),
    ...Object.entries(named).map(([name, value]) => `${name}=${pythonLiteral(value)}`),
    ...(stream ? ["stream=True"] : []),
  ];
  const asked = `client.${method}(\n${given.map((one) => `    ${one},\n`).join("")})`;
  const key = call.keyed ? ', api_key=os.environ["LAMINA_API_KEY"]' : "";
  const head = `${call.keyed ? "import os\n\n" : ""}from huggingface_hub import InferenceClient\n\n`;
  const made = `client = InferenceClient(${JSON.stringify(call.url)}${key})\n`;
  if (stream) return `${head}${made}pieces = ${asked}\nfor piece in pieces:\n    print(piece, end="", flush=True)`;
  return `${head}${made}answer = ${asked}\nprint(answer)`;
}

const TEXT_ONLY = { "text-classification": true };

/** For what huggingface_hub has no method: the standard library alone. */
function plainPython({ url, body, keyed }) {
  const headers = keyed
    ? '{\n    "Content-Type": "application/json",\n    "Authorization": "Bearer " + os.environ["LAMINA_API_KEY"],\n}'
    : '{"Content-Type": "application/json"}';
  const lines = Object.entries(body).map(([name, value]) => `    ${JSON.stringify(name)}: ${pythonLiteral(value)},\n`);
  const reading = body.stream
    ? `    for line in answer:
        if line.startswith(b"data:") and b"[DONE]" not in line:
            print(json.loads(line[5:])["token"]["text"], end="", flush=True)`
    : "    print(json.load(answer))";
  return `import json
${keyed ? "import os\n" : ""}from urllib.request import Request, urlopen

body = {
${lines.join("")}}
headers = ${headers}
request = Request(${JSON.stringify(url)}, json.dumps(body).encode(), headers)
with urlopen(request) as answer:
${reading}`;
}

function javascript({ url, body, keyed }) {
  const key = keyed ? "\n    Authorization: `Bearer ${process.env.LAMINA_API_KEY}`," : "";
  const head = `const response = await fetch(${JSON.stringify(url)}, {
  method: "POST",
  headers: {
    "Content-Type": "application/json",${key}
  },
  body: JSON.stringify(${JSON.stringify(body, null, 2).replaceAll("\n", "\n  ")}),
});
if (!response.ok) throw new Error((await response.json()).error);
`;
  if (!body.stream) return `${head}console.log(JSON.stringify(await response.json(), null, 2));`;
  return `${head}let rest = "";
for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
  const lines = (rest + chunk).split("\\n");
  rest = lines.pop();
  for (const line of lines) {
    if (/^data: ?{/.test(line)) console.log(JSON.parse(line.slice(5)).token.text);
  }
}`;
}
