"""Every task and option against what Transformers 4.57.6 answers, field for field, type for type and id for id."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

import lamina
from lamina.errors import LaminaError
from lamina.pipelines import pipeline
from tests.assets import asset
from tests.pipelines.checkpoints import GOLDEN
from tests.pipelines.tasks import READERS, same

SEED = 7  # of scripts/golden/pipelines.py
FILES = ("writing", *(task.name for task in READERS if task.name != "sentence-similarity"))
CASES = [
    pytest.param(case.get("task", file), case, id=f"{case.get('task', file)}-{number}-{case['checkpoint']}")
    for file in FILES
    for number, case in enumerate(json.loads((GOLDEN / f"{file}.json").read_text(encoding="utf-8")))
]


@pytest.mark.parametrize(("task", "case"), CASES)
def test_answers_as_the_reference_does(task: str, case: dict[str, Any], made: Callable[..., Any]) -> None:
    def answer() -> Any:
        pipe = made(task, case["checkpoint"], **case.get("init", {}))
        torch.manual_seed(SEED)
        return pipe(*case["args"], **case.get("kwargs", {}))

    if "error" in case:
        with pytest.raises(LaminaError):
            answer()
        return
    same(answer(), case["output"])


def test_a_published_bert_fills_a_mask() -> None:
    answer = pipeline("fill-mask", model=asset("bert_tiny"), device="cpu")("Paris is the [MASK] of France.")
    assert [guess["token_str"] for guess in answer] == ["city", "mountains", "france", "where", "paris"]
    assert answer[0]["score"] == pytest.approx(0.11368073, abs=1e-5)
    assert answer[0]["sequence"] == "paris is the city of france."


def test_a_published_albert_completes_a_molecule() -> None:
    folder = asset("albert_smiles")
    tokenizer = lamina.BertTokenizerFast.from_pretrained(folder)
    pipe = pipeline("fill-mask", model=folder, tokenizer=tokenizer, device="cpu")
    answer = pipe("C C ( = O ) [MASK] . C O", top_k=3)
    assert [guess["token_str"] for guess in answer] == ["O", "[O-]", "Cl"]
    assert [guess["score"] for guess in answer] == pytest.approx([0.63751709, 0.29039165, 0.06807017], abs=1e-5)
