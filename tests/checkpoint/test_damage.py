"""Valid files with random damage: our errors, that name the file, and no others."""

from __future__ import annotations

import collections
import json
import pickle
import random
from collections.abc import Callable
from pathlib import Path

import torch

from lamina.checkpoint.files import open_file, save_weights
from lamina.errors import LaminaError
from lamina.families.config import PretrainedConfig
from lamina.legacy.convert import read_vocabulary


def valid_files(folder: Path) -> dict[str, Callable[[Path], object]]:
    """Small valid files of every kind, and what reads each to its end."""
    matrix = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    tensors = {"a.weight": matrix, "b": torch.arange(7), "c": matrix.bfloat16()}
    save_weights(folder, tensors)
    torch.save(collections.OrderedDict(tensors) | {"tied": matrix.t()}, folder / "new.bin")
    torch.save(tensors, folder / "old.bin", _use_new_zipfile_serialization=False)
    words = {
        "idx2sym": ["<unk>", "a"],
        "sym2idx": collections.OrderedDict(a=1),
        "counter": collections.Counter("ab"),
        "x": {1, 2},
    }
    (folder / "vocab.pkl").write_bytes(pickle.dumps(words, 2))
    config = {
        "model_type": "bert",
        "hidden_size": 32,
        "num_attention_heads": 4,
        "id2label": {"0": "a", "1": "b"},
        "torch_dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(config))

    def touch(path: Path) -> None:
        with open_file(path) as weights:
            for name in weights:
                weights[name].sum()
                weights.read_into(name, torch.empty(weights.shape(name), dtype=weights.dtype(name)))

    return {
        "model.safetensors": touch,
        "new.bin": touch,
        "old.bin": touch,
        "vocab.pkl": read_vocabulary,
        "config.json": PretrainedConfig.from_json_file,
    }


def mutated(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        at = rng.randrange(len(changed) or 1)
        kind = rng.randrange(5)
        if kind == 0 and changed:
            changed[at] = rng.randrange(256)
        elif kind == 1 and changed:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del changed[at : at + rng.randrange(1, 9)]
        elif kind == 3:
            changed[at:at] = rng.randbytes(rng.randrange(1, 9))
        elif kind == 4:
            del changed[at:]
    return bytes(changed)


def test_damaged_files_raise_our_errors_and_no_others(tmp_path: Path) -> None:
    rng = random.Random(20)
    for name, read in valid_files(tmp_path).items():
        data, refused = (tmp_path / name).read_bytes(), 0
        read(tmp_path / name)
        for turn in range(400):
            path = tmp_path / f"{turn}-{name}"  # a new file each time: a mapped one must not shrink
            path.write_bytes(mutated(data, rng))
            try:
                read(path)
            except LaminaError as problem:
                refused += 1
                assert str(path) in str(problem)
            path.unlink()
        assert refused > 200, f"most damage to {name} was not even noticed"
