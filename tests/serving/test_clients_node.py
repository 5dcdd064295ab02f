"""The JavaScript clients, unmodified under Node: @huggingface/inference for every task, and openai."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.browser import node_modules, node_program

from .calls import CALLS, GREEDY, assert_near, by_name
from .running import Running

CLIENTS = Path(__file__).resolve().parent / "clients"
PROMPT = {"task": "text-generation", "inputs": "Berlin is", "parameters": GREEDY}


def run(script: str, given: Mapping[str, Any]) -> Any:
    """What a script of tests/serving/clients prints for `given`."""
    done = subprocess.run(
        [node_program(), str(CLIENTS / script)],
        input=json.dumps({**given, "packages": str(node_modules().parent)}),
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def ask(*requests: Mapping[str, Any], token: str | None = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run("inference.mjs", {"requests": requests, "token": token})
    return found


@pytest.fixture(scope="module")
def answers(server: Running) -> list[dict[str, Any]]:
    return ask(*({**call.request, "url": server.model(call.model, call.task)} for call in CALLS))


@pytest.mark.parametrize("number", by_name(CALLS))
def test_answers_are_those_of_the_pipeline(
    answers: list[dict[str, Any]], pipe: Callable[..., Any], number: int
) -> None:
    assert "found" in answers[number], answers[number]
    call = CALLS[number]
    expected = call.expected(pipe)
    if call.task == "question-answering" and isinstance(expected, list):
        expected = expected[0]  # this client hands out the best answer alone
    assert_near(answers[number]["found"], expected)


@pytest.mark.parametrize("task", [None, "text-generation"])
def test_texts_are_written_whole_and_in_pieces(server: Running, pipe: Callable[..., Any], task: str | None) -> None:
    url = server.model("gpt2", task)
    whole = pipe("text-generation", "gpt2")("Berlin is", **GREEDY)[0]["generated_text"]
    at_once, in_pieces = ask({**PROMPT, "url": url}, {**PROMPT, "url": url, "stream": True})
    assert at_once["found"] == {"generated_text": whole}
    assert "".join(event["choices"][0]["text"] for event in in_pieces["found"]) == whole
    assert in_pieces["found"][-1]["choices"][0]["finish_reason"] == "length"


def test_refusals_reach_the_user_in_words(server: Running, locked: Running) -> None:
    labels = {"task": "text-classification", "inputs": "x"}
    bad = {**labels, "parameters": {"top_k": -1}, "url": server.model("bert-moods")}
    unknown = {**labels, "url": server.model("nobody")}
    stream = {**PROMPT, "parameters": {"max_new_tokens": -1}, "url": server.model("gpt2"), "stream": True}
    (refused, missing, unwritten), (shut,) = ask(bad, unknown, stream), ask({**labels, "url": locked.model("gpt2")})
    assert "top_k" in refused["error"]
    assert "nobody" in missing["error"]
    assert "max_tokens" in unwritten["error"]
    assert shut["status"] == 401
    assert "key" in shut["error"]


def test_openai_for_javascript(server: Running, pipe: Callable[..., Any]) -> None:
    text = "Berlin is"
    found = run("openai.mjs", {"base": f"{server.url}/v1", "embed": "minilm", "write": "gpt2", "text": text})
    options = {"do_sample": False, "max_new_tokens": 8, "return_full_text": False}
    whole = pipe("text-generation", "gpt2")(text, **options)[0]["generated_text"]
    assert found["completion"]["choices"][0]["text"] == whole
    assert "".join(event["choices"][0]["text"] for event in found["events"]) == whole
    assert len(found["embeddings"]["data"]) == 2
    assert_near(found["embedding"], found["embeddings"]["data"][0]["embedding"])
    assert {"gpt2", "minilm"} <= {model["id"] for model in found["models"]}
    assert (found["unknown"]["kind"], found["unknown"]["status"]) == ("NotFoundError", 404)
    assert "nobody" in found["unknown"]["message"]
    assert found["refused"]["status"] in (400, 422)
    assert "max_tokens" in found["refused"]["message"]
