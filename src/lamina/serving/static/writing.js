/** Texts that a model writes, whole or as they come. */

import { codePointCount } from "./codepoints.js";
import { copyButton, element } from "./dom.js";

const textOf = (answer) => {
  const first = Array.isArray(answer) ? answer[0] : answer;
  return first.generated_text ?? first.summary_text ?? first.translation_text ?? "";
};

/** A prompt and what follows it. The answer may hold the prompt, as the parameters ask. */
export function continuation(answer, { values }) {
  const sequences = Array.isArray(answer) ? answer : [answer];
  return element("div", {}, sequences.map((one) => written(values.text, textOf(one))));
}

function written(prompt, text) {
  const rest = text.startsWith(prompt) ? text.slice(prompt.length) : text;
  return element(
    "div",
    { class: "written" },
    element(
      "p",
      { class: "prose", dir: "auto" },
      element("span", { class: "prompt" }, prompt),
      element("span", { class: "fresh" }, rest),
    ),
    element("div", { class: "actions" }, copyButton("Copy text", () => prompt + rest)),
  );
}

/** The same while it is being written: `push` adds a token's text. */
export function stream(prompt) {
  const fresh = element("span", { class: "fresh" });
  const part = element(
    "div",
    { class: "written writing", "aria-busy": "true" },
    element(
      "p",
      { class: "prose", dir: "auto" },
      element("span", { class: "prompt" }, prompt),
      fresh,
      element("span", { class: "caret", "aria-hidden": "true" }),
    ),
  );
  return {
    part,
    push: (event) => {
      if (!event.token.special) fresh.append(event.token.text);
    },
    end: () => {
      part.classList.remove("writing");
      part.removeAttribute("aria-busy");
    },
    text: () => fresh.textContent,
  };
}

const words = (text) => text.split(/\s+/).filter(Boolean).length;

/** A summary, a translation, or whatever else was made of a text. */
export function rewritten(answer, { values, task }) {
  const text = textOf(answer);
  const shorter = task === "summarization" && words(text) > 0;
  const fact = shorter
    ? `${words(values.text)} words became ${words(text)}.`
    : `${codePointCount(text)} characters.`;
  return element(
    "div",
    { class: "written" },
    element("p", { class: "prose", dir: "auto" }, element("span", { class: "fresh" }, text)),
    element("div", { class: "actions" }, copyButton("Copy text", () => text), element("span", { class: "soft" }, fact)),
  );
}
