"""Matrices at a quarter or an eighth of their size: small integers and the scales that turn them back.

Of a matrix `name` with rows of outputs, two forms can be stored, both read back as float32:

int8   `name` int8 [rows, columns] and `name.scale` float32 [rows]: `weight[i, j] = name[i, j] * scale[i]`; a row's
       largest entry becomes 127 or -127.
int4   `name` uint8 [rows, columns / 2], two codes of 0 to 15 to a byte, the earlier in the low half, and
       `name.scale`, `name.zero` bfloat16 [rows, columns / group]: `weight = (code - 8) * scale + zero` in each group of
       columns.

A matrix that the checkpoint keeps transposed has its codes and scales transposed with it (int8: `name.scale` is
[1, columns] then). All other tensors are stored as they are.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .storage import MappedFile, Scratch, StoredTensor, Weights

SCALE, ZERO = ".scale", ".zero"
LARGEST = 127  # -128 stays unused, so that a row's range is the same on both sides of zero
CLIPS = (1.0, 0.95, 0.9, 0.85, 0.8)  # shares of a group's range that int4 tries to spend its 16 steps on
ROWS_AT_ONCE = 1024  # of a matrix being packed, so that little memory is taken beside it


def int8_codes(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Codes and scales of a matrix [rows, columns]; the codes of what `unpack` made are the ones it was made from."""
    codes = torch.empty(matrix.shape, dtype=torch.int8, device=matrix.device)
    scale = torch.empty(len(matrix), device=matrix.device)
    for rows, own, steps in zip(*(t.split(ROWS_AT_ONCE) for t in (matrix, codes, scale)), strict=True):
        torch.amax(rows.float().abs(), 1, out=steps).div_(LARGEST)
        steps[steps == 0] = 1  # a row of zeros
        own.copy_((rows.float() / steps[:, None]).round_())
    return codes, scale


def int4_codes(matrix: Tensor, group: int) -> tuple[Tensor, Tensor, Tensor]:
    """Codes [rows, columns], scales and zeros [rows, columns / group] that come nearest to a matrix.

    Outliers are cut where that brings the rest of their group nearer.
    """
    parts = [_int4_rows(rows.float(), group) for rows in matrix.split(ROWS_AT_ONCE)]
    codes, scale, zero = (torch.cat(part) for part in zip(*parts, strict=True))
    return codes, scale, zero


def _int4_rows(rows: Tensor, group: int) -> tuple[Tensor, Tensor, Tensor]:
    x = rows.unflatten(1, (-1, group))
    low, high = x.amin(-1), x.amax(-1)
    center, half = (low + high) / 2, (high - low) / 2
    best: list[Tensor] = []
    for clip in CLIPS:
        scale = (half * clip * 2 / 15).bfloat16()
        scale[scale == 0] = 1
        zero = (center - half * clip + 8 * scale.float()).bfloat16()
        codes = ((x - zero.float()[..., None]) / scale.float()[..., None]).round_().add_(8).clamp_(0, 15)
        error = (unpack_int4(codes.flatten(1), scale, zero).view_as(x) - x).square_().sum(-1)
        found = [codes, scale, zero, error]
        if best:
            nearer = error < best[3]
            found = [
                torch.where(nearer[..., None] if new.dim() == 3 else nearer, new, old)
                for new, old in zip(found, best, strict=True)
            ]
        best = found
    return best[0].flatten(1).to(torch.uint8), best[1], best[2]


def unpack(matrix: Tensor, scale: Tensor) -> Tensor:
    """The float32 matrix that int8 `matrix` [rows, columns] and `scale` [rows] or [1, columns] stand for."""
    return matrix.float().mul_(scale.float()[:, None] if scale.dim() == 1 else scale.float())


def unpack_int4(codes: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    """The float32 matrix that codes [rows, columns] stand for, `scale` and `zero` being [rows, columns / group]."""
    x: Tensor = codes.unflatten(1, (scale.shape[1], -1)).float() - 8
    return x.mul_(scale.float()[..., None]).add_(zero.float()[..., None]).flatten(1)


def joined(codes: Tensor) -> Tensor:
    """Two codes to a byte: [rows, columns] to [rows, columns / 2]."""
    return codes[:, ::2] | codes[:, 1::2] << 4


def parted(stored: Tensor) -> Tensor:
    return torch.stack([stored & 15, stored >> 4], -1).flatten(1)


def pack(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors to store: every floating matrix as int8 and scales."""
    packed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.dim() != 2 or not tensor.is_floating_point():
            packed[name] = tensor
        else:
            packed[name], packed[name + SCALE] = int8_codes(tensor)
    return packed


class _Packed(MappedFile):
    """One packed matrix behind the face of a file: read as the float32 numbers it stands for."""

    def __init__(self, parts: Mapping[str, tuple[MappedFile, StoredTensor]]):
        self.parts, self.path = parts, parts[""][0].path

    def mapped(self, stored: StoredTensor) -> Tensor:
        codes, scale, *zero = (file.mapped(part) for file, part in self.parts.values())
        if not zero:
            return unpack(codes, scale)
        if stored.shape == (len(codes), 2 * codes.shape[1]) and len(scale) == len(codes):
            return unpack_int4(parted(codes), scale, *zero)
        return unpack_int4(parted(codes.T), scale.T, zero[0].T).T

    def read_into(self, stored: StoredTensor, out: Tensor, scratch: Scratch) -> None:
        out.copy_(self.mapped(stored))

    def close(self) -> None:
        for file, _ in self.parts.values():
            file.close()


def unpacked(weights: Weights) -> Weights:
    """`weights`, or where some of them are packed, all of them as the tensors they stand for.

    No matrix counts less than a byte for each of its numbers in `nbytes`, which is how large a model may be beside it.
    """
    packed = {name: shape for name in weights if (shape := packed_shape(weights, name))}
    if not packed:
        return weights
    tensors, nbytes = dict(weights.tensors), weights.nbytes
    for name, shape in packed.items():
        suffixes = ("", SCALE, ZERO) if weights.dtype(name) == torch.uint8 else ("", SCALE)
        parts = {suffix: tensors.pop(name + suffix) for suffix in suffixes}
        tensors[name] = _Packed(parts), StoredTensor(parts[""][1].offset, torch.float32, shape)
        nbytes += shape[0] * shape[1] // 2 if len(parts) > 2 else 0
    return Weights(weights.folder, tensors, nbytes)


def packed_shape(weights: Weights, name: str) -> tuple[int, int] | None:
    """The shape of the matrix that is stored in one of the two forms under `name`; None where none is."""
    scale = name + SCALE
    sizes = weights.shape(name)
    if scale not in weights or not weights.dtype(scale).is_floating_point or len(sizes) != 2:
        return None
    rows, columns = sizes
    scales = weights.shape(scale)
    if weights.dtype(name) == torch.int8:
        return (rows, columns) if scales in ((rows,), (1, columns)) else None
    if weights.dtype(name) != torch.uint8 or name + ZERO not in weights or weights.shape(name + ZERO) != scales:
        return None
    if len(scales) != 2 or 0 in scales:
        return None
    if scales[0] == rows and 2 * columns % scales[1] == 0:
        return (rows, 2 * columns)
    return (2 * rows, columns) if scales[1] == columns and 2 * rows % scales[0] == 0 else None
