"""Long runs: killed at any moment they go on to the same file, and only with what they were begun with."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lamina import cli, pipeline
from lamina.cli import output
from lamina.inference import batching
from tests.cli.conftest import Finished

Lamina = Callable[..., Finished]
Writer = Callable[[str], str]

TEXTS = [f"The film number {number} was {'very ' * (number % 7)}good 🚀 한국어" for number in range(300)]


def lines_of(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_a_killed_run_goes_on_to_the_file_of_one_that_was_not(lamina: Lamina, writer: Writer, tmp_path: Path) -> None:
    file, out, whole = (tmp_path / name for name in ("texts.txt", "out.jsonl", "whole.jsonl"))
    file.write_text("\n".join(TEXTS), encoding="utf-8")
    command = ["run", "translation", "-m", writer("marian"), "-f", str(file), "--max-new-tokens", "6"]
    assert lamina(*command, "-o", str(whole)).status == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "lamina", *command, "-o", str(out)], env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    patience = time.monotonic() + 60
    while lines_of(out) < 5 and process.poll() is None and time.monotonic() < patience:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    written = lines_of(out)
    assert 5 <= written < len(TEXTS)
    with out.open("ab") as opened:  # as if it had been killed within a line
        opened.write('{"input": "The film 🚀'.encode()[:-2])
    done = lamina(*command, "-o", str(out), "--resume")
    assert (done.status, done.err) == (0, f"{len(TEXTS)} rows -> {out}\n")
    assert out.read_bytes() == whole.read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    done = lamina(*command, "-o", str(out), "--resume")
    assert (done.status, "nothing is left to do" in done.err) == (0, True)
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--max-new-tokens", "3"], "other options"),
        (["--set", "num_beams=2"], "other options"),
        (["-m", "{other}"], "other model"),
        (["-f", "{more}"], "other files"),
        (["another text"], "other texts"),
    ],
)
def test_a_run_goes_on_only_with_what_it_was_begun_with(
    lamina: Lamina, writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: list[str], words: str
) -> None:
    file, more, out = (tmp_path / name for name in ("texts.txt", "more.txt", "out.jsonl"))
    file.write_text("One.\nTwo.\n", encoding="utf-8")
    more.write_text("Three.\n", encoding="utf-8")
    command = ["run", "text2text-generation", "-m", writer("t5"), "-f", str(file), "-o", str(out)]
    with stopped_after(1, monkeypatch):
        assert lamina(*command, "--max-new-tokens", "2").status == 1
    out.write_bytes(before := out.read_bytes() + b'{"input"')
    places = {"other": writer("bart"), "more": str(more)}
    usual = [] if change[0] == "--max-new-tokens" else ["--max-new-tokens", "2"]
    done = lamina(*command, *usual, *(part.format(**places) for part in change), "--resume")
    assert done.status == 1
    assert f"out.jsonl was begun with {words}" in done.err
    assert done.err.count("\n") == 1
    assert out.read_bytes() == before


def test_a_changed_model_or_a_lost_note_is_noticed(
    lamina: Lamina, writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, model = tmp_path / "out.jsonl", tmp_path / "model"
    assert lamina("convert", writer("t5"), str(model)).status == 0
    command = ["run", "text2text-generation", "One.", "Two.", "-m", str(model), "-o", str(out), "--max-new-tokens", "2"]
    with stopped_after(1, monkeypatch):
        assert "No space left on device; the 1 before are kept: go on with --resume" in lamina(*command).err
    assert lines_of(out) == 1
    os.utime(model / "model.safetensors")
    assert "other files of the model" in lamina(*command, "--resume").err
    (tmp_path / ".out.jsonl.run").unlink()
    done = lamina(*command, "--resume")
    assert (done.status, "begins anew" in done.err) == (1, True)
    out.unlink()
    assert lamina(*command, "--resume").status == 0
    assert lines_of(out) == 2


@contextmanager
def stopped_after(rows: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A disk that is full after so many rows."""
    written = 0

    def write(handle: int, data: memoryview) -> int:
        nonlocal written
        written += 1
        if written > rows:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.write(handle, data)

    with monkeypatch.context() as patch:
        patch.setattr(output, "write_bytes", write)
        yield


def test_resuming_needs_a_file_and_a_file_that_can_be_written(lamina: Lamina, writer: Writer, tmp_path: Path) -> None:
    command = ["run", "text2text-generation", "One.", "-m", writer("t5")]
    assert lamina(*command, "--resume").status == 2
    done = lamina(*command, "-o", str(tmp_path / "nowhere" / "out.jsonl"))
    assert (done.status, "cannot be written" in done.err) == (2, True)


def test_rows_are_read_as_they_are_answered(writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0

    def texts() -> Iterator[str]:
        nonlocal read
        for text in TEXTS * 10:
            read += 1
            yield text

    pipe = pipeline("translation", model=writer("marian"), device="cpu", max_new_tokens=2, num_beams=1)
    answers = pipe(texts())
    for _ in range(600):
        next(answers)
    assert read <= 600 + pipe.at_once


def test_the_bar_counts_what_was_there(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(batching, "PATIENCE", 0.0)
    assert list(batching.track(iter([1, 2]), 9, "texts", 7)) == [1, 2]
    assert "/9" in capsys.readouterr().err
    assert cli.main


def test_a_long_text_is_read_in_windows_where_that_is_asked_for(lamina: Lamina, writer: Writer) -> None:
    command = ["run", "summarization", "The film was good. " * 40, "-m", writer("bart"), "--max-new-tokens", "4"]
    refused = lamina(*command)
    assert (refused.status, "pass --chunk to" in refused.err, "or --truncation to" in refused.err) == (3, True, True)
    (line,) = lamina(*command, "--chunk").lines
    assert line["output"][0]["chunks"] > 1


def test_every_line_is_json_with_its_input(lamina: Lamina, writer: Writer) -> None:
    done = lamina("run", "text-generation", "Two 🚀", "-m", writer("gpt2"), "--max-new-tokens", "2", "--json")
    assert [json.loads(line)["input"] for line in done.out.splitlines()] == ["Two 🚀"]
