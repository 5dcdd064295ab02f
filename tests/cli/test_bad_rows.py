"""One bad row is one bad row: its error names file and line in our own options, and nothing else suffers."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from lamina.cli import options, run
from lamina.cli.tasks import TASKS
from lamina.errors import LaminaError, PipelineError
from lamina.pipelines.inputs import AdvisedError
from tests.cli.conftest import Finished

Lamina = Callable[..., Finished]
Checkpoint = Callable[[str], str]

LONG = "word " * 100  # more than the tiny models read


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def numbered(count: int) -> list[str]:
    return [f"film {number} is good" for number in range(count)]


FAULTS: dict[str, tuple[str, Callable[[list[str]], bytes], str]] = {
    "too long in csv": ("r.csv", lambda rows: f"text\n{chr(10).join(rows).format(LONG)}\n".encode(), "--truncation"),
    "ragged csv": ("r.csv", lambda rows: "\n".join(["text", *rows]).format("a,b").encode(), "has 2 columns"),
    "open quote": ("r.csv", lambda rows: "\n".join(["text", *rows]).format('"open').encode(), "left open"),
    "bytes in csv": ("r.csv", lambda rows: "\n".join(["text", *rows]).format("é").encode("latin-1"), "not UTF-8"),
    "bytes in txt": ("r.txt", lambda rows: "\n".join(["x", *rows]).format("é").encode("latin-1"), "not UTF-8"),
    "too long in txt": ("r.txt", lambda rows: "\n".join(["x", *rows]).format(LONG).encode(), "--truncation"),
    "packed": ("r.txt.gz", lambda rows: gzip.compress("\n".join(["x", *rows]).format(LONG).encode()), "--truncation"),
    "not json": ("r.jsonl", lambda rows: lines(rows, '{"text": '), "not JSON"),
    "no object": ("r.jsonl", lambda rows: lines(rows, "[1]"), "must be an object"),
    "no column": ("r.jsonl", lambda rows: lines(rows, '{"body": "x"}'), "no 'text', only 'body'; --text-column names"),
    "number": ("r.jsonl", lambda rows: lines(rows, '{"text": 5}'), "must be a string"),
    "null": ("r.jsonl", lambda rows: lines(rows, '{"text": null}'), "None"),
    "surrogate": ("r.jsonl", lambda rows: lines(rows, '{"text": "\\ud800"}'), "surrogate"),
    "NaN": ("r.jsonl", lambda rows: lines(rows, '{"text": NaN}'), "NaN"),
}


def lines(rows: list[str], bad: str) -> bytes:
    good = [json.dumps({"text": row}) for row in ["x", *rows]]
    return "\n".join(bad if row == '{"text": "{}"}' else row for row in good).encode()


@pytest.mark.parametrize("name", FAULTS)
def test_a_bad_row_is_an_error_with_its_line_and_costs_no_other(
    lamina: Lamina, checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file, make, words = FAULTS[name]
    rows = numbered(300)
    rows[270] = "{}"
    Path(file).write_bytes(make(rows))
    headed = file.endswith(".csv")
    count, place = (300, 270) if headed else (301, 271)
    command = ["run", "text-classification", "-m", checkpoint("bert-moods"), "-f", file]
    done = lamina(*command, "-o", "out.jsonl")
    assert done.status == 3
    assert done.err.startswith(f"{count} rows -> out.jsonl, 1 with an error ({file}:272: ") and words in done.err
    found = rows_of(tmp_path / "out.jsonl")
    assert [number for number, row in enumerate(found) if "error" in row] == [place]
    assert found[place].keys() == {"input", "error"}
    assert found[place]["error"].startswith(f"{file}:272: ") and words in found[place]["error"]
    strict = lamina(*command, "-o", "strict.jsonl", "--strict")
    assert (strict.status, strict.err) == (1, f"lamina: {found[place]['error']}\n")
    assert rows_of(tmp_path / "strict.jsonl") == found[:place]
    resumed = lamina(*command, "-o", "strict.jsonl", "--resume")
    assert resumed.status == 3 and f"1 with an error ({file}:272: " in resumed.err
    assert [row.get("error") for row in rows_of(tmp_path / "strict.jsonl")] == [row.get("error") for row in found]
    whole = lamina(*command, "-o", "strict.jsonl", "--resume")
    assert (whole.status, "nothing is left to do" in whole.err) == (3, True)


def test_all_rows_may_be_bad_and_neighbours_are_answered_together(
    lamina: Lamina, checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, mixed = tmp_path / "bad.txt", tmp_path / "mixed.txt"
    bad.write_text("\n".join([LONG] * 40))
    mixed.write_text("\n".join(LONG if number % 7 == 3 else row for number, row in enumerate(numbered(40))))
    command = ["run", "text-classification", "-m", checkpoint("bert-moods"), "-f"]
    done = lamina(*command, str(bad))
    assert done.status == 3 and len(done.lines) == 40 and all("error" in line for line in done.lines)
    assert done.err.startswith("lamina: 40 rows, 40 with an error (")
    found = lamina(*command, str(mixed)).lines
    assert [number for number, line in enumerate(found) if "error" in line] == [3, 10, 17, 24, 31, 38]
    (answered,) = [lamina(*command[:-1], numbered(40)[20]).lines]
    assert found[20]["output"]["label"] == answered[0]["output"]["label"]
    assert found[20]["output"]["score"] == pytest.approx(answered[0]["output"]["score"], abs=1e-6)


def test_rows_are_counted_across_files_texts_and_standard_input(
    lamina: Lamina, checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text(f"x\n\n{LONG}\n")
    parquet.write_table(pa.table({"text": ["x", None], "n": [float("nan"), 1.5]}), "b.parquet")
    command = ["run", "text-classification", "-m", checkpoint("bert-moods"), "--json"]
    done = lamina(*command, "x", LONG, "-f", "a.txt", "-f", "b.parquet", "-f", "-", given=b"fine\n\xff\n")
    places = [line["error"].partition(": ")[0] for line in done.lines if "error" in line]
    assert places == ["text 2", "a.txt:3", "b.parquet:2", "standard input:2"]
    assert done.lines[5]["input"] == {"text": "x", "n": None}
    shown = lamina(*command[:-1], "x", LONG, terminal=True)
    assert shown.status == 3 and "text 2: " in shown.out and "lamina: 2 rows, 1 with an error" in shown.err


def test_questions_name_their_columns(lamina: Lamina, checkpoint: Checkpoint, tmp_path: Path) -> None:
    file = tmp_path / "q.csv"
    file.write_text("frage;text\nWho?;Ada wrote it.\n")
    command = ["run", "question-answering", "-m", checkpoint("bert-qa"), "-f", str(file)]
    assert "no 'question', only 'frage', 'text'; --question-column" in lamina(*command).err
    command += ["--question-column", "frage"]
    assert "no 'context', only 'frage', 'text'; --context-column" in lamina(*command).err
    done = lamina(*command, "--context-column", "text")
    assert done.status == 0 and done.lines[0]["input"] == {"frage": "Who?", "text": "Ada wrote it."}
    for passage in ("Ada wrote it.", "It rained."):  # one for all, where rows bring none
        (line,) = lamina(*command, "--context", passage).lines
        assert line["output"]["answer"] in passage and line["input"] == {"frage": "Who?", "text": "Ada wrote it."}
    file.write_text("question,context\nWho?,Ada wrote it.\nWhat?,\n")
    own = lamina(*command[:-2], "--context", "It rained.")
    assert own.lines[0]["output"]["answer"] in "Ada wrote it." and "the context is empty" in own.lines[1]["error"]


def test_pairs_name_their_columns(lamina: Lamina, checkpoint: Checkpoint, tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    file.write_text("a|b\nOne.|Two.\n")
    command = ["run", "text-classification", "-m", checkpoint("bert-moods"), "-f", str(file), "--text-column", "a"]
    assert "no 'c', only 'a', 'b'; --text-pair-column" in lamina(*command, "--text-pair-column", "c").err
    alone, pair = (lamina(*command, *more).lines[0]["output"] for more in ([], ["--text-pair-column", "b"]))
    assert alone != pair
    file.write_text("text,text_pair\nOne.,\n")
    (line,) = lamina(*command[:-2]).lines  # an empty second text is none
    assert line["output"] == alone


def test_texts_that_are_files_get_a_hint_and_folders_say_what_is_read(
    lamina: Lamina, checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("d").mkdir()
    for name in ("b.txt", "a.txt", "README.md"):
        Path("d", name).write_text(f"{name}\n")
    command = ["run", "text-classification", "-m", checkpoint("bert-moods")]
    done = lamina(*command, "d/a.txt")
    assert (done.status, done.err) == (0, "d/a.txt is a file, but taken as a text: give -f d/a.txt to read it\n")
    done = lamina(*command, "-f", "d")
    assert done.err == "d: 2 files, in this order: d/a.txt, d/b.txt; left out: d/README.md\n"
    assert [line["input"] for line in done.lines] == ["a.txt", "b.txt"]
    assert [line["input"] for line in lamina(*command, "-f", "d/*.txt").lines] == ["a.txt", "b.txt"]


def test_the_built_in_model_and_precision_can_be_named(lamina: Lamina, tmp_path: Path) -> None:
    for more in ([], ["--precision", "int8"]):
        done = lamina("run", "sentiment-analysis", "Not bad at all.", "-m", "builtin", *more)
        assert (done.status, done.lines[0]["output"]["label"], done.err) == (0, "POSITIVE", "")
    assert "does not write" in lamina("generate", "builtin", "x", "--precision", "int8").err


def test_an_answer_that_is_no_number_is_an_error(
    lamina: Lamina, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lamina.pipelines import text_classification

    monkeypatch.setitem(text_classification.FUNCTIONS, "softmax", lambda scores: scores * float("nan"))
    done = lamina("run", "text-classification", "x", "-m", checkpoint("bert-moods"))
    assert done.status == 3 and "answers with NaN" in done.lines[0]["error"]


ADVISED = AdvisedError("too long", ("chunk", "sentences", "to read"), ("truncation", True, "to cut"), otherwise="go")
WORDS: list[tuple[str, LaminaError, str]] = [
    ("summarization", ADVISED, "too long; pass --chunk to read, or --truncation to cut"),
    ("text-classification", ADVISED, "too long; pass --truncation to cut"),
    ("fill-mask", ADVISED, "too long; go"),
    ("translation", PipelineError("pass src_lang= and tgt_lang="), "pass --from and --to"),
    ("text-generation", PipelineError("pass max_new_tokens=20 please"), "pass --max-new-tokens 20 please"),
    ("fill-mask", PipelineError("device='x'; pass device='cpu'"), "--device 'x'; pass --device cpu"),
    ("fill-mask", PipelineError("no model is usual; pass model="), "no model is usual; pass --model"),
    ("fill-mask", PipelineError("pass token=... or set HF_TOKEN"), "set HF_TOKEN"),
]


@pytest.mark.parametrize(("name", "said", "expected"), WORDS)
def test_messages_speak_the_options_of_the_command_line(name: str, said: LaminaError, expected: str) -> None:
    task = next(task for task in TASKS if task.name == name)
    assert options.in_our_words(said, options.spelling(task.options)) == expected


@pytest.mark.parametrize(
    ("task", "model", "options"),
    [
        ("text-classification", "bert-moods", []),
        ("fill-mask", "bert-mask", []),
        ("feature-extraction", "bert-body", []),
        ("summarization", "bart-mask", ["--max-new-tokens", "2"]),
    ],
)
def test_no_task_speaks_python(
    lamina: Lamina, checkpoint: Checkpoint, task: str, model: str, options: list[str]
) -> None:
    text = "[MASK] " + LONG if task == "fill-mask" else LONG
    done = lamina("run", task, text, "Fine [MASK].", "-m", checkpoint(model), *options)
    assert done.status == 3
    assert "=True" not in done.err and ("error" in done.lines[0], "output" in done.lines[1]) == (True, True)


def test_a_failure_of_many_is_looked_for_in_halves() -> None:
    calls: list[int] = []

    class Pipe:
        at_once = 256
        options = ("truncation",)
        open_ended = False

        def __call__(self, items: Any, **settings: Any) -> list[int]:
            calls.append(len(items))
            if any(item == 200 for item in items):
                raise PipelineError("input 0: the text is bad")
            return [item * 2 for item in items]

    found = list(run.answers_to(Pipe(), TASKS[0], list(range(256)), {}))
    assert [answer for answer, error in found if error is None] == [2 * n for n in range(256) if n != 200]
    assert found[200] == (None, "the text is bad")
    assert len(calls) == 17


@pytest.mark.skipif(os.name == "nt", reason="pipes end otherwise there")
@pytest.mark.parametrize("arguments", [["run", "text-classification", "-m", "{moods}"], ["info", "--families"]])
def test_a_reader_that_leaves_ends_it_quietly(checkpoint: Checkpoint, tmp_path: Path, arguments: list[str]) -> None:
    file = tmp_path / "texts.txt"
    file.write_text("\n".join(numbered(2000)))
    command = [each.format(moods=checkpoint("bert-moods")) for each in arguments]
    command += ["-f", str(file)] if command[0] == "run" else ["--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "lamina", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    if command[0] == "run":
        process.stdout.readline()
    process.stdout.close()
    _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (141, b"")
