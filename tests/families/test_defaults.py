"""A config that says nothing says what the reference's says."""

from __future__ import annotations

import json

import pytest

import lamina
from lamina.families import MODULES

from .goldens import GOLDEN

# Not part of what a model is: the writer, and an option that the reference itself gave up in version 5.
GONE = {"position_embedding_type", "transformers_version"}
DEFAULTS = json.loads((GOLDEN / "defaults.json").read_text())


@pytest.mark.parametrize("model_type", MODULES)
def test_defaults_are_the_reference_s(model_type: str):
    ours = lamina.AutoConfig.for_model(model_type)
    theirs = {key: value for key, value in DEFAULTS[model_type].items() if key not in GONE}
    if "id2label" in theirs:  # JSON keys are text
        theirs["id2label"] = {int(key): value for key, value in theirs["id2label"].items()}
    assert {key: getattr(ours, key, "not there") for key in theirs} == theirs
