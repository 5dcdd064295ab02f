"""Attention maps over HTTP, against those of the model itself."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from lamina import AutoModelForSeq2SeqLM, AutoTokenizer, TransfoXLConfig, TransfoXLLMHeadModel
from lamina.serving.attention import TOKENS, record

from .running import Running

SENTENCE = "Ada Lovelace lived in London."
LABELED = {"inputs": SENTENCE, "task": "zero-shot-classification"}
NESTED: Any = SENTENCE
for _ in range(200):
    NESTED = [NESTED]


def draw(server: Running, model: str, **asked: Any) -> dict[str, Any]:
    status, found = server.post(f"/playground/{model}/attention", asked)
    assert status == 200, found
    weights: dict[str, Any] = found
    return weights


def maps_of(model: Any, row: dict[str, list[int]], field: str = "attentions", **more: Any) -> torch.Tensor:
    with torch.inference_mode():
        inputs = {name: torch.tensor([values]) for name, values in row.items()}
        return torch.stack(list(model(**inputs, **more, output_attentions=True)[field]))[:, 0]


@pytest.mark.parametrize(("layer", "head"), [(0, 0), (1, 3)])
def test_a_map_is_the_model_s_own(server: Running, pipe: Callable[..., Any], layer: int, head: int) -> None:
    tagger = pipe("token-classification", "bert-tags")
    found = draw(server, "bert-tags", inputs=SENTENCE, layer=layer, head=head)
    row = dict(tagger.tokenizer(SENTENCE))
    expected = maps_of(tagger.model, row)[layer, head]
    np.testing.assert_allclose(found["weights"], expected, atol=6e-5)
    assert (found["layers"], found["heads"], found["part"], found["parts"]) == (2, 4, "self", ["self"])
    assert [token["id"] for token in found["queries"]] == row["input_ids"]
    assert [token["special"] for token in found["queries"]] == [True, *[False] * (len(row["input_ids"]) - 2), True]
    assert found["queries"] == found["keys"]
    assert found["overview"] is None and not found["truncated"]


def test_the_overview_holds_every_layer_and_head(server: Running, pipe: Callable[..., Any]) -> None:
    found = draw(server, "gpt2", inputs="Berlin is", overview=True)
    writer = pipe("text-generation", "gpt2")
    ids = writer.tokenizer("Berlin is")["input_ids"]
    expected = maps_of(writer.model, {"input_ids": ids})
    small = found["overview"]
    assert (small["rows"], small["columns"]) == (len(ids), len(ids)), "short maps are shown point by point"
    shape = (found["layers"], found["heads"], small["rows"], small["columns"])
    data = np.frombuffer(base64.b64decode(small["data"]), np.uint8).reshape(shape)
    np.testing.assert_allclose(data / 255, expected, atol=1 / 255)
    assert not np.triu(data[0, 0], 1).any(), "no token of this model sees what comes after it"


def test_the_decoder_s_maps_need_what_was_written(server: Running, checkpoint: Callable[[str], Path]) -> None:
    alone = draw(server, "marian", inputs="Good morning")
    assert alone["parts"] == ["encoder"]
    found = draw(server, "marian", inputs="Good morning", target="bom dia", part="cross", layer=1, head=1)
    assert found["parts"] == ["encoder", "decoder", "cross"]
    tokenizer = AutoTokenizer.from_pretrained(checkpoint("marian"))
    model = AutoModelForSeq2SeqLM.from_pretrained(checkpoint("marian"))
    labels = torch.tensor([tokenizer(text_target="bom dia")["input_ids"]])
    row = {name: tokenizer("Good morning")[name] for name in ("input_ids", "attention_mask")}
    expected = maps_of(model, row, "cross_attentions", decoder_input_ids=model.decoder_inputs(labels, None))[1, 1]
    np.testing.assert_allclose(found["weights"], expected, atol=6e-5)
    assert len(found["queries"]) == labels.shape[1] and len(found["keys"]) == len(row["input_ids"])


def test_rows_are_what_the_task_reads(server: Running) -> None:
    asked = {
        "inputs": "The bank left rates as they are.",
        "parameters": {"candidate_labels": ["economy", "sports"]},
        "task": "zero-shot-classification",
    }
    first, second = (draw(server, "bert-nli", **asked, row=row) for row in (0, 1))
    assert first["rows"] == second["rows"] == 2
    assert "economy" in "".join(token["text"] for token in first["keys"])
    assert "sports" in "".join(token["text"] for token in second["keys"])
    pair = draw(server, "bert-qa", inputs={"question": "Where?", "context": "In Berlin."})
    assert sum(token["special"] for token in pair["queries"]) == 3


def test_memories_of_earlier_text_are_left_out() -> None:
    sizes = {"d_model": 16, "d_embed": 16, "n_head": 2, "d_head": 8, "d_inner": 24, "n_layer": 3, "mem_len": 6}
    model = TransfoXLLMHeadModel(TransfoXLConfig(vocab_size=50, cutoffs=[20, 40], div_val=1, **sizes)).eval()
    pipe: Any = SimpleNamespace(model=model, device=torch.device("cpu"))
    found = record(pipe, {"input_ids": [3, 4, 5, 6, 7]}, None)["self"]
    assert [tuple(layer.shape) for layer in found.maps] == [(2, 5, 5)] * 3
    assert not torch.stack(list(found.maps)).triu(1).any()


def test_long_texts_are_cut(server: Running) -> None:
    found = draw(server, "minilm", inputs="one " * 3000, task="feature-extraction", overview=True)
    assert found["truncated"] and len(found["queries"]) == TOKENS
    assert found["overview"]["rows"] == 24


def test_a_picture_in_bytes_and_a_word_in_hangul_are_named_readably(server: Running) -> None:
    found = draw(server, "bert-tags", inputs="서울 🏖️")
    assert all(token["text"].strip() for token in found["queries"])
    for token in draw(server, "gpt2", inputs="서울 🏖️")["queries"]:
        assert token["text"].strip() and "\ufffd" not in token["text"]


@pytest.mark.parametrize(
    ("model", "asked", "status", "word"),
    [
        ("bert-tags", {"inputs": SENTENCE, "layer": 2}, 422, "layer is 2; there are 2"),
        ("bert-tags", {"inputs": SENTENCE, "head": 4}, 422, "head is 4; there are 4"),
        ("bert-tags", {"inputs": SENTENCE, "row": 1}, 422, "row is 1; there are 1"),
        ("bert-tags", {"inputs": SENTENCE, "part": "cross"}, 422, "no cross maps"),
        ("bert-tags", {"inputs": SENTENCE, "layer": -1}, 422, "layer"),
        ("bert-tags", {"inputs": 7}, 422, "text"),
        ("bert-tags", {}, 422, "inputs"),
        ("bert-tags", {"inputs": SENTENCE, "color": "red"}, 422, "color"),
        ("bert-tags", {"inputs": SENTENCE, "task": "translation"}, 404, "translation"),
        ("bert-qa", {"inputs": SENTENCE}, 422, "question"),
        ("bert-mask", {"inputs": "no gap"}, 422, "mask"),
        ("bert-mask", {"inputs": "[MASK]", "parameters": {"top_k": "many"}}, 422, "top_k"),
        ("bert-nli", {"inputs": SENTENCE, "task": "zero-shot-classification"}, 422, "candidate_labels"),
        ("bert-nli", {**LABELED, "parameters": {"candidate_labels": 5}}, 422, "candidate_labels"),
        ("bert-tags", {"inputs": NESTED}, 422, "text"),
        ("bert-tags", {"inputs": {"text": NESTED}}, 422, "text"),
        ("nobody", {"inputs": SENTENCE}, 404, "nobody"),
        ("marian", {"inputs": "Good morning", "target": "x" * 5000}, 422, "target"),
    ],
)
def test_mistakes_are_named(server: Running, model: str, asked: dict[str, Any], status: int, word: str) -> None:
    found_status, found = server.post(f"/playground/{model}/attention", asked)
    assert found_status == status, found
    assert word in found["error"]
