"""`lamina run -o`: nothing that exists is touched before all is checked, and a stop anywhere loses no row."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from lamina import pipeline
from lamina.cli import output, run
from lamina.files.tables import open_rows
from tests.cli.conftest import Finished

Lamina = Callable[..., Finished]
Checkpoint = Callable[[str], str]

TEXTS = ["A merry tale.", "Grim, and long.", 'Pl"ain.', "한국어 🚀"]
ENDINGS = ("jsonl", "csv", "tsv", "json", "parquet")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with inputs, and a file that must not be lost."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "d.csv").write_text("text\ngood\nbad\n")
    (tmp_path / "in" / "d.jsonl").write_text('{"text": "good"}\n{"text": "bad"}\n')
    (tmp_path / "page.jsonl").write_text("A passage.")
    os.symlink("in/d.jsonl", tmp_path / "link.jsonl")
    os.link("in/d.jsonl", tmp_path / "hard.jsonl")
    (tmp_path / "old.jsonl").write_text("precious\n")
    return tmp_path


def state(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


REFUSED: list[tuple[list[str], int, str]] = [
    (["-f", "in/d.jsonl", "-o", "in/d.jsonl"], 2, "is the input"),
    (["-f", "in/d.jsonl", "-o", "in/d.jsonl", "--overwrite"], 2, "is the input"),
    (["-f", "in/d.jsonl", "-o", "in/d.jsonl", "--resume"], 2, "is the input"),
    (["-f", "in/d.jsonl", "-o", "in/../in/d.jsonl", "--overwrite"], 2, "is the input"),
    (["-f", "in/d.jsonl", "-o", "{here}/in/d.jsonl", "--overwrite"], 2, "is the input"),
    (["-f", "in/d.jsonl", "-o", "link.jsonl", "--overwrite"], 2, "is the input"),
    (["-f", "in/d.jsonl", "-o", "hard.jsonl", "--overwrite"], 2, "is the input"),
    (["-f", "link.jsonl", "-o", "in/d.jsonl", "--overwrite"], 2, "is the input"),
    (["-f", "in", "-o", "in/d.csv", "--overwrite"], 2, "is the input"),
    (["-f", "in", "-o", "in/new.jsonl"], 2, "lies in in, which is read"),
    (["-f", "in/*.jsonl", "-o", "in/new.jsonl"], 2, "is one of in/*.jsonl, which is read"),
    (["x", "-o", "{moods}/config.json", "--overwrite"], 2, "is the input"),
    (["x", "-o", "old.jsonl"], 2, "is there already: --resume goes on with it, --overwrite begins anew"),
    (["x", "-o", "old.jsonl", "--resume"], 1, "old.jsonl, line 1: not a row of lamina run"),
    (["x", "-o", "in"], 2, "not one of"),
    (["x", "-o", "old.jsonl", "--overwrite", "-m", "/nope"], 1, "there is no folder /nope"),
    (["x", "-o", "old.jsonl", "--overwrite", "-m", "nope"], 1, "there is no folder 'nope' here"),
    (["x", "-o", "old.jsonl", "--overwrite", "-m", "{here}/in"], 1, "config.json"),
    (["x", "-o", "old.jsonl", "--overwrite", "-m", "{qa}"], 1, "holds no"),
    (["x", "-o", "old.jsonl", "--overwrite", "--precision", "int3"], 1, "int3"),
    (["x", "-o", "old.jsonl", "--overwrite", "--set", "colour=red"], 1, "colour"),
    (["x", "-o", "old.jsonl", "--overwrite", "--set", "function_to_apply=cube"], 1, "cube"),
    (["x", "-o", "old.jsonl", "--overwrite", "--labels", "a,b"], 2, "no such option"),
    (["x", "-o", "old.jsonl", "--overwrite", "--device", "abacus"], 1, "abacus"),
    (["-f", "none.csv", "-o", "old.jsonl", "--overwrite"], 2, "there is no none.csv"),
    (["-f", "in/d.csv", "-o", "old.jsonl", "--overwrite", "--text-column", "t"], 1, "there is no 't', only 'text'"),
    (["-f", "in/d.jsonl", "-o", "old.jsonl", "--overwrite", "--text-column", "t"], 1, "there is no 't', only 'text'"),
    (["-f", "in/d.csv", "-o", "old.jsonl", "--overwrite", "--format", "parquet"], 1, "cannot be read as parquet"),
    (["", "-o", "old.jsonl", "--overwrite", "--strict", "--text-pair-column", "x", "-f", "in/d.csv"], 1, "no 'x'"),
]


@pytest.mark.parametrize(("arguments", "status", "words"), REFUSED)
def test_what_is_refused_leaves_everything_as_it_was(
    lamina: Lamina, checkpoint: Checkpoint, place: Path, arguments: list[str], status: int, words: str
) -> None:
    moods = shutil.copytree(checkpoint("bert-moods"), place / "moods")
    places = {"here": place, "moods": moods, "qa": checkpoint("bert-qa")}
    before = state(place)
    done = lamina("run", "text-classification", "-m", str(moods), *(each.format(**places) for each in arguments))
    assert done.status == status
    assert words in " ".join(done.err.replace("│", " ").split())
    assert "Traceback" not in done.err
    assert state(place) == before


def test_the_file_of_an_option_is_an_input_too(lamina: Lamina, checkpoint: Checkpoint, place: Path) -> None:
    before = state(place)
    command = ["run", "question-answering", "Who?", "-c", "@page.jsonl", "-o", "page.jsonl", "--overwrite"]
    assert "is the input page.jsonl" in lamina(*command, "-m", checkpoint("bert-qa")).err
    assert state(place) == before


def table_of(path: Path) -> list[dict[str, Any]]:
    """The rows of an output of any format, with what is empty left out."""
    rows = parquet.read_table(path).to_pylist() if path.suffix == ".parquet" else [row.value for row in open_rows(path)]
    return [{name: value for name, value in row.items() if value not in ("", None)} for row in rows]


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_ending_says_the_format(lamina: Lamina, checkpoint: Checkpoint, place: Path, ending: str) -> None:
    """Rows of .csv, .tsv and .parquet are flat: input.COLUMN, output.KEY, error."""
    (place / "rows.jsonl").write_text("".join(json.dumps({"text": text, "n": 1}) + "\n" for text in [*TEXTS, 3]))
    out = place / f"out.{ending}"
    done = lamina("run", "text-classification", "-m", checkpoint("bert-moods"), "-f", "rows.jsonl", "-o", str(out))
    assert done.status == 3 and done.err.startswith(f"5 rows -> {out}, 1 with an error (rows.jsonl:5: ")
    rows = table_of(out)
    if ending in ("json", "jsonl"):
        assert [row["input"] for row in rows] == [{"text": text, "n": 1} for text in [*TEXTS, 3]]
        assert rows[0]["output"].keys() == {"label", "score"} and rows[4].keys() == {"input", "error"}
        return
    assert [str(row["input.text"]) for row in rows] == [*TEXTS, "3"]
    assert rows[0].keys() == {"input.text", "input.n", "output.label", "output.score"}
    assert rows[4].keys() == {"input.text", "input.n", "error"}
    if ending == "parquet":
        assert [type(row["input.n"]) for row in rows] == [int] * 5 and type(rows[0]["output.score"]) is float
    else:
        with out.open(encoding="utf-8", newline="") as opened:
            assert len(list(csv.reader(opened, delimiter="," if ending == "csv" else "\t"))) == 6


def test_several_answers_are_one_cell(lamina: Lamina, checkpoint: Checkpoint, place: Path) -> None:
    command = ["run", "text-classification", "-m", checkpoint("bert-moods"), "x", "y", "-k", "0", "-o", "out.csv"]
    assert lamina(*command).status == 0
    rows = table_of(place / "out.csv")
    assert [row["input"] for row in rows] == ["x", "y"] and len(json.loads(rows[0]["output"])) == 3


@pytest.fixture
def loaded(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is there already, for tests that run the command again and again and are about its files."""
    pipe = pipeline("text-classification", model=checkpoint("bert-moods"), device="cpu")
    monkeypatch.setattr(run, "load", lambda *_, **__: pipe)


class Killed(BaseException):
    """What no handler of errors sees."""


@contextmanager
def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The process ends at the step of this number of all that change the disk, or after half of its bytes."""
    steps: list[str] = []

    def watched(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*arguments: Any, **options: Any) -> Any:
            steps.append(name)
            if len(steps) == step:
                if name == "write":
                    call(arguments[0], arguments[1][: len(arguments[1]) // 2])
                raise Killed
            return call(*arguments, **options)

        return changed

    with monkeypatch.context() as patch:
        patch.setattr(output, "write_bytes", watched("write", os.write))
        patch.setattr(output, "write_text", watched("note", output.write_text))
        patch.setattr(output, "make_file", watched("make", output.make_file))
        patch.setattr(output, "staged", watched("stage", output.staged))
        patch.setattr(os, "ftruncate", watched("cut", os.ftruncate))
        patch.setattr(Path, "unlink", watched("unlink", Path.unlink))
        patch.setattr(Path, "replace", watched("replace", Path.replace))
        yield steps


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_kill_at_any_step_loses_no_row_and_repeats_none(
    lamina: Lamina, checkpoint: Checkpoint, place: Path, monkeypatch: pytest.MonkeyPatch, ending: str, existing: bool
) -> None:
    (place / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    command = ["run", "text-classification", "-m", checkpoint("bert-moods"), "-f", "texts.txt", "--batch-size", "1"]
    old = b'{"input": "old", "output": 1}\n'
    whole = place / f"whole.{ending}"
    assert lamina(*command, "-o", str(whole)).status == 0
    for step in range(1, 99):
        out = place / str(step) / f"out.{ending}"
        out.parent.mkdir()
        if existing:
            out.write_bytes(old)
        begin = ["--overwrite"] if existing else []
        with killed_at(step, monkeypatch) as steps:
            try:
                assert lamina(*command, "-o", str(out), *begin).status == 0
            except Killed:
                pass
            else:
                break
        kept = out.read_bytes() if out.exists() else b""
        assert not existing or kept in (old, whole.read_bytes())  # there until the new one is whole
        begun = any(path.name.startswith(".out") for path in out.parent.iterdir())
        done = lamina(*command, "-o", str(out), *(["--resume"] if begun or kept == whole.read_bytes() else begin))
        assert done.status == 0, (steps, done.err)
        assert table_of(out) == table_of(whole), steps
        assert [path.name for path in out.parent.iterdir()] == [out.name], steps
    assert len(steps) > len(TEXTS)


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_full_or_broken_disk_is_said_and_gone_on_from(
    lamina: Lamina, checkpoint: Checkpoint, place: Path, monkeypatch: pytest.MonkeyPatch, ending: str, code: int
) -> None:
    (place / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    out = place / f"out.{ending}"
    command = ["run", "text-classification", "-m", checkpoint("bert-moods"), "-f", "texts.txt", "-o", str(out)]
    room = 200

    def write(handle: int, data: memoryview) -> int:
        nonlocal room
        if room <= 0:
            raise OSError(code, os.strerror(code))
        count = os.write(handle, data[:room])
        room -= count
        return count

    with monkeypatch.context() as patch:
        patch.setattr(output, "write_bytes", write)
        done = lamina(*command)
    assert done.status == 1 and done.err.count("\n") == 1
    assert f"{out} cannot be written: {os.strerror(code)}; the " in done.err and "go on with --resume" in done.err
    journal = out if ending == "jsonl" else place / f".out.{ending}.rows"
    assert journal.read_bytes().endswith(b"}\n")
    done = lamina(*command)
    assert done.status == 2 and "with rows of a stopped run" in " ".join(done.err.replace("│", " ").split())
    assert lamina(*command, "--resume").err == f"4 rows -> {out}\n"
    assert len(table_of(out)) == 4


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_device_is_not_an_output(lamina: Lamina, checkpoint: Checkpoint) -> None:
    done = lamina("run", "text-classification", "x", "-m", checkpoint("bert-moods"), "-o", "/dev/full")
    assert (done.status, "is a pipe or a device" in done.err) == (2, True)


def test_two_runs_do_not_write_one_file(lamina: Lamina, checkpoint: Checkpoint, place: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    command = ["run", "text-classification", "x", "-m", checkpoint("bert-moods"), "-o", "out.jsonl"]
    with (place / "out.jsonl").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = lamina(*command)
    assert (done.status, "another run is writing it" in done.err) == (1, True)
    assert lamina(*command).status == 0


def test_a_file_that_came_while_the_model_was_loaded_is_kept(
    lamina: Lamina, checkpoint: Checkpoint, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = output.Output.begin

    def late(self: output.Output, record: Any) -> None:
        (place / "out.jsonl").write_text("precious\n")
        begin(self, record)

    monkeypatch.setattr(output.Output, "begin", late)
    done = lamina("run", "text-classification", "x", "-m", checkpoint("bert-moods"), "-o", "out.jsonl")
    assert (done.status, "another one has written it" in done.err) == (1, True)
    assert (place / "out.jsonl").read_text() == "precious\n"


def test_an_empty_file_may_be_written_to_and_no_rows_make_one(
    lamina: Lamina, checkpoint: Checkpoint, place: Path
) -> None:
    command = ["run", "text-classification", "-m", checkpoint("bert-moods"), "-o", "out.jsonl"]
    (place / "out.jsonl").touch()
    assert lamina(*command, "x").err == "1 row -> out.jsonl\n"
    assert lamina(*command[:-1], "none.json", given="").err == "0 rows -> none.json\n"
    assert json.loads((place / "none.json").read_text()) == []


def test_convert_never_replaces_the_weights_it_reads(lamina: Lamina, checkpoint: Checkpoint, place: Path) -> None:
    model = place / "model"
    assert lamina("convert", checkpoint("bert-moods"), str(model)).status == 0
    before = state(model)
    done = lamina("convert", str(model), str(model))
    assert (done.status, "is there already, and would be replaced" in done.err) == (1, True)
    assert state(model) == before
