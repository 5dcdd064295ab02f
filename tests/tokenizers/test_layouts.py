"""Every published layout gives the tokenizer that the reference takes for it, and is saved as what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lamina import AutoTokenizer
from lamina.errors import LaminaError
from lamina.families import MODULES, family
from lamina.tokenizers import Tokenizer
from lamina.tokenizers.recipes import MODEL_TYPES
from tests.assets import asset
from tests.tokenizers.layouts import GOLDENS, LAYOUTS, REFUSED, change, facts, write

EXPECTED: dict[str, dict[str, Any]] = json.loads(GOLDENS.read_text(encoding="utf-8"))


def answers(tokenizer: Tokenizer) -> dict[str, Any]:
    found = facts(tokenizer)
    return {**found, "limit": min(found["limit"], 10**12)}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layout(name: str, tmp_path: Path) -> None:
    layout = LAYOUTS[name]
    expected = dict(EXPECTED[name])
    class_name = expected.pop("class")
    if not layout.exact:
        expected = without_usual_tokens(expected)
    ours = change(AutoTokenizer.from_pretrained(write(tmp_path / "from", layout, asset), **layout.options), layout)
    keys = {
        key for key, value in expected.items() if value is not None
    }  # the reference's Python classes have no offsets
    assert {key: answers(ours)[key] for key in keys} == {key: expected[key] for key in keys}
    ours.save_pretrained(tmp_path / "to")
    saved = json.loads((tmp_path / "to" / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert saved["tokenizer_class"] == class_name
    # The class that was saved goes before the model's own.
    (tmp_path / "to" / "config.json").write_text(json.dumps({"model_type": layout.model_type or "bert"}))
    again = answers(AutoTokenizer.from_pretrained(tmp_path / "to"))
    assert {key: again[key] for key in keys} == {key: expected[key] for key in keys}


def without_usual_tokens(expected: dict[str, Any]) -> dict[str, Any]:
    """What is left to compare where the reference adds a token to the vocabulary."""
    return {
        **{key: value for key, value in expected.items() if key not in ("ids", "text")},
        "special": {},
        "special_ids": [],
        "size": expected["size"] - 1,
    }


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(name: str, tmp_path: Path) -> None:
    layout, says = REFUSED[name]
    with pytest.raises(LaminaError, match=says):
        AutoTokenizer.from_pretrained(write(tmp_path, layout, asset), **layout.options)


def test_model_types_of_families() -> None:
    assert {name: family(name).tokenizer for name in MODULES} == {name: MODEL_TYPES[name] for name in MODULES}
