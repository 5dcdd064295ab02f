"""Neighbors in a batch do not matter: a padded row answers what it answers alone, and twice the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from .goldens import ACTIVE, CLASSES, arguments, assert_near, call, flatten, golden, load
from .inputs import Array
from .rows.row import Row

# Where positions are relative, or counted over real tokens, the side of the padding makes no difference either.
BY_IDS = {"roberta", "camembert", "xlm-roberta", "mpnet", "m2m_100"}  # which vectors in place of ids cannot tell
POSITION_FREE = BY_IDS | {"modernbert", "t5", "mt5", "umt5", "bloom", "gpt_neox", "opt"}
WRITERS = ("ForConditionalGeneration", "MTModel")  # how their names end
NOT_PER_ROW = {"loss", "mc_loss", "losses"}


def _comparable(row: Row) -> bool:
    inputs = row.inputs()
    mask = inputs.get("attention_mask")
    if (
        mask is None
        or mask.ndim != 2
        or row.name in ("holes", "sparse")
        or ("inputs_embeds" in inputs and row.family in BY_IDS)
    ):
        return False
    return bool((mask[:, 0] == 1).all()) or row.family in POSITION_FREE


def _alone(inputs: dict[str, Array], at: int, paired: bool) -> dict[str, Array]:
    """Row `at` by itself, its padding cut off; the labels of a `paired` model are its target's."""
    cut = {name: array[at : at + 1] for name, array in inputs.items()}
    for side in ("", "decoder_", "encoder_"):
        mask = cut.pop(side + "attention_mask", None)
        if mask is not None:
            keep = mask[0] == 1
            for name in (side + "input_ids", side + "inputs_embeds", side + "hidden_states"):
                if name in cut:
                    cut[name] = cut[name][:, keep]
            if not side:
                for name in ("token_type_ids",) if paired else ("token_type_ids", "labels"):
                    if name in cut and cut[name].shape[1:] == keep.shape:
                        cut[name] = cut[name][:, keep]
    return cut


def _kept(key: str, array: Array, inputs: dict[str, Array], at: int, apart: bool) -> Array:
    """Row `at` of a batch's output without its padding, which differs where the target is a text `apart`."""
    side = "decoder_" if apart and not key.startswith("encoder_") else ""
    mask, found = inputs.get(side + "attention_mask"), array[at : at + 1]
    if mask is not None and found.ndim >= 2 and found.shape[1] == mask.shape[1]:
        return found[:, mask[at] == 1]
    return found


@pytest.mark.parametrize("row", [row for row in ACTIVE if _comparable(row)], ids=lambda row: row.id)
def test_batch_equals_one_by_one(row, checkpoint):
    inputs, paired = golden(row).inputs, golden(row).paired
    # The classifiers, and a model given nothing to write, read the source on both sides.
    apart = paired and (row.architecture.endswith(WRITERS) or any(name.startswith("decoder_") for name in inputs))
    model = load(row, checkpoint(row))
    with torch.no_grad():
        together = flatten(call(row, model, inputs, output_hidden_states=True)[-1])
        for at in range(len(inputs["attention_mask"])):
            alone = flatten(call(row, model, _alone(inputs, at, paired), output_hidden_states=True)[-1])
            assert sorted(alone) == sorted(together)
            if inputs["attention_mask"][at, 0] == 0:
                alone.pop("pooler_output", None)  # the reference pools the first column, padding or not
            for key, array in alone.items():
                if key in NOT_PER_ROW:
                    continue
                assert_near(_kept(key, together[key], inputs, at, apart), array, f"row {at}: {key}")


@pytest.mark.parametrize("row", CLASSES, ids=lambda row: row.id)
def test_same_call_same_bits(row, checkpoint):
    answer = golden(row)
    model = load(row, checkpoint(row))
    with torch.no_grad():
        first, second = (flatten(call(row, model, answer.inputs)[-1]) for _ in range(2))
    for key, array in first.items():
        np.testing.assert_array_equal(second[key], array, err_msg=key)


@pytest.mark.parametrize("row", CLASSES, ids=lambda row: row.id)
def test_inputs_are_left_alone(row, checkpoint):
    answer = golden(row)
    tensors = arguments(answer.inputs)
    with torch.no_grad():
        load(row, checkpoint(row))(**tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(tensor.numpy(), answer.inputs[name], err_msg=name)
