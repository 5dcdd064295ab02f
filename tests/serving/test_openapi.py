"""Schemathesis, which nobody here wrote, makes requests out of the OpenAPI document and reads every answer by it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import DEADLINE
from .running import Running

SECONDS = 16
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)
AT_THE_ROOT = [
    *("/", "/v1/embeddings", "/v1/completions", "/v1/models", "/embed", "/rerank", "/predict", "/similarity"),
    *("/tokenize", "/generate", "/generate_stream", "/info", "/health", "/ready", "/metrics"),
]


def named(document: dict[str, Any], ids: list[str]) -> dict[str, Any]:
    """The document for one server's models: with made-up ids, hardly a request would get beyond a 404."""
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", []):
                if parameter["name"] == "model_id":
                    parameter["schema"] = {"type": "string", "enum": ids}
    return document


def test_answers_are_as_documented(server: Running, tmp_path: Path) -> None:
    """One run for the models of all kinds: the program takes longer to start than to ask."""
    document = tmp_path / "openapi.json"
    ids = ["gpt2", "minilm", "bert-moods"]
    document.write_text(json.dumps(named(server.get("/openapi.json")[1], ids)), encoding="utf-8")
    command = [str(Path(sys.executable).parent / "schemathesis"), "run", str(document), "--url", server.url]
    command += ["--checks", ",".join(CHECKS), "--phases", "coverage,fuzzing", "--seed", "1", "--max-examples", "10"]
    command += ["--max-time", str(SECONDS), "--suppress-health-check", "all", "--no-color"]
    command += ["--request-timeout", str(DEADLINE + 60)]  # the server's own deadline comes first
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=DEADLINE + 600
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_the_document_names_every_route(server: Running) -> None:
    status, document = server.get("/openapi.json")
    assert status == 200
    assert document["openapi"].startswith("3.1")
    assert [path for path in AT_THE_ROOT if path not in document["paths"]] == []
    assert {"/models/{model_id}", "/models/{model_id}/pipeline/{task}"} <= set(document["paths"])


def test_every_route_is_below_models_too(server: Running) -> None:
    """A client that was given a model's address adds its own path to it."""
    for path in ("/v1/embeddings", "/embed", "/similarity", "/tokenize"):
        payload: dict[str, Any] = {"inputs": "x", "input": "x", "model": "ignored"}
        if path == "/similarity":
            payload = {"inputs": {"source_sentence": "x", "sentences": ["y"]}}
        status, found = server.post(f"/models/minilm{path}", payload)
        assert status == 200, (path, found)


@pytest.mark.parametrize("body", [b"\xff\xfe", b"{", b"", b"[1,", b'{"inputs": "\xed\xa0\x80"}'])
def test_a_body_that_is_no_json_is_the_client_s_own_error(server: Running, body: bytes) -> None:
    for path in ("/", "/models/gpt2", "/v1/completions"):
        status, found = server.send(path, body)
        assert status == 422, found
        assert "error" in found


def test_pages_of_the_document_are_there(server: Running) -> None:
    status, page = server.get("/docs")
    assert status == 200
    assert "<html" in page.lower()
