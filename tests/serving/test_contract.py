"""What the surfaces answer: shapes that clients insist on, defaults, and our own pipelines' numbers behind them."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lamina import pipeline
from lamina.serving import Served, ServeSettings, create_app

from .asgi import Client, Exchange, kept

READERS = ("bert-moods", "bert-tags", "bert-qa", "bert-mask", "bert-nli", "bert-body", "gpt2", "bart")
Ask = Callable[..., Exchange]


@pytest.fixture(scope="module")
def pipes(checkpoint: Callable[[str], Path]) -> dict[str, Any]:
    found = {name: pipeline(model=str(checkpoint(name)), device="cpu") for name in READERS}
    return found | {"minilm": pipeline(model=str(checkpoint("minilm")), device="cpu")}


@pytest.fixture(scope="module")
def ask(pipes: dict[str, Any]) -> Iterator[Ask]:
    """One running application, asked by POST, or by GET where there is nothing to send."""
    served = {name: Served.from_pipeline(name, pipe) for name, pipe in pipes.items()}
    with kept(create_app(ServeSettings(), served)) as (client, wait):

        def asked(path: str, payload: Any, **headers: str) -> Exchange:
            return wait(client.get(path, **headers) if payload is None else client.post(path, payload, **headers))

        yield asked


def test_labels_of_one_text_stand_in_a_list_in_a_list(ask: Ask, pipes: dict[str, Any]) -> None:
    answer = ask("/models/bert-moods", {"inputs": "A fine day."})
    (labels,) = answer.json
    expected = pipes["bert-moods"]("A fine day.", top_k=None)
    assert [label["label"] for label in labels] == [label["label"] for label in expected]
    assert [label["score"] for label in labels] == pytest.approx([label["score"] for label in expected], abs=1e-6)


def test_headers_say_where_the_time_went(ask: Ask) -> None:
    headers = ask("/models/bert-moods", {"inputs": "A fine day."}, x_request_id="abc").headers
    assert headers["x-request-id"] == "abc"
    assert int(headers["x-compute-characters"]) == 11
    assert int(headers["x-compute-tokens"]) == 6
    assert float(headers["x-compute-time"]) >= float(headers["x-inference-time"]) > 0
    assert float(headers["x-queue-time"]) >= 0


@pytest.mark.parametrize("strategy", [None, "none"])
def test_every_entity_names_its_group(ask: Ask, strategy: str | None) -> None:
    parameters = {"ignore_labels": [], **({} if strategy is None else {"aggregation_strategy": strategy})}
    entities = ask("/models/bert-tags", {"inputs": "Anna went to Bern.", "parameters": parameters}).json
    assert entities
    assert all(isinstance(entity["entity_group"], str) for entity in entities)
    assert all(("entity" in entity) is (strategy == "none") for entity in entities)


def test_guesses_for_one_mask_are_a_flat_list(ask: Ask) -> None:
    guesses = ask("/models/bert-mask", {"inputs": "Paris is [MASK].", "parameters": {"top_k": 3}}).json
    assert len(guesses) == 3
    assert {type(guess["token"]) for guess in guesses} == {int}
    assert set(guesses[0]) == {"score", "sequence", "token", "token_str"}


@pytest.mark.parametrize(
    ("agent", "parameters", "listed"),
    [
        ("unknown/None; hf_hub/2.4.0; python/3.11.7", {}, True),
        ("unknown/None; hf_hub/1.2.0; python/3.11.7", {}, True),
        ("unknown/None; hf_hub/1.1.4; python/3.11.7", {}, False),
        ("unknown/None; hf_hub/0.36.0; python/3.11.7", {}, False),
        ("@huggingface/inference/4.13.30", {}, True),
        ("Mozilla/5.0", {"multi_class": True}, False),
    ],
)
def test_zero_shot_labels_come_as_the_client_reads_them(
    ask: Ask, agent: str, parameters: dict[str, Any], listed: bool
) -> None:
    body = {"inputs": "A trip.", "parameters": {"candidate_labels": ["travel", "food"], **parameters}}
    answer = ask("/models/bert-nli/pipeline/zero-shot-classification", body, user_agent=agent).json
    if listed:
        assert [set(label) for label in answer] == [{"label", "score"}] * 2
        assert answer[0]["score"] >= answer[1]["score"]
    else:
        assert set(answer) == {"sequence", "labels", "scores"}


def test_labels_may_be_one_text_with_commas(ask: Ask) -> None:
    body = {"inputs": "A trip.", "parameters": {"candidate_labels": "travel, food"}}
    answer = ask("/models/bert-nli/pipeline/zero-shot-classification", body).json
    assert {label["label"] for label in answer} == {"travel", "food"}


def test_a_model_does_what_its_head_allows(ask: Ask) -> None:
    assert ask("/models/minilm/pipeline/feature-extraction", {"inputs": "a"}).status == 200
    refused = ask("/models/minilm/pipeline/text-generation", {"inputs": "a"})
    assert (refused.status, refused.json["error_type"]) == (404, "not_found")
    assert "sentence-similarity" in refused.json["error"]
    assert ask("/models/minilm/pipeline/nonsense", {"inputs": "a"}).status == 404


def test_vectors_are_the_pipelines(ask: Ask, pipes: dict[str, Any]) -> None:
    expected = pipes["minilm"].embed("A cat.").tolist()
    assert ask("/models/minilm/embed", {"inputs": "A cat."}).json == [pytest.approx(expected, abs=1e-6)]
    assert ask("/models/minilm", {"inputs": "A cat."}).json == pytest.approx(expected, abs=1e-6)
    assert ask("/models/minilm", {"inputs": ["A cat."]}).json == [pytest.approx(expected, abs=1e-6)]


def test_vectors_for_openai_clients_are_little_endian_floats(ask: Ask) -> None:
    body = {"model": "minilm", "input": ["A cat.", "A dog."]}
    plain = ask("/v1/embeddings", body).json
    packed = ask("/v1/embeddings", {**body, "encoding_format": "base64"}).json
    assert plain["usage"] == packed["usage"] == {"prompt_tokens": 10, "total_tokens": 10}
    for one, other in zip(plain["data"], packed["data"], strict=True):
        raw = base64.b64decode(other["embedding"])
        assert list(struct.unpack(f"<{len(raw) // 4}f", raw)) == pytest.approx(one["embedding"], abs=1e-6)


def test_vectors_are_cut_and_scaled_as_asked(ask: Ask) -> None:
    (vector,) = ask("/models/minilm/embed", {"inputs": "A cat.", "dimensions": 5}).json
    assert len(vector) == 5
    assert sum(value**2 for value in vector) == pytest.approx(1, abs=1e-5)
    too_many = ask("/models/minilm/embed", {"inputs": "A cat.", "dimensions": 5000})
    assert (too_many.status, "384" in too_many.json["error"]) == (422, True)


def test_long_texts_are_cut_from_either_end_or_refused(ask: Ask, pipes: dict[str, Any]) -> None:
    words = [f"word{number}" for number in range(400)]
    text = " ".join(words)
    right = ask("/models/minilm/embed", {"inputs": text}).json[0]
    left = ask("/models/minilm/embed", {"inputs": text, "truncation_direction": "Left"}).json[0]
    assert right == pytest.approx(pipes["minilm"].embed(text).tolist(), abs=1e-6)
    assert left != pytest.approx(right, abs=1e-3)
    refused = ask("/models/minilm/embed", {"inputs": text, "truncate": False})
    assert (refused.status, "256" in refused.json["error"]) == (422, True)


def test_tokens_say_where_they_stand_in_code_points(ask: Ask) -> None:
    (tokens,) = ask("/models/minilm/tokenize", {"inputs": "😀 Anna 안녕"}).json
    assert tokens[0] == {"id": 101, "text": "[CLS]", "special": True, "start": None, "stop": None}
    (anna,) = [token for token in tokens if token["text"] == "anna"]
    assert (anna["start"], anna["stop"], anna["special"]) == (2, 6, False)
    ids = [token["id"] for token in tokens if token["text"] == "anna"]
    assert ask("/models/minilm/decode", {"ids": ids}).json == ["anna"]


def test_predictions_of_pairs_and_batches(ask: Ask) -> None:
    single = ask("/predict", {"inputs": "Fine."}).json
    pair = ask("/predict", {"inputs": ["Fine.", "Good."]}).json
    batch = ask("/predict", {"inputs": [["Fine."], ["Fine.", "Good."]]}).json
    assert batch == [
        [{"label": one["label"], "score": pytest.approx(one["score"], abs=1e-5)} for one in labels]
        for labels in (single, pair)
    ]
    assert ask("/predict", {"inputs": [["a", "b", "c"]]}).status == 422


def test_completions_stop_before_the_stop(ask: Ask) -> None:
    body = {"model": "gpt2", "prompt": "Berlin is", "max_tokens": 8, "temperature": 0}
    whole = ask("/v1/completions", body).json["choices"][0]["text"]
    stop = whole[3:5]
    cut = ask("/v1/completions", {**body, "stop": stop}).json["choices"][0]
    assert cut["text"] == whole[: whole.index(stop)]
    assert cut["finish_reason"] == "stop"
    streamed = ask("/v1/completions", {**body, "stop": [stop], "stream": True}).events
    assert streamed[-1] == "[DONE]"
    pieces = [choice for event in streamed[:-1] for choice in event["choices"]]
    assert "".join(choice["text"] for choice in pieces) == cut["text"]
    assert [choice["finish_reason"] for choice in pieces if choice["finish_reason"]] == ["stop"]


def test_completions_count_echo_and_take_ids(ask: Ask, pipes: dict[str, Any]) -> None:
    ids = pipes["gpt2"].tokenizer("Berlin is")["input_ids"]
    body = {"prompt": ids, "max_tokens": 3, "temperature": 0, "echo": True, "logprobs": 2}
    answer = ask("/models/gpt2/v1/completions", {**body, "model": "http://127.0.0.1/models/gpt2"}).json
    (choice,) = answer["choices"]
    assert choice["text"].startswith("Berlin is")
    assert answer["usage"] == {"prompt_tokens": len(ids), "completion_tokens": 3, "total_tokens": len(ids) + 3}
    assert len(choice["logprobs"]["token_logprobs"]) == 3
    assert all(value <= 0 for value in choice["logprobs"]["token_logprobs"])


def test_completions_take_what_clients_of_the_inference_api_send(ask: Ask) -> None:
    body = {"model": "gpt2", "prompt": "Berlin is", "max_tokens": 3, "temperature": 0}
    texts = [
        ask("/v1/completions", {**body, **more}).json["choices"][0]["text"]
        for more in ({}, {"return_full_text": False, "details": True}, {"return_full_text": True}, {"echo": True})
    ]
    assert texts[1] == texts[0]
    assert texts[2] == texts[3] == "Berlin is" + texts[0]


def test_streams_of_several_prompts_keep_apart(ask: Ask) -> None:
    body = {"model": "gpt2", "prompt": ["Berlin is", "A"], "max_tokens": 4, "temperature": 0}
    whole = ask("/v1/completions", body).json["choices"]
    options = {"include_usage": True}
    events = ask("/v1/completions", {**body, "stream": True, "stream_options": options}).events
    told = {0: "", 1: ""}
    for event in events[:-1]:
        for choice in event["choices"]:
            told[choice["index"]] += choice["text"]
    assert told == {choice["index"]: choice["text"] for choice in whole}
    assert events[-2]["usage"]["completion_tokens"] == 8


def test_models_are_listed_and_described(ask: Ask) -> None:
    listed = [model["id"] for model in ask("/v1/models", None).json["data"]]
    assert listed == [*READERS, "minilm"]
    assert ask("/v1/models/gpt2", None).json["id"] == "gpt2"
    assert ask("/models/gpt2/v1/models", None).json["data"][0]["id"] == "gpt2"
    assert ask("/models/gpt2", None).json["pipeline_tag"] == "text-generation"
    assert ask("/status/gpt2", None).json["state"] == "Loaded"
    assert ask("/models/minilm/info", None).json["model_type"] == {"embedding": {"pooling": "mean"}}


def test_a_classifier_with_one_label_ranks(checkpoint: Callable[[str], Path]) -> None:
    pipe: Any = pipeline(model=str(checkpoint("bert-spam")), device="cpu")
    body = {"query": "Who sings?", "texts": ["Nobody.", "Anna sings.", "A choir."]}
    with kept(create_app(ServeSettings(), {"ranker": Served.from_pipeline("ranker", pipe)})) as (client, wait):
        ranks = wait(client.post("/rerank", {**body, "return_text": True})).json
        raw = wait(client.post("/rerank", {**body, "raw_scores": True})).json
        assert wait(client.get("/info")).json["model_type"] == {"reranker": {"id2label": {"0": "SPAM"}}}
    pairs = [{"text": body["query"], "text_pair": text} for text in body["texts"]]
    expected = [answer["score"] for answer in pipe(pairs, function_to_apply="sigmoid")]
    order = sorted(range(3), key=lambda number: -expected[number])
    assert [rank["index"] for rank in ranks] == [rank["index"] for rank in raw] == order
    assert [rank["text"] for rank in ranks] == [body["texts"][number] for number in order]
    assert [rank["score"] for rank in ranks] == pytest.approx([expected[number] for number in order], abs=1e-6)


@pytest.mark.parametrize("name", ["gpt2-moods", "t5-moods", "bart-nli", "bert-topics", "bert-rating"])
def test_batches_across_clients_give_what_one_gets_alone(checkpoint: Callable[[str], Path], name: str) -> None:
    pipe: Any = pipeline(model=str(checkpoint(name)), device="cpu")
    texts = ["Fine.", "A warm, funny film about a boat.", "No.", "Prices rose by two percent in March."]
    expected = [{one["label"]: one["score"] for one in pipe(text, top_k=None)} for text in texts]

    async def together(client: Client) -> list[Any]:
        await client.post("/", {"inputs": "warm"})
        sent = [client.begin("/", {"inputs": text}) for text in texts]
        batch = client.begin("/", {"inputs": texts})
        return [(await exchange.end()).json[0] for exchange in sent] + (await batch.end()).json

    with kept(create_app(ServeSettings(), {name: Served.from_pipeline(name, pipe)})) as (client, wait):
        answers = wait(together(client))
    for answer, alone in zip(answers, expected * 2, strict=True):
        assert {one["label"]: one["score"] for one in answer} == pytest.approx(alone, abs=1e-5)
