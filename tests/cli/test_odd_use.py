"""What a stranger or a shell does to the commands: streams that are closed or full, settings said twice, odd files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Finished

Lamina = Callable[..., Finished]
Checkpoint = Callable[[str], str]

POSIX = pytest.mark.skipif(os.name == "nt", reason="streams of POSIX")
STREAMS: list[tuple[str, str, int, str, str]] = [  # what a shell is told, status, standard output, standard error
    ("{lamina} run text-classification x -m {moods} >&-", "", 1, "", "standard output cannot be written"),
    ("{lamina} run text-classification -m {moods} <&-", "", 1, "", "standard input, row 1: cannot be read"),
    ("{lamina} run text-classification x -m {moods} 2>&-", "", 0, '{"input": "x"', ""),
    ("{lamina} info --families >&-", "", 1, "", "standard output cannot be written: Bad file descriptor"),
    ("{lamina} info --families --json >/dev/full", "", 1, "", "standard output cannot be written: No space left"),
    ("{lamina} info --families >/dev/full", "", 1, "", "standard output cannot be written: No space left"),
    ("{lamina} run text-classification x -m {moods} >/dev/full", "", 1, "", "output cannot be written: No space left"),
    ("{lamina} generate {gpt2} Hi -n 2 >/dev/full", "", 1, "", "standard output cannot be written: No space left"),
    ("{lamina} run --help >/dev/full", "", 1, "", "standard output cannot be written: No space left"),
    ("{lamina} run text-classification 한é -m {moods}", "LC_ALL=C", 0, '{"input": "한é"', ""),
    ("{lamina} run text-classification 한é -m {moods}", "PYTHONIOENCODING=latin-1", 0, '{"input": "한é"', ""),
    ("{lamina} info --families", "PYTHONIOENCODING=ascii", 0, "●", ""),
]


@POSIX
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize(("line", "setting", "status", "out", "err"), STREAMS)
def test_streams_that_are_closed_full_or_of_another_encoding(
    checkpoint: Checkpoint, writer: Checkpoint, line: str, setting: str, status: int, out: str, err: str
) -> None:
    names = {"lamina": f"{sys.executable} -m lamina", "moods": checkpoint("bert-moods")}
    command = line.format(**names, gpt2=writer("gpt2") if "{gpt2}" in line else "")
    plain = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", **dict([setting.split("=")] if setting else [])}
    done = subprocess.run(["sh", "-c", command], capture_output=True, env={**os.environ, **plain}, timeout=300)
    assert (done.returncode, b"Traceback" in done.stderr) == (status, False), done.stderr
    assert out in done.stdout.decode() and err in done.stderr.decode()
    assert status == 0 or done.stderr.count(b"\n") == 1


TWICE: list[tuple[list[str], int, str]] = [
    (["run", "text-classification", "x", "-k", "2", "--set", "top_k=3"], 2, "top_k is given by --top-k already"),
    (["run", "text-classification", "x", "--set", "top_k=1", "--set", "top_k=2"], 2, "given by --set already"),
    (["run", "text-classification", "x", "--batch-size", "1", "--set", "batch_size=2"], 2, "by --batch-size already"),
    (["run", "text-classification", "x", "--set", "batch_size=0"], 1, "--batch-size is 0"),
    (["run", "text-classification", "x", "--set", "batch_size=many"], 1, "--batch-size is 'many'"),
    (["run", "text-classification", "-f", "-", "-f", "-"], 2, "standard input can be read only once"),
    (["run", "text-classification", "-f", "pipe.txt"], 2, "is a pipe or a device"),
    (["run", "question-answering", "x", "-c", "@"], 1, "@ needs the name of a file after it"),
    (["run", "question-answering", "x", "-c", "@."], 1, "cannot be read (Is a directory)"),
    (["run", "question-answering", "x", "-c", "@/dev/zero"], 1, "more than 16,777,216 bytes"),
    (["run", "fill-mask", "x", "--targets", ""], 1, "none of the targets"),
    (["run", "fill-mask", "x", "--set", "top_k=0"], 1, "--top-k is 0"),
    (["run", "ner", "x", "--aggregation", "most"], 1, "--aggregation is 'most'"),
    (["run", "t" * 9999, "x"], 2, "no task 'ttt"),
    (["run", "", "x"], 2, "no task ''; there are"),
    (["train", "summarization", "--train", "a.txt", "-o", "o", "--set", "output_dir=x"], 2, "by --output already"),
    (
        ["train", "summarization", "--train", "a.txt", "-o", "o", "--epochs", "1", "--set", "num_train_epochs=2"],
        2,
        "ep",
    ),
    (["train", "summarization", "--train", "a.txt", "-o", "o", "--seed", "-1"], 2, "--seed"),
    (["info", "--families"], 2, "--families"),
]
MODELS = {"question-answering": "bert-qa", "fill-mask": "bert-mask", "ner": "bert-tags"}


@POSIX
@pytest.mark.parametrize(("arguments", "status", "words"), TWICE)
def test_what_contradicts_itself_or_never_ends_is_refused(
    lamina: Lamina,
    checkpoint: Checkpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    status: int,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.txt")
    model = checkpoint(MODELS.get(arguments[1], "bert-moods"))
    done = lamina(*arguments, *([model] if arguments[0] == "info" else ["-m", model]))
    assert done.status == status and words in " ".join(done.err.replace("│", " ").split())
    assert "Traceback" not in done.err and len(done.err) < 4000 and done.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["pipe.txt"]


ESCAPE = "a\x1b[31m\x9bb\x07"


@pytest.mark.parametrize(
    ("task", "model", "more"),
    [
        ("text-classification", "bert-moods", []),
        ("ner", "bert-tags", []),
        ("question-answering", "bert-qa", ["-c", ESCAPE]),
        ("zero-shot-classification", "bert-nli", ["--labels", f"{ESCAPE},y"]),
        ("sentence-similarity", "bert-body", ["--source", ESCAPE]),
    ],
)
def test_a_terminal_is_told_nothing_by_texts_and_labels(
    lamina: Lamina, checkpoint: Checkpoint, tmp_path: Path, task: str, model: str, more: list[str]
) -> None:
    folder = shutil.copytree(checkpoint(model), tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    if task in ("text-classification", "ner"):
        config["id2label"] = {key: f"{name}{ESCAPE}" for key, name in config["id2label"].items()}
        config.pop("label2id", None)
        (folder / "config.json").write_text(json.dumps(config))
    done = lamina("run", task, ESCAPE, "-m", str(folder), *more, terminal=True)
    assert done.status == 0 and not set(done.out) & {"\x1b", "\x9b", "\x07"}
    assert not set(lamina("info", str(folder), terminal=True).out) & {"\x1b", "\x9b", "\x07"}


@pytest.mark.parametrize("ending", ["csv", "tsv", "json", "parquet", "jsonl"])
def test_a_whole_file_is_taken_for_that_of_the_same_inputs_only(
    lamina: Lamina, checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.chdir(tmp_path)
    rows: list[Any] = [{"text": "a", "n": 1, "x": None}, {"text": "", "n": 2.5}, {"text": 5, "n": 2**60}]

    def write(rows: list[Any]) -> None:
        Path("in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    write(rows)
    command = ["run", "text-classification", "-m", checkpoint("bert-moods"), "-f", "in.jsonl", "-o", f"out.{ending}"]
    assert lamina(*command).status == 3
    before = Path(f"out.{ending}").read_bytes()
    done = lamina(*command, "--resume")
    assert (done.status, "nothing is left to do" in done.err) == (3, True), done.err
    for changed in (
        rows[:2],
        [*rows, rows[0]],
        [{**rows[0], "text": "b"}, *rows[1:]],
        [{**rows[0], "n": 3}, *rows[1:]],
    ):
        write(changed)
        done = lamina(*command, "--resume")
        assert (done.status, "--overwrite begins anew" in done.err) == (1, True), done.err
        assert Path(f"out.{ending}").read_bytes() == before


@POSIX
def test_a_link_in_the_way_of_the_journal_is_not_followed(
    lamina: Lamina, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    (tmp_path / "precious").write_text("precious\n")
    (tmp_path / ".out.csv.rows").symlink_to("precious")
    command = ["run", "text-classification", "x", "-m", checkpoint("bert-moods"), "-o", str(tmp_path / "out.csv")]
    done = lamina(*command, "--overwrite")
    assert (done.status, "out.csv cannot be written" in done.err) == (1, True)
    assert (tmp_path / "precious").read_text() == "precious\n"


@pytest.mark.parametrize("name", ["config.json", "1_Pooling/config.json"])
@pytest.mark.parametrize("spelled", ["model", "~/model"])
def test_no_file_of_the_model_is_written_over(
    lamina: Lamina, checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, spelled: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = shutil.copytree(checkpoint("bert-moods"), tmp_path / "model")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text("{}")
    before = (folder / name).read_bytes()
    done = lamina("run", "text-classification", "x", "-m", spelled, "-o", f"model/{name}", "--overwrite")
    assert (done.status, "is the input" in " ".join(done.err.replace("│", " ").split())) == (2, True)
    assert (folder / name).read_bytes() == before
    assert lamina("run", "text-classification", "x", "-m", spelled).status == 0


def test_every_command_knows_the_built_in_model(lamina: Lamina) -> None:
    assert "labels        NEGATIVE, POSITIVE" in lamina("info", "builtin").out
