"""Options count wherever they stand, and are saved, as in the reference (scripts/goldens.py generation)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import lamina
from lamina.auto.pretrained import PreTrainedModel

from .settings import CASES, CLASSES, GOLDEN, PROMPTS, rows, write_settings


@cache
def golden() -> dict[str, Any]:
    return dict(json.loads((GOLDEN / "settings.json").read_text()))


def loaded(family: str, name: str, folder: Path) -> PreTrainedModel:
    case = CASES[name]
    model = getattr(lamina, CLASSES[family]).from_pretrained(
        write_settings(family, case, folder), **case.get("load", {})
    )
    for option, value in case.get("changes", {}).items():
        setattr(model.config, option, value)
    for option, value in case.get("own", {}).items():
        setattr(model.generation_config, option, value)
    return model


@pytest.mark.parametrize(("family", "name"), rows())
def test_options_count_wherever_they_stand_and_are_saved(family: str, name: str, tmp_path: Path) -> None:
    known, call = golden()[f"{family}/{name}"], CASES[name].get("call", {})
    model = loaded(family, name, tmp_path)
    ids = torch.tensor(PROMPTS)
    assert model.generate(ids, attention_mask=torch.ones_like(ids), **call).tolist() == known["sequences"]
    options = model.generation_config.copy()
    options.update(**call)
    shown = {option: value for option, value in options.to_diff_dict().items() if option[0] != "_"}
    assert shown | {"transformers_version": None} == known["options"] | {"transformers_version": None}

    model.save_pretrained(tmp_path / "saved")
    saved = json.loads((tmp_path / "saved" / "generation_config.json").read_text())
    del saved["transformers_version"]
    assert saved == known["saved"]
    counted = {option: value for option, value in saved.items() if option[0] != "_"} | call
    if counted == known["options"]:  # elsewhere saving moves options there that did not count before, as the reference
        again = type(model).from_pretrained(tmp_path / "saved")
        assert again.generate(ids, **call).tolist() == known["sequences"]
