"""`lamina info`: sizes counted from the config alone, and the picture of the spec."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

import lamina as library
from lamina.cli.info import draw_model
from lamina.families import MODULES
from tests.cli.conftest import Finished

Lamina = Callable[..., Finished]
Checkpoint = Callable[[str], str]

SHARED_LAYERS = {"num_hidden_layers": 4, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 48}


def test_json_counts_the_parameters_that_the_loaded_model_has(lamina: Lamina, checkpoint: Checkpoint) -> None:
    folder = checkpoint("bert-moods")
    found = json.loads(lamina("info", folder, "--json").out)
    model = library.AutoModelForSequenceClassification.from_pretrained(folder)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert sum(part["parameters"] for part in found["parts"]) == parameters
    assert sum(part["bytes"]["float32"] for part in found["parts"]) == 4 * parameters
    assert found["labels"] == ["GRIM", "PLAIN", "MERRY"]
    assert found["spec"]["encoder"]["embedding"]["positions"] == {"kind": "LearnedPositions", "size": 64, "offset": 0}


def test_tied_tables_count_once(lamina: Lamina, checkpoint: Checkpoint) -> None:
    parts = {part["name"]: part for part in json.loads(lamina("info", checkpoint("bert-mask"), "--json").out)["parts"]}
    assert parts["encoder embeddings"]["parameters"] >= 30522 * 32
    assert parts["head"]["parameters"] < 30522 * 32
    assert parts["encoder embeddings"]["bytes"]["int8 linear"] == parts["encoder embeddings"]["bytes"]["float32"]
    assert parts["encoder layers"]["bytes"]["int8 linear"] < parts["encoder layers"]["bytes"]["bfloat16"]


def test_the_picture_and_the_table_fit_eighty_columns(
    lamina: Lamina, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = lamina("info", checkpoint("bert-moods")).out
    assert max(map(len, shown.splitlines())) <= 80
    for words in (
        "BertForSequenceClassification",
        "GRIM, PLAIN, MERRY",
        "2 layers",
        "4 heads of 8",
        "32 → 48 → 32",
        "all",
    ):
        assert words in shown


def test_a_folder_without_weights_is_described_all_the_same(lamina: Lamina, tmp_path: Path) -> None:
    library.AlbertConfig(**SHARED_LAYERS, architectures=["AlbertForMaskedLM"]).save_pretrained(tmp_path)
    shown = lamina("info", str(tmp_path))
    assert shown.status == 0
    assert "4 layers sharing 1" in shown.out
    assert "holds no weights" in " ".join(shown.out.split())


@pytest.mark.parametrize("model_type", ["bart", "t5"])
def test_encoder_and_decoder_stand_side_by_side(model_type: str) -> None:
    config = library.AutoConfig.for_model(model_type)
    family = config.family
    task = next(task for task in family.tasks if task.kind == "seq2seq-lm")
    console = Console(width=120)
    with console.capture() as captured:
        console.print(draw_model(family.model_spec(config.values(), task)))
    first = captured.get().splitlines()[0]
    assert "encoder" in first
    assert "decoder" in first
    assert "cross-attention" in captured.get()
    assert "the encoder's" in captured.get()


def test_a_model_of_segments_shows_its_tables_and_memory(lamina: Lamina, tmp_path: Path) -> None:
    sizes = {"d_model": 32, "d_embed": 32, "d_head": 8, "n_head": 4, "d_inner": 48, "n_layer": 2, "mem_len": 7}
    config = library.TransfoXLConfig(
        vocab_size=100, cutoffs=[20, 60], div_val=2, **sizes, architectures=["TransfoXLLMHeadModel"]
    )
    config.save_pretrained(tmp_path)
    shown = lamina("info", str(tmp_path)).out
    for words in ("tokens 0-19", "width 32 → 32", "tokens 60-99", "width 8 → 32", "7 tokens"):
        assert words in shown


def test_families_lists_every_family_with_its_tasks(lamina: Lamina) -> None:
    found = json.loads(lamina("info", "--families", "--json").out)
    assert sorted(found) == sorted(MODULES)
    assert {"masked-lm", "sequence-classification", "question-answering"} <= set(found["bert"])
    shown = lamina("info", "--families").out
    assert all(name in shown for name in MODULES)
    assert "MLM masked-lm" in shown


def test_the_built_in_model_is_described_where_none_is_named(lamina: Lamina) -> None:
    found = json.loads(lamina("info", "--json").out)
    assert found["labels"] == ["NEGATIVE", "POSITIVE"]
    assert found["family"] == "bert"
