"""What tiny models of every family write, token for token as the reference (scripts/goldens.py generation)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import lamina
from lamina.generation import GenerationConfig
from lamina.generation.generate import generate

from . import cases
from .families import STUBBORN, class_name, write_checkpoint

GOLDEN = Path(__file__).parent / "golden"
EVERY = cases.FAMILY | cases.FAMILY_SOURCES | cases.FAMILY_CLASSIC
UNREPEATED = {"no_repeat_ngram_size": 1}


@cache
def golden(version: str) -> dict[str, Any]:
    return {name: found for name, found in json.loads((GOLDEN / f"families-{version}.json").read_text()).items()}


def _rows() -> list[Any]:
    return [
        pytest.param(version, name, case, id=f"{name}/{case}")
        for version in ("4.57.6", "4.40.2", "4.37.2")
        for name, found in golden(version).items()
        if name != "transformers"
        for case in found["answers"]
    ]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Any:
    @cache
    def load(name: str) -> Any:
        known = golden("4.37.2" if name == "TransfoXLLMHeadModel" else "4.57.6")[name]["shapes"]
        shapes = [(line.split()[0], tuple(map(int, line.split()[1:]))) for line in known]
        folder = write_checkpoint(name, shapes, tmp_path_factory.mktemp(name))
        return getattr(lamina, class_name(name)).from_pretrained(folder).eval()

    return load


def _inputs(rows: list[list[int]], pad: int, left: bool) -> dict[str, torch.Tensor]:
    gaps = [(row, max(map(len, rows)) - len(row)) for row in rows]
    ids = [[pad] * gap + row if left else row + [pad] * gap for row, gap in gaps]
    mask = [[0] * gap + [1] * len(row) if left else [1] * len(row) + [0] * gap for row, gap in gaps]
    return {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}


@pytest.mark.parametrize(("version", "name", "row"), _rows())
def test_ids_equal_the_reference(version: str, name: str, row: str, models: Any) -> None:
    known, model = golden(version)[name], models(name)
    case, shape = row.split("/")
    rules = UNREPEATED if name in STUBBORN and EVERY[case] else {}
    options = known["options"] | rules | EVERY[case]
    model.generation_config = GenerationConfig()
    left = not getattr(model.config, "is_encoder_decoder", False)
    prompts = cases.FAMILY_RAGGED if shape == "ragged" else cases.FAMILY_PROMPTS
    torch.manual_seed(7)
    out = generate(model, **_inputs(prompts, options["pad_token_id"], left), **options)
    assert out.tolist() == known["answers"][row]["sequences"]
