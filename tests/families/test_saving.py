"""What we write is what the reference writes: the same names, shapes and bits, in both formats."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file

import lamina

from .goldens import CLASSES, MODELS, assert_near, call, flatten, golden, load
from .weights import fill

# What a config.json says about the library that wrote it and the type of the weights beside it.
INCIDENTAL = {"transformers_version", "dtype", "torch_dtype"}

each = pytest.mark.parametrize("row", MODELS, ids=lambda row: row.id)


@each
def test_round_trip_is_exact(row, checkpoint, tmp_path):
    answer = golden(row)
    load(row, checkpoint(row)).save_pretrained(tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    assert {name: array.shape for name, array in saved.items()} == answer.shapes
    for name, array in saved.items():
        np.testing.assert_array_equal(array, fill(name, array.shape), err_msg=name)
    with safe_open(tmp_path / "model.safetensors", "numpy") as file:
        assert file.metadata() == {"format": "pt"}


@each
def test_config_keeps_every_key(row, checkpoint, tmp_path):
    theirs = golden(row).config
    folder = checkpoint(row)
    kind = getattr(lamina, row.architecture).config_class
    mine = kind.from_pretrained(folder)
    mine.something_of_mine = {"deep": [1, None]}
    mine.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert written["architectures"] == [row.architecture]
    assert written["something_of_mine"] == {"deep": [1, None]}
    for config in (kind.from_pretrained(folder), kind.from_pretrained(tmp_path)):
        read = json.loads(json.dumps({key: getattr(config, key) for key in theirs if key not in INCIDENTAL}))
        assert read == {key: value for key, value in theirs.items() if key not in INCIDENTAL}


@pytest.mark.parametrize("row", CLASSES, ids=lambda row: row.architecture)
def test_bin_in_shards_holds_the_same(row, checkpoint, tmp_path):
    answer = golden(row)
    model = load(row, checkpoint(row))
    model.save_pretrained(tmp_path, safe_serialization=False, max_shard_size="10KB")
    shards = sorted(tmp_path.glob("pytorch_model-*.bin"))
    assert len(shards) > 1 and not list(tmp_path.glob("*.safetensors"))
    saved = {name: tensor for shard in shards for name, tensor in torch.load(shard, weights_only=True).items()}
    index = json.loads((tmp_path / "pytorch_model.bin.index.json").read_text())["weight_map"]
    assert index.keys() == saved.keys() and set(index.values()) == {shard.name for shard in shards}
    assert {name: tuple(tensor.shape) for name, tensor in saved.items()} == answer.shapes
    for name, tensor in saved.items():
        np.testing.assert_array_equal(tensor.numpy(), fill(name, answer.shapes[name]), err_msg=name)
    again = getattr(lamina, row.architecture).from_pretrained(tmp_path)
    with torch.no_grad():
        before, after = (flatten(call(row, one, answer.inputs)[-1]) for one in (model, again))
    for key, array in before.items():
        assert_near(after[key], array, key)
