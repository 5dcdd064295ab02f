"""Pipelines that write against what Transformers 4.57.6 answers, id for id (scripts/goldens.py pipelines/writing)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from lamina.errors import LaminaError
from lamina.pipelines import pipeline
from tests.pipelines.checkpoints import GOLDEN
from tests.pipelines.test_reference import same

SEED = 7


def golden_cases() -> Iterator[Any]:
    for number, case in enumerate(json.loads((GOLDEN / "writing.json").read_text(encoding="utf-8"))):
        yield pytest.param(case, id=f"{case['task']}-{number}-{case['checkpoint']}")


@pytest.fixture(scope="module")
def loaded(writer: Callable[[str], Path]) -> Callable[[str, str], tuple[Any, Any]]:
    """Model and tokenizer for a task, loaded once."""

    @cache
    def load(task: str, name: str) -> tuple[Any, Any]:
        pipe = pipeline(task, model=writer(name), device="cpu")
        return pipe.model, pipe.tokenizer

    return load


@pytest.mark.parametrize("case", list(golden_cases()))
def test_answers_as_the_reference_does(case: dict[str, Any], loaded: Callable[[str, str], tuple[Any, Any]]) -> None:
    model, tokenizer = loaded(case["task"], case["checkpoint"])

    def answer() -> Any:
        pipe = pipeline(case["task"], model=model, tokenizer=tokenizer, device="cpu", **case.get("init", {}))
        torch.manual_seed(SEED)
        return pipe(*case["args"], **case.get("kwargs", {}))

    if "error" in case:
        with pytest.raises(LaminaError):
            answer()
        return
    same(answer(), case["output"])
