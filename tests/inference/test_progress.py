"""The bar: for people only, and only where there is something to wait for."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from lamina.inference import batching


class Terminal(io.StringIO):
    """A standard error that someone looks at."""

    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Not a fixture: pytest sets standard error anew after those."""
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    return screen


def test_long_work_on_a_terminal_shows_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    monkeypatch.setattr(batching, "PATIENCE", -1.0)
    assert list(batching.track(range(5), 5, "fill-mask")) == [0, 1, 2, 3, 4]
    assert "fill-mask" in screen.getvalue()
    assert "/5" in screen.getvalue()


def test_short_work_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    assert list(batching.track(range(5), 5, "fill-mask")) == [0, 1, 2, 3, 4]
    assert screen.getvalue().strip() == ""


def test_a_pipe_or_file_sees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setattr(batching, "PATIENCE", -1.0)
    assert list(batching.track(range(5), None, "fill-mask")) == [0, 1, 2, 3, 4]
    assert screen.getvalue() == ""


def test_a_failure_passes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(monkeypatch)
    monkeypatch.setattr(batching, "PATIENCE", -1.0)

    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        list(batching.track(failing(), 2, "ner"))
