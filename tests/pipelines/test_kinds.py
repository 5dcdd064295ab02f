"""Every task takes every shape in which people hold texts: what is in memory is answered at once, as a list is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from lamina.errors import PipelineError
from lamina.pipelines import KeyDataset, pipeline
from lamina.pipelines.base import Pipeline
from lamina.pipelines.inputs import Results
from tests.pipelines.test_inputs import assert_same

SHORT = {"max_new_tokens": 3, "do_sample": False}
TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "text-classification": ("bert-moods", {}),
    "token-classification": ("bert-tags", {"ignore_labels": []}),
    "fill-mask": ("bert-mask", {"top_k": 1}),
    "question-answering": ("bert-qa", {}),
    "zero-shot-classification": ("bert-nli", {"candidate_labels": ["good", "bad"]}),
    "feature-extraction": ("bert-body", {}),
    "sentence-similarity": ("bert-body", {}),
    "text-generation": ("gpt2", SHORT),
    "text2text-generation": ("t5", SHORT),
    "summarization": ("bart", SHORT),
    "translation": ("marian", SHORT),
}
QUESTIONS = [{"question": "Who?", "context": "A man came."}, {"question": "When?", "context": "In May, I think."}]
COMPARISONS = [
    {"source_sentence": "a film", "sentences": ["a movie", "a dog"]},
    {"source_sentence": "", "sentences": ["nothing", ""]},
]
TEXTS = ["good [MASK]", "a fine day in [MASK]"]
AT_ONCE: dict[str, Callable[[list[Any]], Any]] = {
    "tuple": tuple,
    "values": lambda items: dict(enumerate(items)).values(),
    "array": lambda items: np.array(items) if isinstance(items[0], str) else np.array(items, dtype=object),
    "objects": lambda items: np.array(items, dtype=object),
    "series": pd.Series,
    "series of rows left over": lambda items: pd.Series(items, index=[7, 3]),
    "index": pd.Index,
    "arrow": pa.array,
    "column": lambda items: datasets.Dataset.from_dict({"text": items})["text"],
}
LAZY: dict[str, Callable[[list[Any]], Any]] = {
    "generator": lambda items: (item for item in items),
    "map": lambda items: map(lambda item: item, items),
    "key": lambda items: KeyDataset([{"text": item} for item in items], "text"),
}


@pytest.fixture(scope="module")
def made(checkpoint: Callable[[str], Path], writer: Callable[[str], Path]) -> Callable[[str], Pipeline]:
    @cache
    def make(task: str) -> Pipeline:
        name, _ = TASKS[task]
        folder = checkpoint(name) if "-" in name else writer(name)
        found: Pipeline = pipeline(task, model=folder, device="cpu")
        return found

    return make


def items_of(task: str) -> list[Any]:
    return {"question-answering": QUESTIONS, "sentence-similarity": COMPARISONS}.get(task, TEXTS)


@pytest.mark.parametrize("kind", AT_ONCE)
@pytest.mark.parametrize("task", TASKS)
def test_what_is_in_memory_is_answered_as_a_list_is(made: Callable[[str], Pipeline], task: str, kind: str) -> None:
    pipe, items, options = made(task), items_of(task), TASKS[task][1]
    found = pipe(AT_ONCE[kind](items), **options)
    assert type(found) is list
    assert_same(found, pipe(items, **options))


@pytest.mark.parametrize("kind", LAZY)
@pytest.mark.parametrize("task", TASKS)
def test_what_comes_one_by_one_is_answered_one_by_one(made: Callable[[str], Pipeline], task: str, kind: str) -> None:
    pipe, items, options = made(task), items_of(task), TASKS[task][1]
    found = pipe(LAZY[kind](items), **options)
    assert isinstance(found, Results)
    assert len(list(found)) == len(items)


@pytest.mark.parametrize("empty", [[], (), np.array([], dtype=object), pd.Series([], dtype=object)], ids=type)
@pytest.mark.parametrize("task", TASKS)
def test_nothing_gives_nothing(made: Callable[[str], Pipeline], task: str, empty: Any) -> None:
    assert made(task)(empty, **TASKS[task][1]) == []


@pytest.mark.parametrize(
    "wrong", [None, float("nan"), 7, b"bytes", str, object(), [["deep"]]], ids=lambda wrong: type(wrong).__name__
)
@pytest.mark.parametrize("task", TASKS)
def test_a_bad_row_is_named_before_any_other_is_computed(
    made: Callable[[str], Pipeline], task: str, wrong: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = made(task)
    monkeypatch.setattr(type(pipe), "compute", lambda *_: pytest.fail("something was computed"))
    with pytest.raises(PipelineError, match=r"^input 299: .*"):
        pipe([*items_of(task)[:1] * 299, wrong, *items_of(task)], **TASKS[task][1])
    with pytest.raises(PipelineError):
        pipe(wrong, **TASKS[task][1])


@pytest.mark.parametrize("task", TASKS)
def test_a_row_that_the_tokenizer_refuses_is_named(
    made: Callable[[str], Pipeline], task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe, (first, second) = made(task), items_of(task)
    broken = second | {key: "\ud800" for key in ("context", "source_sentence") if key in second} if isinstance(
        second, dict
    ) else f"{second} \ud800"  # fmt: skip
    with pytest.raises(PipelineError, match=r"^input 2: "):
        pipe([first, second, broken, first], **TASKS[task][1])


def test_a_table_and_a_tensor_are_no_texts(made: Callable[[str], Pipeline]) -> None:
    pipe = made("text-classification")
    with pytest.raises(PipelineError, match="a whole table; pass one column of it"):
        pipe(pa.table({"text": TEXTS}))
    with pytest.raises(PipelineError, match="input 0: the text must be a string, not float"):
        pipe(torch.ones(2))


@pytest.mark.parametrize("texts", [tuple(TEXTS), pd.Series(TEXTS), np.array(TEXTS), iter(TEXTS)], ids=type)
def test_vectors_are_made_of_any_of_these(made: Callable[[str], Pipeline], texts: Any) -> None:
    pipe: Any = made("sentence-similarity")
    torch.testing.assert_close(pipe.embed(texts), pipe.embed(TEXTS))
    assert pipe.embed([]).shape[0] == 0
    assert pipe.embed("").shape == pipe.embed("a").shape


def test_sentences_and_words_and_contexts_may_be_columns_too(made: Callable[[str], Pipeline]) -> None:
    similar, qa, ner = made("sentence-similarity"), made("question-answering"), made("token-classification")
    expected = similar({"source_sentence": "a", "sentences": TEXTS})
    assert similar({"source_sentence": "a", "sentences": pd.Series(TEXTS)}) == pytest.approx(expected)
    columns = pd.DataFrame(QUESTIONS)
    assert_same(qa(question=columns["question"], context=columns["context"]), qa(QUESTIONS))  # type: ignore[call-arg]
    words: Iterator[Any] = iter([("a", "b"), ["a", "b"]])
    one, other = (ner(each, is_split_into_words=True, ignore_labels=[]) for each in words)
    assert_same(one, other)
