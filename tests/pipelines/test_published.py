"""Published checkpoints through a pipeline: the answers that Transformers 4.57.6 gives for them."""

from __future__ import annotations

import pytest

import lamina
from lamina.pipelines import pipeline
from tests.assets import asset


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
