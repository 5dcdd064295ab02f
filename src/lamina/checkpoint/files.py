"""Checkpoint folders: which files make one up, and opening them without reading a tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import CheckpointError
from ..files.atomic import finish
from ..files.jsonfile import INDEX_BYTES, read_json_object
from ..files.paths import SHARD_NAME, inside, listed, present
from ..files.shown import few, shown
from .compact import unpacked
from .saving import Naming, namings, save_weights
from .storage import MappedFile, Scratch, StoredTensor, Weights, check_data, check_name, read_safetensors
from .torchfile import read_torch

__all__ = ["Weights", "candidates", "find_weights", "open_file", "open_weights", "save_weights", "weight_patterns"]

FOREIGN = (".h5", ".msgpack")


def _forms(variant: str | None, safetensors_only: bool | None) -> list[Naming]:
    return namings(variant)[{None: slice(2), True: slice(1), False: slice(1, 2)}[safetensors_only]]


def candidates(variant: str | None = None, safetensors_only: bool | None = None) -> list[str]:
    """The names weights may have in a folder, best first; False asks for `.bin` only."""
    return [name for form in _forms(variant, safetensors_only) for name in form[:2]]


def weight_patterns(variant: str | None = None, safetensors_only: bool | None = None) -> tuple[str, ...]:
    """What to fetch of a model on the hub: its config, its weights in whichever of their forms, and their shards."""
    names = dict.fromkeys(name for form in _forms(variant, safetensors_only) for name in form)
    return ("config.json", "generation_config.json", *names)


def find_weights(folder: str | Path, *, variant: str | None = None, safetensors_only: bool | None = None) -> Path:
    """The file that a checkpoint starts from: its weights, or the index of its shards."""
    folder = Path(folder)
    finish(folder)
    names = candidates(variant, safetensors_only)
    for name in names:
        if present(folder, name):
            return inside(folder, name)
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is not a folder")
    known = [name for name in listed(folder, CheckpointError) if name.endswith((".safetensors", ".bin", *FOREIGN))]
    hint = f" It has {few(known)}." if known else ""
    if any(name.endswith(FOREIGN) for name in known):
        hint += " TensorFlow and Flax weights are not read: save them as safetensors first."
    raise CheckpointError(f"{folder} holds no weights: looked for {', '.join(names)}.{hint}")


def open_weights(folder: str | Path, *, variant: str | None = None, safetensors_only: bool | None = None) -> Weights:
    """Open the checkpoint in a folder: names, shapes and types at once, tensors when asked for.

    Looks for model.safetensors, its index, pytorch_model.bin, its index, in that order; `variant` asks for
    model.fp16.safetensors and the like. Every file is checked whole before any tensor is handed out. Matrices in our
    compact form (`compact.py`) come out as the float32 tensors they stand for.
    """
    path = find_weights(folder, variant=variant, safetensors_only=safetensors_only)
    return unpacked(_open_shards(path) if path.suffix == ".json" else open_file(path))


def open_file(path: str | Path) -> Weights:
    path = Path(path)
    file, tensors = open_mapped(path, read_safetensors if path.suffix == ".safetensors" else read_torch)
    return Weights(path.parent, {name: (file, stored) for name, stored in tensors.items()})


def open_mapped(path: Path, read: Callable[[MappedFile], Any]) -> tuple[MappedFile, Any]:
    """A mapped file and what `read` makes of it; closed where that fails."""
    file = MappedFile(path)
    try:
        return file, read(file)
    except BaseException:
        file.close()
        raise


def _open_shards(index: Path) -> Weights:
    mapping = read_json_object(index, INDEX_BYTES, CheckpointError).get("weight_map")
    if not isinstance(mapping, dict) or not mapping:
        raise CheckpointError(f"{index} has no weight_map from tensors to files")
    shards: dict[str, tuple[MappedFile, dict[str, StoredTensor]]] = {}
    for name, shard in mapping.items():
        check_name(name, index)
        if not isinstance(shard, str) or not SHARD_NAME.fullmatch(shard):
            raise CheckpointError(f"{index} sends to {shown(shard)}, which is not the plain name of a weights file")
    try:
        for shard in sorted(set(mapping.values())):
            read = read_safetensors if shard.endswith(".safetensors") else read_torch
            shards[shard] = open_mapped(inside(index.parent, shard), read)
        tensors = {}
        for name, shard in mapping.items():
            file, found = shards[shard]
            if name not in found:
                raise CheckpointError(f"{file.path} has no tensor {shown(name)}, although {index.name} says so")
            tensors[name] = (file, found[name])
    except BaseException:
        for file, _ in shards.values():
            file.close()
        raise
    return Weights(index.parent, tensors)


class _Held(MappedFile):
    """Tensors in memory behind the face of a file; each is known by its number, tied ones by the same."""

    def __init__(self, tensors: list[Tensor]):
        self.path, self.tensors = Path("state_dict"), tensors

    def mapped(self, stored: StoredTensor) -> Tensor:
        """A copy, so that what is done to the model is not done to the caller's."""
        return self.tensors[stored.offset].clone()

    def read_into(self, stored: StoredTensor, out: Tensor, scratch: Scratch) -> None:
        out.copy_(self.tensors[stored.offset])

    def close(self) -> None:
        """There is nothing to give back."""


def given_weights(state_dict: Any) -> Weights:
    """A mapping from published names to tensors as the weights of a checkpoint."""
    if not isinstance(state_dict, Mapping) or not state_dict:
        raise CheckpointError(f"state_dict must map names to tensors, not be {shown(state_dict)}")
    for name, tensor in state_dict.items():
        if not isinstance(name, str) or not torch.is_tensor(tensor):
            raise CheckpointError(f"state_dict must map names to tensors, not {shown(name)} to {shown(tensor)}")
        check_data(tensor, name)
    held = _Held([tensor.detach() for tensor in state_dict.values()])
    number: dict[Any, int] = {}
    stored = [
        StoredTensor(number.setdefault((t.data_ptr(), t.dtype, t.shape, t.stride()), i), t.dtype, tuple(t.shape))
        for i, t in enumerate(held.tensors)
    ]
    return unpacked(Weights(held.path, {name: (held, each) for name, each in zip(state_dict, stored, strict=True)}))
