"""What every family gets without a line of its own: rows end to end, eight bits in memory and on disk, adapters."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import lamina
from lamina.nn.model import packable, read_packed
from lamina.training import add_lora, merge_lora

from .goldens import CLASSES, call, golden, load

WRITING = ("LMHeadModel", "ForCausalLM", "ForConditionalGeneration", "MTModel", "ForMaskedLM")
ONE_EACH = list({row.family: row for row in reversed(CLASSES) if row.architecture.endswith(WRITING)}.values())
LENGTHS = [3, 5, 5, 1, 9, 9]


def _logits(row: Any, model: Any) -> Tensor:
    with torch.no_grad():
        found = call(row, model.eval(), golden(row).inputs)[-1]
    logits: Tensor = found["prediction_scores" if row.family == "transfo-xl" else "logits"]
    return logits


@pytest.mark.parametrize("row", CLASSES, ids=lambda row: row.architecture)
def test_rows_end_to_end_answer_as_padded_ones(row, checkpoint):
    model = load(row, checkpoint(row))
    if not packable(model):
        assert model.stacks[1:] or model.kind in ("multiple-choice", "double-heads") or row.family == "transfo-xl"
        return
    torch.manual_seed(0)
    rows = [torch.randint(5, 90, (length,)) for length in LENGTHS]
    padding = model.config.pad_token_id or 0
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=padding)
    mask = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    with torch.no_grad():
        padded, packed = model(ids, attention_mask=mask.long()), read_packed(model, torch.cat(rows), LENGTHS)
    for key, found in packed.items():
        if torch.is_tensor(found):
            expected = padded[key][mask][None] if padded[key].shape[:2] == ids.shape else padded[key]
            torch.testing.assert_close(
                found, expected, atol=1e-5, rtol=2e-5, msg=lambda text, key=key: f"{key}: {text}"
            )


@pytest.mark.parametrize("row", ONE_EACH, ids=lambda row: row.architecture)
def test_eight_bits_stay_near_and_are_the_same_from_disk(row, checkpoint, tmp_path):
    kind, plain = getattr(lamina, row.architecture), _logits(row, load(row, checkpoint(row)))
    model = kind.from_pretrained(checkpoint(row), precision="int8")
    near = _logits(row, model)
    assert torch.cosine_similarity(near.flatten(), plain.flatten(), 0) > 0.98
    model.save_pretrained(tmp_path)
    again = kind.from_pretrained(tmp_path)
    assert again.precision == "int8"
    torch.testing.assert_close(_logits(row, again), near, atol=1e-5, rtol=1e-5)
    wide = _logits(row, kind.from_pretrained(tmp_path, precision="fp32"))
    assert torch.cosine_similarity(wide.flatten(), plain.flatten(), 0) > 0.98


@pytest.mark.parametrize("row", ONE_EACH, ids=lambda row: row.architecture)
def test_an_adapter_starts_as_the_model_and_is_merged_into_it(row, checkpoint):
    plain = _logits(row, load(row, checkpoint(row)))
    model = add_lora(load(row, checkpoint(row)), rank=2)
    assert torch.equal(_logits(row, model), plain)
    torch.testing.assert_close(_logits(row, merge_lora(model)), plain, atol=1e-6, rtol=1e-6)
