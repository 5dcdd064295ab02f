"""Our numbers are the reference's: outputs, hidden states, attention maps, losses and gradients of every row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from .goldens import ACTIVE, assert_near, call, flatten, golden, load, real
from .weights import probe


def each(rows: list[Any]) -> Any:
    return pytest.mark.parametrize("row", rows, ids=lambda row: row.id)


@each(ACTIVE)
def test_outputs(row, checkpoint):
    answer = golden(row)
    model = load(row, checkpoint(row))
    with torch.no_grad():
        outputs = call(row, model, answer.inputs, output_hidden_states=answer.hidden, output_attentions=row.attentions)
    for output, keys, theirs in zip(outputs, answer.keys, answer.outputs, strict=True):
        assert [key for key in output.keys() if key != "past_key_values"] == keys  # noqa: SIM118 (a contract)
        ours = flatten(output)
        assert sorted(ours) == sorted(theirs)
        for key in theirs:
            assert ours[key].shape == theirs[key].shape, f"{key}: {ours[key].shape}, expected {theirs[key].shape}"
            assert_near(*(real(key, found[key], answer.inputs, answer.paired) for found in (ours, theirs)), key)


@each([row for row in ACTIVE if golden(row).labeled])
def test_gradients(row, checkpoint, tmp_path):
    answer = golden(row)
    model = load(row, checkpoint(row))
    output = call(row, model, answer.inputs)[-1]
    sum(output[key] for key in ("loss", "mc_loss") if output.get(key) is not None).backward()
    # Saved in place of the weights, gradients come out under the reference's names.
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.copy_(torch.zeros_like(tensor) if tensor.grad is None else tensor.grad)
    model.save_pretrained(tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    for (name, shape), (norm, dot) in zip(answer.shapes.items(), answer.gradients, strict=True):
        ours = saved[name].astype(np.float64)
        if np.isnan(norm):
            assert not ours.any(), f"{name} is no parameter in the reference, yet it takes a gradient"
            continue
        for found, expected, what in (
            (np.linalg.norm(ours), norm, "norm"),
            ((ours * probe(name, shape)).sum(), dot, "dot product with the probe"),
        ):
            assert abs(found - expected) <= 1e-5 + 5e-5 * abs(norm), f"{name}: {what} {found}, expected {expected}"


@each([row for row in ACTIVE if row.attentions])
def test_attention_maps_change_nothing_else(row, checkpoint):
    answer = golden(row)
    model = load(row, checkpoint(row))
    with torch.no_grad():
        plain, recorded = (call(row, model, answer.inputs, output_attentions=maps)[-1] for maps in (False, True))
    assert_near(flatten(recorded)["last_hidden_state"], flatten(plain)["last_hidden_state"], "last_hidden_state")
    assert "attentions" not in " ".join(flatten(plain))
