"""`lamina serve`: what it says at the start, and what it refuses before anything is loaded."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from lamina.cli import main
from lamina.cli import serve as command
from lamina.cli.app import app
from lamina.errors import LaminaError, ServingError
from lamina.serving import ServeSettings
from lamina.serving.models import named_models
from lamina.serving.state import Serving


@pytest.fixture(autouse=True)
def log_levels() -> Iterator[None]:
    """The command quiets what may quote inputs, in this very process."""
    names = ("lamina.pipelines", "lamina.generation", "lamina.tokenizers", "lamina.serving")
    before = {name: logging.getLogger(name).level for name in names}
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def refused(*arguments: str) -> str:
    """The message of ours that a call ends with."""
    result = CliRunner().invoke(app, ["serve", *arguments])
    assert isinstance(result.exception, LaminaError), result.output
    return str(result.exception)


def test_a_place_that_is_unknown_is_a_usage_error() -> None:
    result = CliRunner().invoke(app, ["serve", "--on", "mars"])
    assert result.exit_code == 2
    assert "mars" in result.output


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--queue-requests", "0"), "queue_requests"),
        (("--port", "99999"), "port"),
        (("--api-key", " "), "API key"),
        (("--task", "nonsense"), "nonsense"),
        (("--task", "summarization"), "summarization"),
        (("--device", "nope"), "--device 'nope' names no device"),
        (("--device", "cuda:99", "--on", "ray"), "--device"),
        (("--precision", "nope"), "unknown precision 'nope'"),
        (("../x=y",), "id"),
        (("./nowhere",), "there is no folder ./nowhere"),
        (("x=./nowhere",), "there is no folder ./nowhere"),
        ((__file__,), "is a file"),
        (("a=x", "a=y"), "two models"),
        (("--on", "ray", "--replicas", "none"), "replicas"),
    ],
)
def test_what_makes_no_sense_is_one_line(arguments: tuple[str, ...], word: str) -> None:
    assert word in refused(*arguments)


def test_an_address_that_is_taken(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert port in refused("--port", port)
        monkeypatch.setattr(sys, "argv", ["lamina", "serve", "--port", port])
        with pytest.raises(SystemExit) as stopped:
            main()
    said = capsys.readouterr().err
    assert (stopped.value.code, said.count("\n"), port in said) == (1, 1, True)


def test_an_address_that_is_not_ours() -> None:
    assert "192.0.2.1" in refused("--host", "192.0.2.1")


@pytest.mark.parametrize("package", ["fastapi", "uvicorn", "orjson", "prometheus_client"])
def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    message = refused()
    assert package in message
    assert "lamina[serve]" in message


def test_what_is_served_is_shown_and_the_key_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    settings = ServeSettings(models=("a=x", "org/b=y"), task="fill-mask", api_key="open sesame")
    command._show(Serving(settings, named_models(settings)), 8123)
    shown = capsys.readouterr().err
    for words in ("org/b", "/models/a", "/ui/models/org/b", "fill-mask", "http://localhost:8123", "needs the API key"):
        assert words in shown
    assert "open sesame" not in shown


def test_a_server_open_to_others_without_a_key_says_so(caplog: pytest.LogCaptureFixture) -> None:
    settings = ServeSettings(models=("a=x",), host="0.0.0.0")
    command._show(Serving(settings, named_models(settings)), 8123)
    assert "without an API key" in caplog.text


def test_every_limit_has_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = []
    monkeypatch.setattr(command, "_serve_here", lambda settings, threads: found.append(settings))
    limits = {"queue_requests": 9, "queue_tokens": 8, "batch_inputs": 7, "batch_tokens": 6, "body_bytes": 5,
              "input_tokens": 4, "new_tokens": 3, "sequences": 2, "deadline": 1.5, "drain": 0.5}  # fmt: skip
    arguments = [part for name, value in limits.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    result = CliRunner().invoke(app, ["serve", "m", *arguments], env={"LAMINA_API_KEY": "k"})
    assert result.exit_code == 0, result.output
    (settings,) = found
    assert vars(settings.limits) == limits
    assert (settings.models, settings.api_key) == (("m",), "k")


def test_settings_without_a_model_that_is_there() -> None:
    with pytest.raises(ServingError, match="embedded"):
        named_models(ServeSettings(task="translation"))
