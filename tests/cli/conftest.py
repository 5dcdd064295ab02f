"""The command line run in this process, and tiny checkpoints for it."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from lamina.cli import main
from tests.assets import asset
from tests.pipelines.checkpoints import write_checkpoint
from tests.pipelines.writers import write_writer


@dataclass(frozen=True)
class Finished:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The folder of a tiny checkpoint, by its name in tests/pipelines/checkpoints.py."""
    folder = tmp_path_factory.mktemp("checkpoints")

    @cache
    def written(name: str) -> str:
        return str(write_checkpoint(name, folder, asset("minilm") / "vocab.txt"))

    return written


@pytest.fixture(scope="session")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The folder of a tiny checkpoint that writes, by its name in tests/pipelines/writers.py."""
    folder = tmp_path_factory.mktemp("writers")

    @cache
    def written(name: str) -> str:
        return str(write_writer(name, folder, asset))

    return written


@pytest.fixture
def lamina(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Finished]:
    """`lamina ARGUMENTS`, on a terminal of 100 columns where asked, else into a pipe."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "dumb")

    def run(*arguments: str, given: str | bytes = "", terminal: bool = False) -> Finished:
        data = given.encode() if isinstance(given, str) else given
        monkeypatch.setattr(sys, "argv", ["lamina", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capsys.readouterr()
        return Finished(int(stopped.value.code or 0), captured.out, captured.err)

    return run
