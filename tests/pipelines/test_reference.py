"""Every task and option against what Transformers 4.57.6 answers, field for field and type for type."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lamina.errors import LaminaError
from lamina.pipelines import pipeline
from tests.pipelines.checkpoints import GOLDEN

TASKS = (
    "text-classification",
    "token-classification",
    "fill-mask",
    "question-answering",
    "zero-shot-classification",
    "feature-extraction",
)
TOLERANCE = 1e-5


def golden_cases() -> Iterator[Any]:
    for task in TASKS:
        for number, case in enumerate(json.loads((GOLDEN / f"{task}.json").read_text(encoding="utf-8"))):
            yield pytest.param(task, case, id=f"{task}-{number}-{case['checkpoint']}")


@pytest.fixture(scope="module")
def loaded(checkpoint: Callable[[str], Path]) -> Callable[[str, str], tuple[Any, Any]]:
    """Model and tokenizer for a task, loaded once."""

    @cache
    def load(task: str, name: str) -> tuple[Any, Any]:
        pipe = pipeline(task, model=checkpoint(name), device="cpu")
        return pipe.model, pipe.tokenizer

    return load


@pytest.mark.parametrize(("task", "case"), list(golden_cases()))
def test_answers_as_the_reference_does(
    task: str, case: dict[str, Any], loaded: Callable[[str, str], tuple[Any, Any]]
) -> None:
    model, tokenizer = loaded(task, case["checkpoint"])

    def answer() -> Any:
        pipe = pipeline(task, model=model, tokenizer=tokenizer, device="cpu", **case.get("init", {}))
        return pipe(*case["args"], **case.get("kwargs", {}))

    if "error" in case:
        with pytest.raises(LaminaError):
            answer()
        return
    same(answer(), case["output"])


def same(found: Any, expected: Any) -> None:
    """Asserts that an answer is the recorded one: types, keys and their order, values; numbers within the tolerance."""
    if isinstance(expected, dict) and set(expected) == {"float32"}:
        assert type(found) is np.float32
        assert float(found) == pytest.approx(expected["float32"], abs=TOLERANCE)
    elif isinstance(expected, dict) and set(expected) == {"tensor"}:
        assert isinstance(found, torch.Tensor)
        same(found.tolist(), expected["tensor"])
    elif isinstance(expected, dict) and set(expected) == {"keys", "rows"}:
        assert isinstance(found, list)
        same(found, [dict(zip(expected["keys"], row, strict=True)) for row in expected["rows"]])
    elif isinstance(expected, dict):
        assert type(found) is dict
        assert list(found) == list(expected)
        for key, value in expected.items():
            same(found[key], value)
    elif isinstance(expected, list):
        assert type(found) is list
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    elif isinstance(expected, float):
        assert type(found) is float
        assert found == pytest.approx(expected, abs=TOLERANCE)
    else:
        assert type(found) is type(expected)
        assert found == expected
