"""Weights at a quarter of their size on disk: matrices as int8 with one scale per row, read back as float32.

A matrix `name` [rows, columns] is stored as two tensors: `name`, int8, and `name.scale`, float32 [rows], with
`weight[i, j] = name[i, j] * scale[i]`; a row's largest entry becomes 127 or -127. All else is stored as it is. The
form is for files that must be small, such as the model inside the package: a loaded model computes in full precision.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from .storage import Weights

SCALE = ".scale"
LARGEST = 127  # -128 stays unused, so that a row's range is the same on both sides of zero


def pack(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors to store: every floating matrix as int8 and scales."""
    packed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.dim() != 2 or not tensor.is_floating_point():
            packed[name] = tensor
            continue
        scale = tensor.float().abs().amax(1) / LARGEST
        scale[scale == 0] = 1  # a row of zeros
        packed[name] = (tensor.float() / scale[:, None]).round().to(torch.int8)
        packed[name + SCALE] = scale
    return packed


def unpack(matrix: Tensor, scale: Tensor) -> Tensor:
    """The float32 matrix that int8 `matrix` [rows, columns] and `scale` [rows] stand for."""
    return matrix.float().mul_(scale.float()[:, None])


def unpacked(weights: Weights) -> Weights:
    """`weights`, or a view that unpacks where some of them were packed."""
    packed = {name for name in weights if is_packed(weights, name)}
    return CompactWeights(weights, packed) if packed else weights


def is_packed(weights: Weights, name: str) -> bool:
    """Whether a matrix lies there as `pack` leaves it."""
    scale = name + SCALE
    return (
        scale in weights
        and weights.dtype(name) == torch.int8
        and weights.dtype(scale).is_floating_point
        and len(weights.shape(name)) == 2
        and weights.shape(scale) == weights.shape(name)[:1]
    )


class CompactWeights(Weights):
    """Packed weights under their own names and shapes, as the float32 tensors they stand for."""

    def __init__(self, stored: Weights, packed: set[str]):
        super().__init__(stored.folder, stored._tensors)
        self._packed = packed
        self._scales = {name + SCALE for name in packed}

    def __getitem__(self, name: str) -> Tensor:
        tensor = super().__getitem__(name)
        return unpack(tensor, super().__getitem__(name + SCALE)) if name in self._packed else tensor

    def __iter__(self) -> Iterator[str]:
        return (name for name in super().__iter__() if name not in self._scales)

    def __len__(self) -> int:
        return super().__len__() - len(self._scales)

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) and name not in self._scales

    def dtype(self, name: str) -> torch.dtype:
        """The type that reading gives."""
        return torch.float32 if name in self._packed else super().dtype(name)

    def read_into(self, name: str, out: Tensor) -> None:
        """Copy one tensor into `out`, unpacked where it was packed."""
        if name in self._packed:
            out.copy_(self[name])
        else:
            super().read_into(name, out)
