"""Vectors into a file and out of it: every format, what a stopped run leaves, and a search over what is there."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamina.cli import output
from lamina.sentences import SentenceTransformer
from tests.cli.conftest import Finished
from tests.sentences.folders import write_sentence_folder

Lamina = Callable[..., Finished]
FORMS = ("npy", "parquet", "jsonl")
TEXTS = [f"The film number {number} was {'very ' * (number % 7)}good 한국어" for number in range(20)]


@pytest.fixture(scope="session")
def model(checkpoint: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny sentence model that stores prompts."""
    target = tmp_path_factory.mktemp("sentence") / "model"
    return write_sentence_folder("prompts", target, lambda name: Path(checkpoint(name)))


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    file = tmp_path / "texts.jsonl"
    rows = [{"id": number, "text": text} for number, text in enumerate(TEXTS)]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return file


def vectors_in(path: Path) -> Any:
    if path.suffix == ".npy":
        return np.load(path)
    if path.suffix == ".parquet":
        from pyarrow import parquet

        table = parquet.read_table(path)
        assert table.column_names == ["input.id", "input.text", "vector"]
        assert table.column("input.id").to_pylist() == list(range(len(TEXTS)))
        return np.array(table.column("vector").to_pylist())
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [row["input"]["text"] for row in rows] == TEXTS
    return np.array([row["output"] for row in rows])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("options", "call"),
    [
        ([], {"prompt": ""}),
        (["--prompt-name", "passage", "--normalize"], {"prompt_name": "passage", "normalize_embeddings": True}),
        (["--prompt", "x: ", "--truncate-dim", "5"], {"prompt": "x: ", "truncate_dim": 5}),
    ],
)
def test_a_file_holds_the_vectors_that_python_makes(
    lamina: Lamina, model: Path, texts: Path, tmp_path: Path, form: str, options: list[str], call: dict[str, Any]
) -> None:
    out = tmp_path / f"out.{form}"
    done = lamina("embed", str(texts), "-m", str(model), "-o", str(out), *options)
    assert (done.status, done.err) == (0, f"{len(TEXTS)} rows -> {out}\n")
    expected = SentenceTransformer(model, device="cpu").encode(TEXTS, **call)
    np.testing.assert_allclose(vectors_in(out), expected, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_a_stopped_run_goes_on_to_the_file_of_one_that_was_not(
    lamina: Lamina, model: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    out, whole = tmp_path / f"out.{form}", tmp_path / f"whole.{form}"
    command = ["embed", str(texts), "-m", str(model), "-o"]
    assert lamina(*command, str(whole)).status == 0
    left = iter(range(7))

    def full(handle: int, data: Any) -> int:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.write(handle, data)

    with monkeypatch.context() as patched:
        patched.setattr(output, "write_bytes", full)
        done = lamina(*command, str(out))
    assert (done.status, "the 7 before are kept: go on with --resume" in done.err) == (1, True)
    assert not out.exists() or form == "jsonl"
    assert "--resume goes on with it" in lamina(*command, str(out)).err
    assert "other options" in lamina(*command, str(out), "--resume", "--normalize").err
    assert lamina(*command, str(out), "--resume").status == 0
    np.testing.assert_allclose(vectors_in(out), vectors_in(whole), atol=1e-6)
    done = lamina(*command, str(out), "--resume")
    assert (done.status, "nothing is left to do" in done.err) == (0, True)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("form", FORMS)
def test_a_search_finds_what_python_finds(lamina: Lamina, model: Path, texts: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / f"out.{form}"
    assert lamina("embed", str(texts), "-m", str(model), "-o", str(out)).status == 0
    more = ["--texts", str(texts)] if form == "npy" else []
    found = lamina("search", str(out), "a good film", "-m", str(model), "-k", "3", *more).lines
    made = SentenceTransformer(model, device="cpu")
    scores = made.similarity(made.encode_query("a good film"), made.encode_document(TEXTS))[0]
    best = scores.argsort(descending=True)[:3].tolist()
    assert [row["row"] for row in found] == best
    assert [row["score"] for row in found] == pytest.approx(scores[best].tolist(), abs=1e-5)
    assert [row["input"] for row in found] == [{"id": number, "text": TEXTS[number]} for number in best]
    picture = lamina("search", str(out), "a good film", "-m", str(model), *more, terminal=True).out
    assert "━" in picture
    assert f"{scores.max():.3f}" in picture


def test_what_cannot_be_embedded_or_searched_is_said_in_a_line(
    lamina: Lamina, model: Path, checkpoint: Callable[[str], str], tmp_path: Path
) -> None:
    bad, out = tmp_path / "bad.jsonl", tmp_path / "out.npy"
    bad.write_text('{"text": "one"}\n{"text": 5}\n', encoding="utf-8")
    command = ["embed", str(bad), "-m", str(model), "-o"]
    done = lamina(*command, str(out))
    assert (done.status, done.err) == (1, f"lamina: {bad}:2: 5 is not text\n")
    assert not out.exists()
    assert "is not one of .npy, .parquet, .jsonl" in lamina(*command, str(tmp_path / "out.csv")).err
    assert "there is no other.txt" in lamina("embed", "other.txt", "-m", str(model), "-o", str(out)).err
    np.save(tmp_path / "wide.npy", np.ones((2, 99), np.float32))
    np.save(tmp_path / "empty.npy", np.ones((0, 32), np.float32))
    np.save(tmp_path / "nan.npy", np.full((2, 32), np.nan, np.float32))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))
    (tmp_path / "rows.jsonl").write_text('{"input": "a"}\n', encoding="utf-8")
    for name, words in (
        ("wide.npy", "vectors of 99 numbers, and the model makes 32"),
        ("empty.npy", "no rows of finite numbers"),
        ("nan.npy", "no rows of finite numbers"),
        ("objects.npy", "cannot be read as vectors"),
        ("rows.jsonl", "rows without output"),
        ("none.npy", "is not a file"),
        ("bad.txt", "is not a file"),
    ):
        done = lamina("search", str(tmp_path / name), "q", "-m", str(model))
        assert (done.status, words in done.err, done.err.count("\n")) == (1, True, 1), done.err
