"""Whatever a request says and the server would pass over, or pay dearly for, is refused by name: one row each."""

from __future__ import annotations

from typing import Any

import pytest

from .running import Running

TEXT = "the cat sat"
PAIR = {"source_sentence": TEXT, "sentences": ["a", "b"]}
QUESTION = {"question": TEXT, "context": TEXT}


def generate(**parameters: Any) -> dict[str, Any]:
    return {"inputs": TEXT, "parameters": {"max_new_tokens": 3, **parameters}}


def complete(**options: Any) -> dict[str, Any]:
    return {"prompt": TEXT, "max_tokens": 3, **options}


REFUSED: tuple[tuple[str, Any, str], ...] = (
    ("bert-moods", {"inputs": TEXT, "top_k": 1}, "'top_k' has no place beside the inputs"),
    ("bert-moods", {"inputs": TEXT, "parametres": {"top_k": 1}}, "'parametres' has no place beside the inputs"),
    ("bert-body", {"inputs": TEXT, "truncate": True, "parameters": {"truncate": False}}, "'truncate' is given twice"),
    ("bert-body", {"inputs": TEXT, "encoding_format": "base64"}, "encoding_format: Input should be 'float'"),
    ("bert-qa", {"inputs": {**QUESTION, "top_k": 3}}, "inputs must be"),
    ("bert-nli/pipeline/zero-shot-classification", {
        "inputs": TEXT, "parameters": {"candidate_labels": ["a", "b"], "multi_label": True, "multi_class": False},
    }, "they say different things"),
    ("bert-mask", {"inputs": ["[MASK] " * 100] * 20, "parameters": {"top_k": 1000}}, "2000 gaps with 1000"),
    ("minilm", {"inputs": {**PAIR, "truncate": True}}, "inputs must be"),
    ("minilm", {"inputs": {**PAIR, "sentences": ["a"] * 200_000}}, "comes to 200001 tokens or more"),
    ("minilm/embed", {"inputs": TEXT, "normalise": False}, "no parameter 'normalise'; there are inputs, truncate"),
    ("minilm/embed", {"inputs": [TEXT, [1]]}, "inputs must be a text or a list of texts or lists of token ids"),
    ("minilm/similarity", {"inputs": PAIR, "parameters": {"prompt_name": "query"}}, "no parameter 'prompt_name'"),
    ("minilm/similarity", {"inputs": {**PAIR, "normalize": True}}, "no parameter 'inputs.normalize'"),
    ("minilm/tokenize", {"inputs": TEXT, "special": False}, "no parameter 'special'"),
    ("minilm/v1/embeddings", {"input": TEXT, "truncate": False}, "no parameter 'truncate'"),
    ("minilm/v1/embeddings", {"input": TEXT, "inputs": "another text"}, "no parameter 'inputs'"),
    ("gpt2/generate", {**generate(), "streaming": True}, "no parameter 'streaming'"),
    ("gpt2/generate", generate(num_beams=2, frequency_penalty=1.0), "frequency_penalty is for texts that are written"),
    ("gpt2/generate", generate(num_beams=2, presence_penalty=1.0), "presence_penalty is for texts"),
    ("gpt2/generate", generate(num_beams=2, top_n_tokens=2), "top_n_tokens is for texts"),
    ("gpt2/generate", generate(num_beams=2, do_sample=True, seed=1), "seed is for texts"),
    ("marian", generate(num_beams=2, do_sample=True, seed=1), "seed is for texts"),
    ("gpt2/generate", generate(best_of=2, num_return_sequences=3), "give one of them"),
    ("gpt2/generate_stream", generate(decoder_input_details=True), "does not tell the tokens of the prompt"),
    ("gpt2/v1/completions", complete(min_p=0.1), "no parameter 'min_p'"),
    ("gpt2/v1/completions", complete(num_beams=3), "no parameter 'num_beams'"),
    ("gpt2/v1/completions", complete(logit_bias={"9" * 5000: 1}), "keys must be token ids"),
    ("gpt2/v1/completions", complete(logit_bias={"\u0663": 1}), "keys must be token ids"),
    ("gpt2/v1/completions", complete(stream=True, stream_options={"usage": True}), "parameter 'stream_options.usage'"),
)  # fmt: skip


@pytest.mark.parametrize(("path", "body", "message"), REFUSED, ids=[f"{p} {m[:24]}" for p, _, m in REFUSED])
def test_what_would_be_passed_over_is_refused(server: Running, path: str, body: Any, message: str) -> None:
    status, found = server.post(f"/models/{path}", body)
    said = found["error"]["message"] if isinstance(found["error"], dict) else found["error"]
    assert status == 422 and message in said, found


def test_a_number_of_very_many_digits(server: Running) -> None:
    body = b'{"inputs": "a", "parameters": {"top_k": ' + b"9" * 5000 + b"}}"
    status, found = server.send("/models/bert-moods", body)
    assert status == 422 and "too many digits" in found["error"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("bert-moods", {"inputs": TEXT, "options": {"wait_for_model": True}, "model": "any", "more": None}),
        ("minilm/embed", {"inputs": TEXT, "input": TEXT, "model": "any", "user": "me"}),
        ("minilm/similarity", {"inputs": PAIR, "parameters": {}}),
        ("gpt2/v1/completions", {"prompt": TEXT, "max_tokens": 2, "user": "me", "top_k": 3, "unknown": None}),
        ("gpt2/generate", generate(num_beams=2, seed=1)),
        ("gpt2/generate", generate(decoder_input_details=True)),
    ],
)
def test_what_changes_nothing_is_let_through(server: Running, path: str, body: Any) -> None:
    status, found = server.post(f"/models/{path}", body)
    assert status == 200, found
    if "decoder_input_details" in body.get("parameters", {}):
        assert found["details"]["prefill"]


def test_token_ids_that_no_text_has(server: Running, pipe: Any) -> None:
    """Ids are read by way of their text, so that those which this way changes cannot be answered."""
    tokenizer = pipe("text-generation", "gpt2").tokenizer
    ids = tokenizer(TEXT)["input_ids"]
    status, found = server.post("/models/gpt2/v1/completions", complete(prompt=ids, seed=1))
    assert status == 200 and found["usage"]["prompt_tokens"] == len(ids)
    half = tokenizer("é")["input_ids"][:1]
    status, found = server.post("/models/gpt2/v1/completions", complete(prompt=half))
    assert status == 422 and "not those of the text they decode to" in found["error"]["message"]
    status, found = server.post("/models/minilm/v1/embeddings", {"input": [101, 1996, 4937, 102]})
    assert status == 200 and found["usage"]["prompt_tokens"] == 4
