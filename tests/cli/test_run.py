"""`lamina run`: where texts come from, what comes out, and what is said where something is wrong."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from lamina import pipeline
from tests.cli.conftest import Finished

Lamina = Callable[..., Finished]
Checkpoint = Callable[[str], str]

TEXTS = ["A merry tale.", "Grim and long.", "Plain."]


def classified(checkpoint: Checkpoint, *texts: str) -> list[dict[str, object]]:
    """What the pipeline itself answers."""
    found: list[dict[str, object]] = pipeline("text-classification", model=checkpoint("bert-moods"))(list(texts))
    return found


def same(lines: list[dict[str, object]], texts: list[str], answers: list[dict[str, object]]) -> None:
    assert [line["input"] for line in lines] == texts
    for line, answer in zip(lines, answers, strict=True):
        assert line["output"]["label"] == answer["label"]
        assert line["output"]["score"] == pytest.approx(answer["score"], abs=1e-6)


def test_a_pipe_gets_the_pipelines_answers_one_json_line_each(lamina: Lamina, checkpoint: Checkpoint) -> None:
    done = lamina("run", "text-classification", *TEXTS, "-m", checkpoint("bert-moods"))
    assert (done.status, done.err) == (0, "")
    same(done.lines, TEXTS, classified(checkpoint, *TEXTS))


def test_every_line_of_standard_input_has_its_line_of_output_empty_ones_too(
    lamina: Lamina, checkpoint: Checkpoint
) -> None:
    texts = ["", *TEXTS, "  "]
    done = lamina("run", "sentiment-analysis", "-m", checkpoint("bert-moods"), given="\n".join([*texts, ""]))
    same(done.lines, texts, classified(checkpoint, *texts))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("texts.txt", "\ufeffA merry tale.\r\nGrim and long.\nPlain.\n"),
        ("rows.jsonl", "".join(json.dumps({"id": n, "text": text}) + "\n" for n, text in enumerate(TEXTS))),
        ("rows.csv", "id,text\n0,A merry tale.\n1,Grim and long.\n2,Plain.\n"),
        ("rows.tsv", "text\tid\nA merry tale.\t0\nGrim and long.\t1\nPlain.\t2\n"),
        ("rows.csv", "text;id\nA merry tale.;0\nGrim and long.;1\nPlain.;2\n"),
        ("rows.json", json.dumps([{"id": n, "text": text} for n, text in enumerate(TEXTS)], indent=1)),
        ("rows.json", "".join(json.dumps({"id": n, "text": text}) + "\n" for n, text in enumerate(TEXTS))),
        ("texts.txt.gz", "\n".join(TEXTS)),
        ("rows.csv.gz", "id,text\n0,A merry tale.\n1,Grim and long.\n2,Plain.\n"),
        ("rows.parquet", ""),
    ],
)
def test_files_of_every_kind_give_the_same_answers_and_keep_their_columns(
    lamina: Lamina, checkpoint: Checkpoint, tmp_path: Path, name: str, content: str
) -> None:
    file, out = tmp_path / name, tmp_path / "out.jsonl"
    file.write_bytes(gzip.compress(content.encode()) if file.suffix == ".gz" else content.encode())
    if file.suffix == ".parquet":
        parquet.write_table(pa.table({"id": [0, 1, 2], "text": TEXTS}), file)
    done = lamina("run", "text-classification", "-m", checkpoint("bert-moods"), "-f", str(file), "-o", str(out))
    assert (done.status, done.out, done.err) == (0, "", f"3 rows -> {out}\n")
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    if not file.name.startswith("texts"):
        assert [int(line["input"]["id"]) for line in lines] == [0, 1, 2]
        lines = [{**line, "input": line["input"]["text"]} for line in lines]
    same(lines, TEXTS, classified(checkpoint, *TEXTS))


def test_a_terminal_gets_labels_bars_and_texts(lamina: Lamina, checkpoint: Checkpoint) -> None:
    done = lamina("run", "text-classification", *TEXTS, "-m", checkpoint("bert-moods"), terminal=True)
    shown = done.out.splitlines()
    assert len(shown) == len(TEXTS)
    for line, text, answer in zip(shown, TEXTS, classified(checkpoint, *TEXTS), strict=True):
        assert line.startswith(str(answer["label"]))
        assert f"{answer['score']:.3f}" in line
        assert "━" in line
        assert line.rstrip().endswith(text)


def test_top_k_zero_means_all_labels(lamina: Lamina, checkpoint: Checkpoint) -> None:
    done = lamina("run", "text-classification", "Plain.", "-k", "0", "-m", checkpoint("bert-moods"))
    assert sorted(each["label"] for each in done.lines[0]["output"]) == ["GRIM", "MERRY", "PLAIN"]


def test_a_question_is_asked_of_a_context_from_a_file(lamina: Lamina, checkpoint: Checkpoint, tmp_path: Path) -> None:
    page = tmp_path / "page.txt"
    page.write_text("Ada Lovelace wrote the first program in London.", encoding="utf-8")
    model = checkpoint("bert-qa")
    done = lamina("run", "question-answering", "-q", "Who wrote it?", "-c", f"@{page}", "-m", model)
    answer = done.lines[0]["output"]
    assert answer["answer"] == page.read_text(encoding="utf-8")[answer["start"] : answer["end"]]
    seen = lamina("run", "question-answering", "Who wrote it?", "-c", f"@{page}", "-m", model, terminal=True)
    assert "Who wrote it?" in seen.out
    assert f"{answer['score']:.3f}" in seen.out


@pytest.mark.parametrize(
    ("task", "model", "arguments", "expected"),
    [
        ("ner", "bert-tags", ["Ada Lovelace lived in London."], "Ada Lovelace lived in London."),
        ("fill-mask", "bert-mask", ["Paris is the [MASK] of France.", "-k", "3"], "Paris is the [MASK] of France."),
        ("zero-shot-classification", "bert-nli", ["A long match.", "--labels", "sport,politics"], "politics"),
        ("feature-extraction", "bert-body", ["Two words"], "4 tokens × 32 numbers"),
        ("sentence-similarity", "bert-body", ["--source", "A dog", "A puppy", "The market"], "The market"),
    ],
)
def test_every_task_has_a_picture_and_a_json_line(
    lamina: Lamina, checkpoint: Checkpoint, task: str, model: str, arguments: list[str], expected: str
) -> None:
    command = ["run", task, *arguments, "-m", checkpoint(model)]
    shown = lamina(*command, terminal=True)
    assert (shown.status, shown.err) == (0, "")
    assert expected in shown.out
    done = lamina(*command, "--json")
    assert len(done.lines) == 1
    assert done.lines[0]["output"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "text-clasification", "x"], "did you mean text-classification"),
        (["run", "zero-shot-classification", "x"], "--labels"),
        (["run", "text-classification", "x", "--labels", "a,b"], "--labels"),
        (["run", "question-answering", "Who?"], "--context"),
        (["run", "sentence-similarity", "alone"], "--source"),
        (["run", "text-classification", "-f", "no-such-file.txt"], "no-such-file.txt"),
        (["run", "text-classification", "-f", "notes.docx", "x"], "notes.docx"),
        (["run", "text-classification", "x", "-o", "{tmp}/out.docx"], "not one of .jsonl"),
        (["run", "text-classification", "x", "-o", "{tmp}/none/out.jsonl"], "cannot be written"),
        (["run", "text-classification", "x", "--question-column", "q"], "--question-column"),
        (["run", "text-classification", "x", "--overwrite"], "give --output"),
        (["run", "text-classification", "x", "-o", "{tmp}/o.csv", "--overwrite", "--resume"], "--overwrite gives up"),
        (["run"], "TASK"),
        (["walk"], "walk"),
    ],
)
def test_wrong_usage_is_status_2_and_names_what_is_wrong(
    lamina: Lamina, checkpoint: Checkpoint, tmp_path: Path, arguments: list[str], words: str
) -> None:
    arguments = [argument.format(tmp=tmp_path) for argument in arguments]
    models = {"question-answering": "bert-qa", "sentence-similarity": "bert-body"}
    model = ["-m", checkpoint(models[arguments[1]])] if arguments[1:2] and arguments[1] in models else []
    done = lamina(*arguments, *model)
    assert done.status == 2
    assert words in " ".join(done.err.replace("│", " ").split())
    assert "Traceback" not in done.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "given", "words"),
    [
        (["run", "text-classification", "x", "-m", "{tmp}/nothing-here"], "", "nothing-here"),
        (["run", "text-classification", "-m", "{moods}", "-f", "{tmp}/columns.csv"], "", "no 'text', only 'a', 'b'"),
        (
            ["run", "text-classification", "-m", "{moods}", "-f", "{tmp}/columns.csv"],
            "",
            "--text-column names the column",
        ),
        (["run", "text-classification", "x", "-m", "{tmp}"], "", "config.json"),
        (["run", "text-classification", "x", "-m", "{moods}", "--precision", "int3"], "", "int3"),
        (["run", "text-classification", "x", "-m", "{moods}/config.json"], "", "is a file"),
        (["run", "text-classification", "x", "-m", "no-such-model"], "", "there is no folder 'no-such-model' here"),
        (["run", "summarization", "x", "-m", "builtin"], "", "the built-in model is for text-classification, not for"),
        (["run", "question-answering", "Who?", "-c", "@{tmp}/gone.txt", "-m", "{moods}"], "", "gone.txt"),
        (["info", "{tmp}"], "", "config.json"),
    ],
)
def test_every_error_of_ours_is_one_line_and_status_1(
    lamina: Lamina, checkpoint: Checkpoint, tmp_path: Path, arguments: list[str], given: str | bytes, words: str
) -> None:
    (tmp_path / "columns.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    places = {"tmp": str(tmp_path), "moods": checkpoint("bert-moods")}
    done = lamina(*(argument.format(**places) for argument in arguments), given=given)
    assert done.status == 1
    assert done.err.startswith("lamina: ")
    assert done.err.count("\n") == 1
    assert words in done.err


def test_a_text_too_long_is_cut_where_that_is_asked_for(lamina: Lamina, checkpoint: Checkpoint) -> None:
    refused = lamina("run", "text-classification", "-m", checkpoint("bert-moods"), "word " * 100)
    assert (refused.status, refused.err.count("\n")) == (3, 1)
    assert refused.err.startswith("lamina: 1 row, 1 with an error (text 1: ") and "pass --truncation" in refused.err
    done = lamina("run", "text-classification", "-m", checkpoint("bert-moods"), "word " * 100, "--truncation")
    assert (done.status, len(done.lines)) == (0, 1)


def test_a_file_of_something_else_is_not_gone_on_with(lamina: Lamina, checkpoint: Checkpoint, tmp_path: Path) -> None:
    out = tmp_path / "notes.jsonl"
    out.write_text("precious\n", encoding="utf-8")
    done = lamina("run", "text-classification", "x", "-m", checkpoint("bert-moods"), "-o", str(out), "--resume")
    assert done.status == 1
    assert "notes.jsonl, line 1" in done.err
    assert out.read_text(encoding="utf-8") == "precious\n"


def test_any_option_of_the_pipeline_can_be_set(lamina: Lamina, checkpoint: Checkpoint) -> None:
    command = ["run", "text-classification", "Plain.", "-m", checkpoint("bert-moods"), "--set"]
    raw = lamina(*command, "function_to_apply=none").lines[0]["output"]["score"]
    expected = pipeline("text-classification", model=checkpoint("bert-moods"))("Plain.", function_to_apply="none")
    assert raw == pytest.approx(expected[0]["score"], abs=1e-6)
    tags = ["run", "ner", "Ada Lovelace.", "-m", checkpoint("bert-tags")]
    assert lamina(*tags, "--set", "aggregation_strategy=none").out == lamina(*tags, "--aggregation", "none").out
    wrong = lamina(*command, "colour=red")
    assert (wrong.status, "colour" in wrong.err) == (1, True)
    assert lamina(*command, "nothing").status == 2


@pytest.mark.parametrize(("task", "model"), [("translation_en_to_de", "bart-mask"), ("summarization", "bart-mask")])
def test_written_answers_are_shown_below_their_text(
    lamina: Lamina, checkpoint: Checkpoint, task: str, model: str
) -> None:
    command = ["run", task, "A merry tale.", "--max-new-tokens", "3", "-m", checkpoint(model)]
    (line,) = lamina(*command).lines
    (text,) = line["output"][0].values() if isinstance(line["output"], list) else line["output"].values()
    shown = lamina(*command, terminal=True).out
    assert "A merry tale." in shown
    assert text.strip() in shown
