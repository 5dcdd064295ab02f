"""What goes in and how it comes out: one, a list, a stream; in order, lazily, whatever shares a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lamina.errors import PipelineError
from lamina.inference import rows as reading
from lamina.nn.model import read_packed
from lamina.pipelines import KeyDataset, KeyPairDataset, pipeline
from lamina.pipelines.base import Pipeline

Checkpoint = Callable[[str], Path]
TEXTS = ["short", "a somewhat longer text about nothing in particular", "mid size, this one", "x " * 25, "🎉 한국어"]
CALLS: list[tuple[str, str, list[Any], dict[str, Any]]] = [
    ("text-classification", "bert-moods", TEXTS, {"top_k": None}),
    ("text-classification", "roberta-moods", TEXTS, {"top_k": None}),
    ("token-classification", "bert-tags", TEXTS, {"ignore_labels": []}),
    ("fill-mask", "bert-mask", [f"{text} [MASK]" for text in TEXTS], {"top_k": 3}),
    (
        "question-answering",
        "bert-qa",
        [{"question": "what?", "context": text} for text in TEXTS],
        {"max_seq_len": 24, "doc_stride": 4},
    ),
    ("zero-shot-classification", "bert-nli", TEXTS, {"candidate_labels": ["a thing", "b"], "multi_label": True}),
    ("feature-extraction", "bert-body", TEXTS, {}),
    (
        "sentence-similarity",
        "bert-body",
        [{"source_sentence": text, "sentences": TEXTS[::-1]} for text in TEXTS],
        {},
    ),
]


def numbers_in(answer: Any) -> list[Any]:
    """Everything in an answer, in order."""
    if isinstance(answer, dict):
        return [leaf for value in answer.values() for leaf in numbers_in(value)]
    if isinstance(answer, list):
        return [leaf for value in answer for leaf in numbers_in(value)]
    return [answer]


def assert_same(found: Any, expected: Any) -> None:
    found, expected = numbers_in(found), numbers_in(expected)
    assert [type(leaf) for leaf in found] == [type(leaf) for leaf in expected]
    for one, other in zip(found, expected, strict=True):
        assert one == (pytest.approx(other, abs=1e-5) if isinstance(other, float | np.float32) else other)


@pytest.fixture
def moods(checkpoint: Checkpoint) -> Pipeline:
    pipe: Pipeline = pipeline("text-classification", model=checkpoint("bert-moods"), device="cpu")
    return pipe


@pytest.mark.parametrize(("task", "name", "inputs", "options"), CALLS, ids=[f"{call[0]}-{call[1]}" for call in CALLS])
@pytest.mark.parametrize("batch_size", [None, 1, 2, 64])
def test_an_answer_does_not_depend_on_what_shares_its_batch(
    checkpoint: Checkpoint, task: str, name: str, inputs: list[Any], options: dict[str, Any], batch_size: int | None
) -> None:
    pipe = pipeline(task, model=checkpoint(name), device="cpu", batch_size=batch_size)
    together = pipe(inputs, **options)
    assert len(together) == len(inputs)
    for one, answer in zip(inputs, together, strict=True):
        assert_same(answer, pipe(one, **options))


def test_padding_on_the_left_changes_nothing_that_is_cut_out(checkpoint: Checkpoint) -> None:
    pipe = pipeline("feature-extraction", model=checkpoint("roberta-body"), device="cpu")
    expected = [pipe(text) for text in TEXTS]
    pipe.tokenizer.padding_side = "left"
    assert_same(pipe(TEXTS), expected)


def test_a_list_gives_a_list_and_a_stream_an_iterator(moods: Pipeline) -> None:
    expected = moods(TEXTS)
    assert type(expected) is list
    for stream in ((text for text in TEXTS), map(str, TEXTS), KeyDataset([{"t": text} for text in TEXTS], "t")):
        found = moods(stream)
        assert isinstance(found, Iterator)
        assert_same(list(found), expected)


def test_a_dataset_has_a_length_and_can_be_gone_through_again(moods: Pipeline) -> None:
    found = moods(KeyDataset([{"t": text} for text in TEXTS], "t"))
    assert len(found) == len(TEXTS)
    assert_same(list(found), list(found))
    with pytest.raises(TypeError):
        len(moods(text for text in TEXTS))


def test_pairs_come_from_two_columns(moods: Pipeline) -> None:
    rows = [{"a": "one", "b": "two"}, {"a": "three", "b": "four"}]
    expected = moods([{"text": "one", "text_pair": "two"}, {"text": "three", "text_pair": "four"}])
    assert_same(list(moods(KeyPairDataset(rows, "a", "b"))), expected)


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


@pytest.fixture
def padding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are padded, as on a device that reads them faster so."""
    monkeypatch.setattr(reading, "packs_well", lambda device, dtype: False)


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


@pytest.mark.parametrize(
    ("task", "name", "inputs", "options"), [*CALLS, ("feature-extraction", "bert-moods", TEXTS, {})]
)
def test_packed_rows_answer_as_padded_ones(
    checkpoint: Checkpoint,
    monkeypatch: pytest.MonkeyPatch,
    task: str,
    name: str,
    inputs: list[Any],
    options: dict[str, Any],
) -> None:
    pipe = pipeline(task, model=checkpoint(name), device="cpu")
    packed = pipe(inputs, **options)
    monkeypatch.setattr(reading, "packs_well", lambda device, dtype: False)
    monkeypatch.setattr(reading, "read_packed", lambda *_: pytest.fail("packed after all"))
    assert_same(pipe(inputs, **options), packed)


def test_rows_padded_by_the_caller_are_not_packed(moods: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = moods("a text")
    monkeypatch.setattr(reading, "read_packed", lambda *_: pytest.fail("a mask was lost"))
    assert_same(moods("a text", padding="max_length", truncation=True, max_length=16), expected)


def test_a_tokenizer_without_padding_runs_rows_alone(checkpoint: Checkpoint, padding: None) -> None:
    pipe = pipeline("text-classification", model=checkpoint("bert-moods"), device="cpu")
    expected = pipe(TEXTS)
    pipe.tokenizer.pad_token = None
    assert_same(pipe(TEXTS), expected)
    with pytest.raises(PipelineError, match="padding token"):
        pipe(TEXTS, batch_size=2)


def test_packed_rows_need_no_padding_token(checkpoint: Checkpoint) -> None:
    pipe = pipeline("text-classification", model=checkpoint("bert-moods"), device="cpu")
    expected = pipe(TEXTS)
    pipe.tokenizer.pad_token = None
    assert_same(pipe(TEXTS, batch_size=2), expected)


def test_options_of_a_call_win_and_pass(moods: Pipeline, checkpoint: Checkpoint) -> None:
    pipe = pipeline("text-classification", model=checkpoint("bert-moods"), device="cpu", top_k=2)
    assert len(pipe(TEXTS[:1], top_k=1)[0]) == 1
    assert len(pipe(TEXTS[:1])[0]) == 2


def test_other_names_for_a_call(moods: Pipeline) -> None:
    assert moods.predict("text") == moods.transform("text") == moods("text")
    assert str(moods.dtype) == str(moods.torch_dtype) == "torch.float32"


def test_offsets_may_be_the_callers(checkpoint: Checkpoint) -> None:
    pipe = pipeline("ner", model=checkpoint("bert-tags"), device="cpu", ignore_labels=[])
    spans = [(0, 0), (1, 2), (3, 4), (0, 0)]
    for answer in (pipe("ab cd", offset_mapping=spans), pipe(["ab cd"], offset_mapping=[spans])[0]):
        assert [(entity["start"], entity["end"]) for entity in answer] == [(1, 2), (3, 4)]
    with pytest.raises(PipelineError, match="1 entries for 2 inputs"):
        pipe(["ab cd", "ef"], offset_mapping=[spans])
