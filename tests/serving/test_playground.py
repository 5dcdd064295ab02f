"""What stands behind the pages: their files, their headers, what they are told of the models."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from lamina.serving.playground import TYPES, UNSHOWN, assets, examples_of, written_examples
from lamina.serving.schemas import PARAMETERS

from .conftest import MODELS
from .running import Running

PAGES = ("/", "/docs", "/ui/models/bert-moods", "/ui/models/bert-body/pipeline/sentence-similarity")
FORMS = {  # what the form of each task asks for
    "text-classification": {"text"},
    "token-classification": {"text"},
    "question-answering": {"question", "context"},
    "fill-mask": {"text"},
    "zero-shot-classification": {"text", "candidate_labels", "multi_label"},
    "sentence-similarity": {"source_sentence", "sentences"},
    "feature-extraction": {"text"},
    "text-generation": {"text"},
    "text2text-generation": {"text"},
    "summarization": {"text"},
    "translation": {"text"},
}


def fetch(url: str, **headers: str) -> tuple[int, Any, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=120) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


@pytest.fixture(scope="module")
def models(server: Running) -> dict[str, Any]:
    status, found = server.get("/playground/models")
    assert status == 200
    return {model["id"]: model for model in found["models"]}


@pytest.mark.parametrize("path", PAGES)
def test_pages_come_under_a_strict_policy(server: Running, path: str) -> None:
    status, headers, content = fetch(server.url + path)
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert b"<main" in content
    policy = {rule.split(" ")[0]: rule for rule in headers["Content-Security-Policy"].split("; ")}
    assert policy["default-src"] == "default-src 'none'"
    assert policy["script-src"] == "script-src 'self'"
    assert policy["style-src"] == "style-src 'self'"
    assert not any("unsafe" in rule or "http" in rule for rule in policy.values())
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Frame-Options"] == "DENY"


def test_the_page_of_an_unknown_model_says_so_in_its_status(server: Running) -> None:
    status, headers, content = fetch(f"{server.url}/ui/models/nobody")
    assert (status, headers["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert b"<main" in content


@pytest.mark.parametrize("name", sorted(assets()))
def test_files_are_sent_once_and_then_only_confirmed(server: Running, name: str) -> None:
    url = f"{server.url}/static/{name}"
    status, headers, content = fetch(url)
    assert (status, content) == (200, assets()[name].content)
    assert headers["Content-Type"] == TYPES[f".{name.rpartition('.')[2]}"]
    status, again, content = fetch(url, **{"If-None-Match": headers["ETag"]})
    assert (status, content, again["ETag"]) == (304, b"", headers["ETag"])


@pytest.mark.parametrize(
    "path",
    [
        "nothing.js",
        "../playground.py",
        "..%2fplayground.py",
        "%2e%2e/settings.py",
        "%2fetc%2fpasswd",
        "page.html%00",
        "..",
    ],
)
def test_no_name_in_a_request_becomes_a_path(server: Running, path: str) -> None:
    status, _, content = fetch(f"{server.url}/static/{path}")
    assert status == 404
    assert b"import" not in content and b"root:" not in content


def test_no_file_asks_for_anything_outside_or_inline() -> None:
    for name, asset in assets().items():
        text = asset.content.decode()
        found = text.replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in found and "https://" not in found, name
        assert "innerHTML" not in found and "insertAdjacentHTML" not in found and "eval(" not in found, name
        if name.endswith(".html"):
            assert "<style" not in found and "style=" not in found and "<script>" not in found, name


def test_every_model_is_listed_with_the_tasks_it_can_do(models: dict[str, Any]) -> None:
    assert list(models) == list(MODELS)
    assert {model["state"] for model in models.values()} == {"ready"}
    moods = models["bert-moods"]
    assert [task["task"] for task in moods["tasks"]] == ["text-classification"]
    assert moods["tasks"][0]["api"] == "/models/bert-moods"
    assert (moods["layers"], moods["heads"], moods["max_length"], moods["mask_token"]) == (2, 4, 64, "[MASK]")
    assert moods["parameter_count"] > 30522 * 32
    inference = {task["task"]: task["api"] for task in models["bert-nli"]["tasks"]}
    assert inference["zero-shot-classification"] == "/models/bert-nli/pipeline/zero-shot-classification"
    assert {task["task"] for task in models["minilm"]["tasks"]} >= {"feature-extraction", "sentence-similarity"}


def test_forms_ask_for_what_the_schemas_know_and_for_nothing_idle(models: dict[str, Any]) -> None:
    known = {name for schema in PARAMETERS.values() for name in schema.model_fields}
    assert known >= UNSHOWN
    for model in models.values():
        for task in model["tasks"]:
            shown = set(task["parameters"]["properties"])
            assert shown == set(PARAMETERS[task["task"]].model_fields) - UNSHOWN


@pytest.mark.parametrize("task", sorted(PARAMETERS))
def test_examples_fit_their_forms_and_schemas(task: str) -> None:
    examples = examples_of(task, "[MASK]")
    assert len(examples) >= 2
    for example in examples:
        assert example["title"] and set(example["inputs"]) <= FORMS[task]
        promoted = {name: value for name, value in example["inputs"].items() if name in PARAMETERS[task].model_fields}
        PARAMETERS[task].model_validate({**promoted, **example.get("parameters", {})})
        assert "{mask}" not in json.dumps(example)


def test_gaps_of_the_examples_are_the_models_own(models: dict[str, Any]) -> None:
    [task] = [task for task in models["bert-mask"]["tasks"] if task["task"] == "fill-mask"]
    assert all("[MASK]" in example["inputs"]["text"] for example in task["examples"])
    assert "{mask}" in written_examples()["fill-mask"][0]["inputs"]["text"], "the shared examples were changed"


def test_a_key_guards_the_models_but_not_the_page_that_asks_for_it(locked: Running) -> None:
    assert fetch(f"{locked.url}/")[0] == 200
    assert fetch(f"{locked.url}/static/app.js")[0] == 200
    assert fetch(f"{locked.url}/playground/models")[0] == 401
    assert fetch(f"{locked.url}/playground/models", Authorization="Bearer open sesame")[0] == 200
    assert locked.post("/playground/gpt2/attention", {"inputs": "Berlin is"})[0] == 401
