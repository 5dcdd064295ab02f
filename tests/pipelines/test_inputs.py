"""Every task takes every shape in which people hold texts; what shares a batch changes nothing; streams are lazy."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from lamina.errors import PipelineError
from lamina.inference import rows as reading
from lamina.nn.model import read_packed
from lamina.pipelines import KeyDataset, KeyPairDataset, pipeline
from lamina.pipelines.base import Pipeline
from lamina.pipelines.inputs import Results
from tests.pipelines.tasks import QUESTIONS, READERS, TASKS, TEXTS, WRITERS, Task, assert_same, rows

Loaded = Callable[[str, str], Any]
EVERY = rows([*READERS, *WRITERS])
MORE = rows(
    [
        *READERS,
        Task("text-classification", "roberta-moods", {"top_k": None}),
        Task("feature-extraction", "bert-moods"),
    ]
)
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


@pytest.fixture
def moods(loaded: Loaded) -> Pipeline:
    pipe: Pipeline = loaded("text-classification", "bert-moods")
    return pipe


@pytest.fixture
def padding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are padded, as on a device that reads them faster so."""
    monkeypatch.setattr(reading, "packs_well", lambda device, dtype: False)


@pytest.mark.parametrize("kind", AT_ONCE)
@pytest.mark.parametrize("task", EVERY)
def test_what_is_in_memory_is_answered_as_a_list_is(pipe: Pipeline, task: Task, kind: str) -> None:
    found = pipe(AT_ONCE[kind](task.asked), **task.options)
    assert type(found) is list
    assert_same(found, pipe(task.asked, **task.options))


@pytest.mark.parametrize("kind", LAZY)
@pytest.mark.parametrize("task", EVERY)
def test_what_comes_one_by_one_is_answered_one_by_one(pipe: Pipeline, task: Task, kind: str) -> None:
    found = pipe(LAZY[kind](task.asked), **task.options)
    assert isinstance(found, Results)
    assert_same(list(found), [pipe(one, **task.options) for one in task.asked])


@pytest.mark.parametrize("empty", [[], (), np.array([], dtype=object), pd.Series([], dtype=object)], ids=type)
@pytest.mark.parametrize("task", EVERY)
def test_nothing_gives_nothing(pipe: Pipeline, task: Task, empty: Any) -> None:
    assert pipe(empty, **task.options) == []


@pytest.mark.parametrize(
    "wrong", [None, float("nan"), 7, b"bytes", str, object(), [["deep"]]], ids=lambda wrong: type(wrong).__name__
)
@pytest.mark.parametrize("task", EVERY)
def test_a_bad_row_is_named_before_any_other_is_computed(
    pipe: Pipeline, task: Task, wrong: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(pipe), "compute", lambda *_: pytest.fail("something was computed"))
    with pytest.raises(PipelineError, match=r"^input 299: .*"):
        pipe([*task.inputs[:1] * 299, wrong, *task.asked], **task.options)
    with pytest.raises(PipelineError):
        pipe(wrong, **task.options)


@pytest.mark.parametrize("task", EVERY)
def test_a_row_that_the_tokenizer_refuses_is_named(pipe: Pipeline, task: Task) -> None:
    first, second = task.asked
    broken = f"{second} \ud800"
    if isinstance(second, dict):
        broken = second | {key: "\ud800" for key in ("context", "source_sentence") if key in second}
    with pytest.raises(PipelineError, match=r"^input 2: "):
        pipe([first, second, broken, first], **task.options)


def test_a_table_and_a_tensor_are_no_texts(moods: Pipeline) -> None:
    with pytest.raises(PipelineError, match="a whole table; pass one column of it"):
        moods(pa.table({"text": TEXTS}))
    with pytest.raises(PipelineError, match="input 0: the text must be a string, not float"):
        moods(torch.ones(2))


@pytest.mark.parametrize("texts", [tuple(TEXTS), pd.Series(TEXTS), np.array(TEXTS), iter(TEXTS)], ids=type)
def test_vectors_are_made_of_any_of_these(loaded: Loaded, texts: Any) -> None:
    pipe = loaded("sentence-similarity", "bert-body")
    torch.testing.assert_close(pipe.embed(texts), pipe.embed(TEXTS))
    assert pipe.embed([]).shape[0] == 0
    assert pipe.embed("").shape == pipe.embed("a").shape


def test_sentences_and_words_and_contexts_may_be_columns_too(loaded: Loaded) -> None:
    similar, qa, ner = (
        loaded(name, TASKS[name].checkpoint)
        for name in ("sentence-similarity", "question-answering", "token-classification")
    )
    expected = similar({"source_sentence": "a", "sentences": TEXTS})
    assert similar({"source_sentence": "a", "sentences": pd.Series(TEXTS)}) == pytest.approx(expected)
    columns = pd.DataFrame(QUESTIONS)
    assert_same(qa(question=columns["question"], context=columns["context"]), qa(QUESTIONS))
    words: Iterator[Any] = iter([("a", "b"), ["a", "b"]])
    one, other = (ner(each, is_split_into_words=True, ignore_labels=[]) for each in words)
    assert_same(one, other)


@pytest.mark.parametrize("batch_size", [None, 1, 2, 64])
@pytest.mark.parametrize("task", [*MORE, *rows(WRITERS)])
def test_an_answer_does_not_depend_on_what_shares_its_batch(
    made: Callable[..., Any], task: Task, batch_size: int | None
) -> None:
    pipe = made(task.name, task.checkpoint, batch_size=batch_size)
    together = pipe(task.inputs, **task.options)
    assert len(together) == len(task.inputs)
    for one, answer in zip(task.inputs, together, strict=True):
        assert_same(answer, pipe(one, **task.options))


@pytest.mark.parametrize("task", MORE)
def test_packed_rows_answer_as_padded_ones(
    pipe: Pipeline, task: Task, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    packed = pipe(task.inputs, **task.options)
    request.getfixturevalue("padding")
    monkeypatch.setattr(reading, "read_packed", lambda *_: pytest.fail("packed after all"))
    assert_same(pipe(task.inputs, **task.options), packed)


def test_padding_on_the_left_changes_nothing_that_is_cut_out(checkpoint: Callable[[str], Path]) -> None:
    pipe = pipeline("feature-extraction", model=checkpoint("roberta-body"), device="cpu")
    expected = [pipe(text) for text in TEXTS]
    pipe.tokenizer.padding_side = "left"
    assert_same(pipe(TEXTS), expected)


def test_rows_padded_by_the_caller_are_not_packed(moods: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = moods("a text")
    monkeypatch.setattr(reading, "read_packed", lambda *_: pytest.fail("a mask was lost"))
    assert_same(moods("a text", padding="max_length", truncation=True, max_length=16), expected)


def test_rows_without_a_padding_token_are_packed_or_run_alone(
    checkpoint: Callable[[str], Path], request: pytest.FixtureRequest
) -> None:
    pipe = pipeline("text-classification", model=checkpoint("bert-moods"), device="cpu")
    expected = pipe(TEXTS)
    pipe.tokenizer.pad_token = None
    assert_same(pipe(TEXTS, batch_size=2), expected)
    request.getfixturevalue("padding")
    assert_same(pipe(TEXTS), expected)
    with pytest.raises(PipelineError, match="padding token"):
        pipe(TEXTS, batch_size=2)


def test_a_dataset_has_a_length_and_can_be_gone_through_again(moods: Pipeline) -> None:
    found = moods(KeyDataset([{"t": text} for text in TEXTS], "t"))
    assert isinstance(found, Iterator)
    assert len(found) == len(TEXTS)
    assert_same(list(found), list(found))
    with pytest.raises(TypeError):
        len(moods(text for text in TEXTS))


def test_pairs_come_from_two_columns(moods: Pipeline) -> None:
    columns = [{"a": "one", "b": "two"}, {"a": "three", "b": "four"}]
    expected = moods([{"text": "one", "text_pair": "two"}, {"text": "three", "text_pair": "four"}])
    assert_same(list(moods(KeyPairDataset(columns, "a", "b"))), expected)


def test_a_generator_is_read_as_answers_are_wanted(moods: Pipeline) -> None:
    taken: list[str] = []

    def source() -> Iterator[str]:
        while True:
            taken.append("text")
            yield "text"

    answers = moods(source())
    assert not taken
    next(answers)
    assert len(taken) == 1
    for _ in range(3):
        next(answers)
    assert len(taken) == 7  # windows of 1, 2 and 4


def test_batches_of_one_answer_before_the_next_text_is_read(moods: Pipeline) -> None:
    said: list[str] = []

    def conversation() -> Iterator[str]:
        text = "begin"
        for _ in range(5):
            yield text
            text = f"after {said[-1]}"

    for answer in moods(conversation(), batch_size=1):
        said.append(answer["label"])
    assert len(said) == 5


def test_a_long_list_is_held_in_windows(moods: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    encode = moods.encode

    def spy(items: Any, settings: Any) -> Any:
        held.append(len(items))
        return encode(items, settings)

    monkeypatch.setattr(moods, "encode", spy)
    assert len(moods(["text"] * 600)) == 600
    assert held == [256, 256, 88]


def test_rows_lie_end_to_end_within_the_token_budget(moods: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[list[int]] = []

    def spy(model: Any, input_ids: Any, lengths: list[int], types: Any) -> Any:
        assert len(input_ids) == len(types) == sum(lengths)
        batches.append(lengths)
        return read_packed(model, input_ids, lengths, types)

    monkeypatch.setattr(reading, "read_packed", spy)
    moods(["word " * 60, "word"] * 40)
    assert all(sum(lengths) <= 1024 + 32 and sum(lengths) % 8 == 0 for lengths in batches)
    assert len(batches) <= 4
    batches.clear()
    moods(["word"] * 10, batch_size=4)
    assert [lengths.count(3) for lengths in batches] == [4, 4, 2]


def test_rows_of_like_length_share_a_padded_batch_within_the_token_budget(
    moods: Pipeline, padding: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[tuple[int, ...]] = []
    forward = moods.model.forward

    def spy(input_ids: Any, **others: Any) -> Any:
        shapes.append(tuple(input_ids.shape))
        return forward(input_ids=input_ids, **others)

    monkeypatch.setattr(moods.model, "forward", spy)
    moods(["word " * 60, "word"] * 40)
    assert sum(rows for rows, _ in shapes) == 80
    assert all(rows * tokens <= 1024 for rows, tokens in shapes)
    assert len(shapes) <= 5
    shapes.clear()
    moods(["word"] * 10, batch_size=4)
    assert [rows for rows, _ in shapes] == [4, 4, 2]


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_passes_that_run_at_once_answer_as_one_after_another(
    moods: Pipeline, threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"{'good ' * (number % 50)}text number {number}" for number in range(256)]
    select, names = moods.select, set[str]()

    def watched(*args: Any) -> Any:
        names.add(threading.current_thread().name.rpartition("_")[0] or "caller")
        return select(*args)

    monkeypatch.setattr(moods, "select", watched)
    threads(1)
    alone = moods(texts)
    assert names == {"caller"}
    threads(2)
    together = moods(texts)
    assert "lamina-pass" in names
    assert [each["label"] for each in together] == [each["label"] for each in alone]
    assert [each["score"] for each in together] == pytest.approx([each["score"] for each in alone], rel=1e-5)


def test_options_of_a_call_win_and_pass(made: Callable[..., Any]) -> None:
    pipe = made("text-classification", "bert-moods", top_k=2)
    assert len(pipe(TEXTS[:1], top_k=1)[0]) == 1
    assert len(pipe(TEXTS[:1])[0]) == 2


def test_other_names_for_a_call(moods: Pipeline) -> None:
    assert moods.predict("text") == moods.transform("text") == moods("text")
    assert str(moods.dtype) == str(moods.torch_dtype) == "torch.float32"


def test_offsets_may_be_the_callers(made: Callable[..., Any]) -> None:
    pipe = made("ner", "bert-tags", ignore_labels=[])
    spans = [(0, 0), (1, 2), (3, 4), (0, 0)]
    for answer in (pipe("ab cd", offset_mapping=spans), pipe(["ab cd"], offset_mapping=[spans])[0]):
        assert [(entity["start"], entity["end"]) for entity in answer] == [(1, 2), (3, 4)]
    with pytest.raises(PipelineError, match="1 entries for 2 inputs"):
        pipe(["ab cd", "ef"], offset_mapping=[spans])
