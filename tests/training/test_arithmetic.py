"""How many operations a step takes, by hand for small shapes, and the share of the peak that the log tells."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lamina.training import add_lora
from lamina.training.arithmetic import Arithmetic, peak

from .tiny import bert, collate, sentences, t5, tagged, trainer

LAYER = 3 * 16 * 16 + 16 * 16 + 2 * 16 * 32  # weights of one layer of tiny's models


def test_operations_of_an_encoder():
    rows = sentences(4)
    lengths = [len(row["input_ids"]) for row in rows]
    tokens, pairs = sum(lengths), sum(length**2 for length in lengths)
    tops = (16 * 16 + 2 * 16) * 4  # pooler and classifier, once a row
    wanted = 6 * (2 * LAYER * tokens + tops) + 12 * 2 * 16 * pairs
    assert Arithmetic(bert()).operations(collate(rows)) == wanted
    head = (16 * 16 + 16 * 50) * tokens  # a language model's reads every token
    wanted = 6 * (2 * LAYER * tokens + head) + 12 * 2 * 16 * pairs
    assert Arithmetic(bert("BertForMaskedLM")).operations(collate(tagged(4))) == wanted


def test_what_is_frozen_takes_less():
    frozen, batch = bert(), collate(sentences(4))
    whole = Arithmetic(bert()).operations(batch)
    assert Arithmetic(frozen.requires_grad_(False)).operations(batch) < whole * 0.8
    assert Arithmetic(add_lora(bert(), rank=1)).operations(batch) < whole


def test_operations_of_two_stacks():
    batch = collate(tagged(2, unlabelled=0.0))
    sources, targets = batch["attention_mask"].sum(1), (batch["labels"] != -100).sum(1)
    layer = 4 * 16 * 16 + 2 * 16 * 32
    linear = 2 * layer * int(sources.sum()) + (2 * (layer + 2 * 16 * 16) + 16 * 50) * int(targets.sum())
    linear += 2 * 2 * 16 * 16 * int(sources.sum())  # keys and values of the source
    pairs = int((sources**2).sum() + (targets**2).sum() + (sources * targets).sum())
    assert Arithmetic(t5()).operations(batch) == 6 * linear + 12 * 2 * 16 * pairs


def test_any_module_is_counted_by_its_linear_layers():
    assert Arithmetic(torch.nn.Linear(3, 5)).operations({"input_ids": torch.ones(2, 7)}) == 6 * 15 * 14
    assert Arithmetic(torch.nn.Linear(3, 5)).operations({"x": torch.ones(2, 7)}) == 0


@pytest.mark.parametrize(
    ("name", "rate"),
    [("NVIDIA H200", 989.4), ("NVIDIA H100 PCIe", 756.0), ("NVIDIA H100 80GB HBM3", 989.4), ("NVIDIA L40S", 362.0),
     ("NVIDIA A100-SXM4-80GB", 312.0), ("Tesla T4", 65.0), ("NVIDIA GB10", None)],
)  # fmt: skip
def test_peaks_are_found_by_name(name: str, rate: float | None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    assert peak(torch.device("cuda", 0)) == (None if rate is None else rate * 1e12)
    assert peak(torch.device("cpu")) is None


def test_the_log_tells_the_share_of_the_peak(tmp_path: Path):
    run = trainer(tmp_path, max_steps=4, logging_steps=2, peak_tflops=0.001)
    run.train()
    shares = [entry["mfu"] for entry in run.state.log_history if "loss" in entry]
    assert len(shares) == 2 and all(0 < share < 1 for share in shares)
    silent = trainer(tmp_path, max_steps=2)
    silent.train()
    assert all("mfu" not in entry for entry in silent.state.log_history)
