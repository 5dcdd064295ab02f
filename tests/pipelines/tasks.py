"""Every task in one table: a tiny model that does it, texts for it, and options under which its answers are short."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

PLAIN = ["short", "a somewhat longer text about nothing in particular", "mid size, this one", "x " * 25, "🎉 한국어"]
TEXTS = [f"{text} [MASK]" for text in PLAIN]
QUESTIONS = [{"question": "what?", "context": text} for text in TEXTS]
COMPARISONS = [{"source_sentence": text, "sentences": [*TEXTS[::-1], ""]} for text in TEXTS]
LABELS = {"candidate_labels": ["a thing", "b"]}
SHORT = {"max_new_tokens": 3, "do_sample": False}


@dataclass(frozen=True)
class Task:
    """A task with a model: a row of checkpoints.py or of writers.py."""

    name: str
    checkpoint: str
    options: Mapping[str, Any] = field(default_factory=dict)
    inputs: list[Any] = field(default_factory=lambda: TEXTS)

    @property
    def asked(self) -> list[Any]:
        """Two of the inputs."""
        return self.inputs[:2]


READERS = [
    Task("text-classification", "bert-moods", {"top_k": None}),
    Task("token-classification", "bert-tags", {"ignore_labels": []}),
    Task("fill-mask", "bert-mask", {"top_k": 3}),
    Task("question-answering", "bert-qa", {"max_seq_len": 24, "doc_stride": 4}, QUESTIONS),
    Task("zero-shot-classification", "bert-nli", {**LABELS, "multi_label": True}),
    Task("feature-extraction", "bert-body"),
    Task("sentence-similarity", "bert-body", {}, COMPARISONS),
]
WRITERS = [
    Task("text-generation", "gpt2", SHORT),
    Task("text2text-generation", "t5", SHORT),
    Task("summarization", "bart", SHORT),
    Task("translation", "marian", SHORT),
]
TASKS = {task.name: task for task in (*READERS, *WRITERS)}


def rows(tasks: list[Task]) -> list[Any]:
    return [pytest.param(task, id=f"{task.name}-{task.checkpoint}") for task in tasks]


def leaves(answer: Any) -> list[Any]:
    """Everything in an answer, in order."""
    if isinstance(answer, dict | list):
        return [leaf for value in (answer.values() if isinstance(answer, dict) else answer) for leaf in leaves(value)]
    return [answer]


def assert_same(found: Any, expected: Any) -> None:
    found, expected = leaves(found), leaves(expected)
    assert [type(leaf) for leaf in found] == [type(leaf) for leaf in expected]
    for one, other in zip(found, expected, strict=True):
        assert one == (pytest.approx(other, abs=1e-5) if isinstance(other, float | np.float32) else other)


def same(found: Any, expected: Any, tolerance: float = 1e-5) -> None:
    """Asserts that an answer is the recorded one: types, keys and their order, values; numbers within the tolerance."""
    match expected:
        case {"float32": value, **rest} if not rest:
            assert type(found) is np.float32
            assert float(found) == pytest.approx(value, abs=tolerance)
        case {"tensor": values, **rest} if not rest:
            assert isinstance(found, torch.Tensor)
            same(found.tolist(), values)
        case {"keys": keys, "rows": values, **rest} if not rest:
            assert isinstance(found, list)
            same(found, [dict(zip(keys, row, strict=True)) for row in values])
        case dict():
            assert type(found) is dict
            assert list(found) == list(expected)
            same(list(found.values()), list(expected.values()))
        case list():
            assert type(found) is list
            assert len(found) == len(expected)
            for one, other in zip(found, expected, strict=True):
                same(one, other)
        case float():
            assert type(found) is float
            assert found == pytest.approx(expected, abs=tolerance)
        case _:
            assert type(found) is type(expected)
            assert found == expected
