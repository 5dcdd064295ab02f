"""How requests are read: bodies by their kind, arguments by their names, and what is left to FastAPI."""

from __future__ import annotations

import http.client
from contextlib import suppress
from typing import Annotated, Any

import pytest
from fastapi import FastAPI, Query
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from lamina.generation.config import OPTIONS
from lamina.serving import ServeSettings, create_app
from lamina.serving.errors import Invalid
from lamina.serving.routes.route import parts_of, read_json
from lamina.serving.schemas import PARAMETERS, TaskRequest

from .asgi import Exchange, run, started
from .fakes import FakeServed, FakeStages
from .running import in_thread


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=utf-8", "application/vnd.api+json", " application/json ;x"]
)
def test_json_by_any_of_its_names(kind: str) -> None:
    assert read_json(b'{"a": [1, "\\ud83d\\ude00"]}', kind) == {"a": [1, "😀"]}


@pytest.mark.parametrize(
    ("body", "kind", "word"),
    [
        (b"", "application/json", "missing"),
        (b"{}", "", "application/json"),
        (b"{}", "text/plain", "application/json"),
        (b"{}", "application/jsonp", "application/json"),
        (b"{}", "multipart/form-data; boundary=application/json", "application/json"),
        (b"{", "application/json", "no JSON"),
        (b"\xff\xfe\x00{", "application/json", "JSON"),
        (b'"\xff"', "application/json", "UTF-8"),
        (b"[" * 100_000, "application/json", "inside each other"),
        (b'{"a": ' * 100_000, "application/json", "inside each other"),
    ],
    ids=["none", "unsaid", "text", "jsonp", "form", "cut", "utf-16", "latin-1", "lists", "objects"],
)
def test_what_is_no_json_is_refused_in_words(body: bytes, kind: str, word: str) -> None:
    with pytest.raises(Invalid, match=word):
        read_json(body, kind)


async def plain(request: Request, task: str, body: TaskRequest) -> Response: ...


async def asks_more(request: Request, limit: Annotated[int, Query()] = 1) -> Response: ...


async def answers_in_its_own_way(request: Request) -> dict[str, Any]: ...


def test_only_what_can_be_read_is_read_here() -> None:
    parts = parts_of(plain)
    assert parts is not None
    assert list(parts) == ["request", "task", "body"]
    assert parts_of(asks_more) is None
    assert parts_of(answers_in_its_own_way) is None


def app() -> FastAPI:
    return create_app(ServeSettings(), {"a/b": FakeServed("a/b", FakeStages())})


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/models/a/b", 200),
        ("/models/a/b/pipeline/text-classification", 200),
        ("/models/a", 404),
        ("/models/a/b/pipeline/", 404),
        ("/models/", 404),
        ("/predict", 200),
        ("/models/a/b/predict", 200),
        ("/nowhere/predict", 404),
        ("/v1/models", 405),
        ("/health", 405),
    ],
)
def test_addresses_lead_where_they_say(path: str, status: int) -> None:
    async def ask() -> Exchange:
        async with started(app()) as client:
            return await client.post(path, {"inputs": "text"})

    answer = run(ask())
    assert answer.status == status
    assert status == 200 or answer.json.keys() == {"error", "error_type"} or "/v1" in path


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/health", 200), ("/models/a/b", 200), ("/nowhere", 404)])
def test_head_is_get_without_its_body(path: str, status: int) -> None:
    with in_thread(app()) as running:
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=300)
        found = []
        for method in ("HEAD", "GET"):
            connection.request(method, path)
            with connection.getresponse() as answer:
                found.append((answer.status, answer.headers["Content-Length"], len(answer.read())))
        connection.close()
    (head, said, read), (whole, length, size) = found
    assert head == whole == status
    assert (said, read) == (length, 0)
    assert size == int(length)


@pytest.mark.parametrize("name", sorted(OPTIONS.keys() & PARAMETERS["text-generation"].model_fields.keys()))
def test_no_schema_takes_what_generate_refuses(name: str) -> None:
    """The rules of generation's table hold at this door too, which only adds a server's limits to them."""
    taken = []
    for value in (-1, -0.5, 0, 0.5, 1, 2, 10**9, True, False, "2", "never"):
        with suppress(ValidationError):
            PARAMETERS["text-generation"].model_validate({name: value})
            taken.append(value)
    assert taken and all(OPTIONS[name].rule.holds(value) for value in taken)
