"""huggingface_hub's clients, newest and 0.36, blocking, asynchronous and streaming, get what our own pipelines say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from lamina.pipelines.create import TASKS
from lamina.serving import ServeSettings, create_app

from .calls import CALLS, GENERATION, GREEDY, assert_near, by_name
from .running import Running, in_thread

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = Path(__file__).resolve().parent / "clients" / "hub.py"
OLD = ROOT / ".cache" / "hub-0.36" / "bin" / "python"
ASKED = [*CALLS, *GENERATION]
PROMPT = {"task": "text-generation", "inputs": "Berlin is"}


def interpreter(version: str) -> str:
    if version == "newest":
        return sys.executable
    if not OLD.exists():
        pytest.skip("huggingface_hub 0.36 is not installed beside this one: run scripts/outside")
    return str(OLD)


CLIENTS: dict[str, subprocess.Popen[str]] = {}  # by their version; each answers line by line until its input ends


@pytest.fixture(scope="module", autouse=True)
def clients() -> Iterator[None]:
    yield
    for process in CLIENTS.values():
        process.communicate()
    CLIENTS.clear()


def ask(version: str, mode: str, requests: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The answers of a client of that version, in a process of its own, which imports it once."""
    if version not in CLIENTS:
        quiet = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        command, pipe = [interpreter(version), str(SCRIPT)], subprocess.PIPE
        CLIENTS[version] = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=quiet)
    process = CLIENTS[version]
    assert process.stdin and process.stdout
    process.stdin.write(json.dumps({"mode": mode, "requests": list(requests)}) + "\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    assert answer, "the client ended; what it said stands on standard error"
    answers: list[dict[str, Any]] = json.loads(answer)
    return answers


@pytest.fixture(scope="module")
def answers(server: Running) -> Callable[[str, str], list[dict[str, Any]]]:
    """The answers to all of `ASKED`, asked once for each version and mode."""

    @cache
    def asked(version: str, mode: str) -> list[dict[str, Any]]:
        requests = [{**call.request, "url": server.model(call.model, call.task)} for call in ASKED]
        return ask(version, mode, requests)

    return asked


def found(answer: dict[str, Any]) -> Any:
    assert "found" in answer, answer
    return answer["found"]


@pytest.mark.parametrize("number", by_name(ASKED))
@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("version", ["newest", "0.36"])
def test_answers_are_those_of_the_pipeline(
    answers: Callable[..., Any], pipe: Callable[..., Any], version: str, mode: str, number: int
) -> None:
    assert_near(found(answers(version, mode)[number]), ASKED[number].expected(pipe))


@pytest.mark.parametrize("version", ["newest", "0.36"])
@pytest.mark.parametrize("mode", ["stream", "async stream"])
def test_a_stream_adds_up_to_the_whole_text(server: Running, pipe: Callable[..., Any], version: str, mode: str) -> None:
    request = {**PROMPT, "url": server.model("gpt2"), "parameters": GREEDY}
    plain, detailed = ask(version, mode, [request, {**request, "parameters": {**GREEDY, "details": True}}])
    whole = pipe("text-generation", "gpt2")("Berlin is", **GREEDY)[0]["generated_text"]
    assert len(found(plain)) == GREEDY["max_new_tokens"]
    assert "".join(found(plain)) == whole
    events = found(detailed)
    assert [event["index"] for event in events] == list(range(1, len(events) + 1))
    assert "".join(event["token"]["text"] for event in events) == whole
    assert all(event["token"]["logprob"] <= 0 for event in events)
    assert [event.get("generated_text") for event in events] == [None] * (len(events) - 1) + [whole]
    details = events[-1]["details"]
    assert (details["finish_reason"], details["generated_tokens"]) == ("length", GREEDY["max_new_tokens"])


def test_details_of_a_text_that_was_not_streamed(server: Running, pipe: Callable[..., Any]) -> None:
    parameters = {**GREEDY, "details": True, "decoder_input_details": True}
    (answer,) = ask("newest", "sync", [{**PROMPT, "url": server.model("gpt2"), "parameters": parameters}])
    details = found(answer)["details"]
    ids = pipe("text-generation", "gpt2").tokenizer("Berlin is")["input_ids"]
    assert [token["id"] for token in details["prefill"]] == ids
    assert len(details["tokens"]) == details["generated_tokens"] == GREEDY["max_new_tokens"]
    assert "".join(token["text"] for token in details["tokens"]) == found(answer)["generated_text"]


def test_the_same_seed_draws_the_same_text(server: Running) -> None:
    drawn = {"do_sample": True, "temperature": 5.0, "max_new_tokens": 12, "return_full_text": False}
    requests = [{**PROMPT, "url": server.model("gpt2"), "parameters": {**drawn, "seed": seed}} for seed in (1, 1, 2, 3)]
    texts = [found(answer) for answer in ask("newest", "async", requests)]
    assert texts[0] == texts[1]
    assert len(set(texts)) > 1


def test_it_stops_where_it_was_told(server: Running, pipe: Callable[..., Any]) -> None:
    whole = pipe("text-generation", "gpt2")("Berlin is", **GREEDY)[0]["generated_text"]
    stop = whole[3:5]
    parameters = {**GREEDY, "stop": [stop], "details": True}
    (answer,) = ask("newest", "sync", [{**PROMPT, "url": server.model("gpt2"), "parameters": parameters}])
    assert found(answer)["generated_text"] == whole[: whole.index(stop) + len(stop)]
    assert found(answer)["details"]["finish_reason"] == "stop_sequence"


def test_vectors_come_one_or_many(server: Running, pipe: Callable[..., Any]) -> None:
    url = server.model("bert-body", "feature-extraction")
    texts = ["A cat sat.", "Prices rose on Monday."]
    requests = [
        {"task": "feature-extraction", "url": url, "inputs": inputs, "parameters": {}}
        for inputs in (texts[0], [texts[1]])
    ]
    read = pipe("feature-extraction", "bert-body")
    for text, answer in zip(texts, ask("newest", "sync", requests), strict=True):
        vectors = found(answer)
        while len(vectors) == 1:
            vectors = vectors[0]
        assert_near(vectors, read(text)[0])


BAD = [
    {"inputs": "Berlin", "parameters": {"max_new_tokens": 10**6}},
    {"inputs": "Berlin", "parameters": {"temperature": -1.0}},
    {"inputs": "Berlin", "parameters": {"truncate": -3}},
    {"inputs": "", "parameters": {"best_of": 10**6}},
    {"inputs": ["Berlin", 3], "parameters": {}},
]


@pytest.mark.parametrize("version", ["newest", "0.36"])
def test_a_bad_request_is_the_client_s_own_error(server: Running, version: str) -> None:
    requests = [{"task": "text-generation", "url": server.model("gpt2"), **bad} for bad in BAD]
    for answer in ask(version, "sync", requests):
        assert (answer["error"], answer["status"]) == ("ValidationError", 422), answer
        assert "detail" not in answer["message"]


def test_an_unknown_model_is_named(server: Running) -> None:
    requests = [
        {**PROMPT, "task": task, "url": server.model("nobody"), "parameters": {}}
        for task in ("text-generation", "fill-mask")
    ]
    for answer in ask("newest", "sync", requests):
        assert answer["status"] == 404
        assert "nobody" in answer["message"]


@pytest.mark.parametrize("mode", ["sync", "async", "stream", "async stream"])
def test_the_key_is_asked_for(locked: Running, mode: str) -> None:
    request = {**PROMPT, "url": locked.model("gpt2"), "parameters": GREEDY}
    keys = ("open sesame", None, "open says me")
    answers = ask("newest", mode, [{**request, "token": key} for key in keys])
    assert found(answers[0])
    assert [answer["status"] for answer in answers[1:]] == [401, 401]


def test_zero_shot_of_a_bare_root(checkpoint: Callable[[str], Path], pipe: Callable[..., Any]) -> None:
    call = next(call for call in CALLS if call.task == "zero-shot-classification")
    settings = ServeSettings(models=(str(checkpoint("bert-nli")),), task=call.task, device="cpu")
    with in_thread(create_app(settings)) as running:
        for version in ("newest", "0.36"):
            (answer,) = ask(version, "sync", [{**call.request, "url": running.url}])
            assert_near(found(answer), call.expected(pipe))


def test_endpoint_info_and_health(server: Running) -> None:
    """What the client offers for a dedicated endpoint."""
    code = (
        "import sys, json; from huggingface_hub import InferenceClient;"
        "c = InferenceClient(model=sys.argv[1], provider='hf-inference');"
        "print(json.dumps([c.get_endpoint_info(), c.health_check()]))"
    )
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    done = subprocess.run([sys.executable, "-c", code, server.url], capture_output=True, text=True, env=quiet)
    assert done.returncode == 0, done.stderr
    info, healthy = json.loads(done.stdout)
    assert healthy is True
    assert info["model_id"]


def test_every_text_task_is_asked() -> None:
    without_method = {"text2text-generation"}  # no client has one any more
    assert {call.task for call in ASKED} == set(TASKS) - without_method
