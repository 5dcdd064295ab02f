"""Bad requests, by hand: each gets one clear answer in the words of its clients, and none is a defect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lamina import pipeline
from lamina.serving import Limits, Served, ServeSettings, create_app

from .asgi import Exchange, kept

Ask = Callable[..., Exchange]
MODELS = ("bert-moods", "bert-tags", "bert-qa", "bert-mask", "bert-nli", "gpt2", "marian", "minilm")


@pytest.fixture(scope="module")
def ask(checkpoint: Callable[[str], Path]) -> Iterator[Ask]:
    served = {name: Served.from_pipeline(name, pipeline(model=str(checkpoint(name)), device="cpu")) for name in MODELS}
    settings = ServeSettings(limits=Limits(new_tokens=64))
    with kept(create_app(settings, served)) as (client, wait):
        yield lambda path, payload, **headers: wait(client.post(path, payload, **headers))


BAD_BODIES = [b"", b"no json", b'{"inputs": ', b"[]", b'"text"', b"{}", b"null", b"\xff\xfe", b"[" * 3000]
PATHS = ("/", "/models/gpt2", "/models/minilm/embed", "/generate", "/tokenize")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_bodies_that_are_no_requests(ask: Ask, path: str, body: bytes) -> None:
    answer = ask(path, body)
    assert answer.status in (400, 422)
    assert isinstance(answer.json["error"], str)
    assert answer.json["error_type"] in ("validation", "invalid")


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/embeddings", "/models/gpt2/v1/completions"])
@pytest.mark.parametrize("body", BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_the_same_for_openai_clients(ask: Ask, path: str, body: bytes) -> None:
    error = ask(path, body).json["error"]
    assert {"message", "type", "param", "code"} == set(error)
    assert error["type"] == "invalid_request_error" or error["code"] == "invalid"


@pytest.mark.parametrize(
    ("model", "inputs", "parameters", "word"),
    [
        ("bert-moods", 5, {}, "inputs"),
        ("bert-moods", None, {}, "inputs"),
        ("bert-moods", [[["a"]]], {}, "inputs"),
        ("bert-moods", {"txt": "a"}, {}, "text"),
        ("bert-moods", "a", {"topk": 1}, "top_k"),
        ("bert-moods", "a", {"top_k": 0}, "top_k"),
        ("bert-moods", "a", {"top_k": "many"}, "top_k"),
        ("bert-moods", "a", {"function_to_apply": "relu"}, "function_to_apply"),
        ("bert-moods", "word " * 100, {}, "64"),
        ("bert-moods", "half \ud83d a pair", {}, "surrogate"),
        ("bert-tags", "a", {"aggregation_strategy": "loud"}, "aggregation_strategy"),
        ("bert-tags", "a", {"stride": 60}, "stride"),
        ("bert-tags", "a", {"stride": 5, "aggregation_strategy": "none"}, "stride"),
        ("bert-qa", "a", {}, "question"),
        ("bert-qa", {"question": "a"}, {}, "context"),
        ("bert-qa", {"question": "", "context": "b"}, {}, "question"),
        ("bert-qa", {"question": "a", "context": "b"}, {"doc_stride": 300}, "doc_stride"),
        ("bert-mask", "no gap", {}, "[MASK]"),
        ("bert-mask", "a [MASK]", {"targets": []}, "targets"),
        ("bert-mask", "a [MASK]", {"top_k": 10**9}, "top_k"),
        ("minilm", {"source_sentence": "a"}, {}, "sentences"),
        ("minilm", {"source_sentence": "a", "sentences": []}, {}, "sentences"),
        ("minilm", {"source_sentence": "a", "sentences": "b"}, {}, "sentences"),
        ("gpt2", "a", {"max_new_tokens": 65}, "64"),
        ("gpt2", "a", {"max_new_tokens": -1}, "max_new_tokens"),
        ("gpt2", "a", {"temperature": -1}, "temperature"),
        ("gpt2", "a", {"grammar": {"type": "json", "value": "{}"}}, "grammar"),
        ("gpt2", "a", {"adapter_id": "x"}, "adapter_id"),
        ("gpt2", "a", {"assistant_model": "/etc"}, "assistant_model"),
        ("gpt2", "a", {"num_return_sequences": 2}, "num_return_sequences"),
        ("gpt2", "word " * 100, {}, "64"),
        ("gpt2", {"messages": []}, {}, "text"),
        ("marian", "a", {"generate_parameters": {"num_beams": 1000}}, "num_beams"),
        ("marian", "a", {"generate_parameters": {"streamer": 1}}, "streamer"),
        ("marian", "a", {"max_length": 1000}, "64"),
    ],
)
def test_inputs_and_parameters_that_make_no_sense(
    ask: Ask, model: str, inputs: Any, parameters: dict[str, Any], word: str
) -> None:
    answer = ask(f"/models/{model}", {"inputs": inputs, "parameters": parameters})
    assert (answer.status, answer.json["error_type"]) == (422, "validation"), answer.content
    assert word in answer.json["error"]
    assert "model_kwargs" not in answer.json["error"], "a client that reads it asks again without end"


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        ({}, "candidate_labels"),
        ({"candidate_labels": []}, "candidate_labels"),
        ({"candidate_labels": " , "}, "candidate_labels"),
        ({"candidate_labels": ["a"], "hypothesis_template": "no place"}, "hypothesis_template"),
        ({"candidate_labels": ["a"], "hypothesis_template": "{0.__class__}"}, "hypothesis_template"),
        ({"candidate_labels": ["a"], "hypothesis_template": "{:>9999999999}"}, "hypothesis_template"),
        ({"candidate_labels": ["a"], "hypothesis_template": "{} {x}"}, "hypothesis_template"),
    ],
)
def test_labels_that_are_none(ask: Ask, parameters: dict[str, Any], word: str) -> None:
    answer = ask("/models/bert-nli/pipeline/zero-shot-classification", {"inputs": "a", "parameters": parameters})
    assert (answer.status, word in answer.json["error"]) == (422, True), answer.content


def test_many_texts_with_many_labels_are_not_multiplied(ask: Ask) -> None:
    body = {"inputs": ["a"] * 200, "parameters": {"candidate_labels": [f"label {n}" for n in range(1000)]}}
    answer = ask("/models/bert-nli/pipeline/zero-shot-classification", body)
    assert (answer.status, "4096" in answer.json["error"]) == (422, True)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"prompt": "a", "suffix": "b"}, "suffix"),
        ({"prompt": "a", "n": 3, "best_of": 2}, "best_of"),
        ({"prompt": "a", "n": 2, "temperature": 0}, "temperature"),
        ({"prompt": "a", "best_of": 2, "stream": True}, "best_of"),
        ({"prompt": "a", "logit_bias": {"x": 1}}, "logit_bias"),
        ({"prompt": "a", "max_tokens": 1000}, "64"),
        ({"prompt": [10**9]}, "no token id"),
        ({"prompt": []}, "empty"),
        ({"prompt": "a", "temperature": float("nan")}, "temperature"),
    ],
)
def test_completions_that_make_no_sense(ask: Ask, body: dict[str, Any], word: str) -> None:
    answer = ask("/models/gpt2/v1/completions", body)
    assert answer.status == 422, answer.content
    assert word in answer.json["error"]["message"]


def test_what_cannot_be_streamed_is_refused_before_the_first_byte(ask: Ask) -> None:
    for model, parameters in (("bert-moods", {}), ("marian", {"num_beams": 4}), ("gpt2", {"best_of": 2})):
        answer = ask(f"/models/{model}", {"inputs": "a", "stream": True, "parameters": parameters})
        assert (answer.status, answer.headers["content-type"]) == (422, "application/json")


def test_models_and_chats_that_are_not_there(ask: Ask) -> None:
    unknown = ask("/v1/completions", {"model": "gpt-9", "prompt": "a"})
    assert (unknown.status, unknown.json["error"]["code"]) == (404, "model_not_found")
    chat = ask("/v1/chat/completions", {"model": "gpt2", "messages": []})
    assert (chat.status, "chat" in chat.json["error"]["message"]) == (404, True)
    ranked = ask("/rerank", {"query": "a", "texts": ["b"]})
    assert (ranked.status, "single label" in ranked.json["error"]) == (404, True)


def test_methods_and_addresses_that_are_not_there(ask: Ask) -> None:
    assert ask("/health", {}).status == 405
    assert ask("/health", {}).json["error_type"] == "method_not_allowed"
    nowhere = ask("/nowhere/at/all", {})
    assert (nowhere.status, nowhere.json["error_type"]) == (404, "not_found")


def test_a_body_of_another_kind_is_refused(ask: Ask) -> None:
    answer = ask("/", {"inputs": "a"}, content_type="text/plain")
    assert answer.status == 422
    assert isinstance(answer.json["error"], str)
