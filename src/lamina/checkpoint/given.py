"""Weights that the caller holds in memory, as a state dict, in the place of files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import CheckpointError
from ..files.shown import shown
from .compact import unpacked
from .storage import MappedFile, Scratch, StoredTensor, Weights, check_data


class _Held(MappedFile):
    """Tensors in memory behind the face of a file; each is known by its number."""

    def __init__(self, tensors: list[Tensor]):
        self.path, self.tensors = Path("state_dict"), tensors

    def mapped(self, stored: StoredTensor) -> Tensor:
        """A copy, so that what is done to the model is not done to the caller's."""
        return self.tensors[stored.offset].clone()

    def read_into(self, stored: StoredTensor, out: Tensor, scratch: Scratch) -> None:
        """Copy one tensor into `out`."""
        out.copy_(self.tensors[stored.offset])

    def close(self) -> None:
        """Nothing to give back."""


def given_weights(state_dict: Any) -> Weights:
    """A mapping from published names to tensors as the weights of a checkpoint."""
    if not isinstance(state_dict, Mapping) or not state_dict:
        raise CheckpointError(f"state_dict must map names to tensors, not be {shown(state_dict)}")
    for name, tensor in state_dict.items():
        if not isinstance(name, str) or not torch.is_tensor(tensor):
            raise CheckpointError(f"state_dict must map names to tensors, not {shown(name)} to {shown(tensor)}")
        check_data(tensor, name)
    held = _Held([tensor.detach() for tensor in state_dict.values()])
    stored = [StoredTensor(i, tensor.dtype, tuple(tensor.shape)) for i, tensor in enumerate(held.tensors)]
    return unpacked(Weights(held.path, {name: (held, each) for name, each in zip(state_dict, stored, strict=True)}))
