"""A config that says nothing says what the reference's says."""

from __future__ import annotations

import json

import pytest

import lamina
from lamina.families import MODULES

from .goldens import GOLDEN

DEFAULTS = json.loads((GOLDEN / "defaults.json").read_text())


@pytest.mark.parametrize("model_type", MODULES)
def test_defaults_are_the_reference_s(model_type: str):
    ours = lamina.AutoConfig.for_model(model_type)
    theirs = {key: value for key, value in DEFAULTS[model_type].items() if key != "transformers_version"}
    assert {key: getattr(ours, key, "not there") for key in theirs} == theirs
