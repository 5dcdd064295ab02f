"""Tensors lying in a file: where each one is, and the two ways to get it, mapped or read into memory of one's own."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import CheckpointError

BLOCK = 8 << 20  # bytes read at a time where a tensor is cast or transposed on its way in
LONGEST_NAME = 1024
MOST_TENSORS = 1_000_000
LONGEST_AXIS = 2**31 - 1


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of a file: its bytes start at `offset`; `strides` is None where they lie in C order."""

    offset: int
    dtype: torch.dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None = None

    @property
    def count(self) -> int:
        """How many numbers it has."""
        count = 1
        for size in self.shape:
            count *= size
        return count

    @property
    def nbytes(self) -> int:
        """How many bytes they take."""
        return self.count * self.dtype.itemsize


class MappedFile:
    """A file opened once: mapped copy-on-write for tensors used as they are, read plainly for the others.

    Tensors keep the mapping alive, so closing early is safe; replacing the file by renaming another over it is too.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by close()
        except OSError as problem:
            raise CheckpointError(f"{path} cannot be opened: {problem.strerror or problem}") from problem
        try:
            self.size = os.fstat(self._file.fileno()).st_size
            self.map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_COPY)
        except (OSError, ValueError) as problem:
            self._file.close()
            raise CheckpointError(f"{path} cannot be mapped: {problem if self.size else 'it is empty'}") from problem

    def mapped(self, stored: StoredTensor) -> Tensor:
        """The tensor as a view of the mapped file: no memory is taken until it is touched."""
        if stored.count == 0:
            return torch.empty(stored.shape, dtype=stored.dtype)
        flat = torch.frombuffer(self.map, dtype=stored.dtype, count=_span(stored), offset=stored.offset)
        tensor = flat.view(stored.shape) if stored.strides is None else flat.as_strided(stored.shape, stored.strides)
        aligned = tensor.data_ptr() % stored.dtype.itemsize == 0
        return tensor if aligned else tensor.clone()

    def read_into(self, stored: StoredTensor, out: Tensor) -> None:
        """Fill `out` (same shape, any dtype and strides) block by block, leaving no page of the file mapped."""
        if stored.count == 0:
            return
        if stored.strides is not None or not stored.shape:
            out.copy_(self.mapped(stored))
            return
        direct = out.dtype == stored.dtype and out.is_contiguous() and out.device.type == "cpu"
        rows, row_bytes = stored.shape[0], stored.nbytes // stored.shape[0]
        step = rows if direct else max(1, BLOCK // row_bytes)
        for start in range(0, rows, step):
            part = out[start : start + step]
            block = part if direct else torch.empty(part.shape, dtype=stored.dtype)
            self._fill(block, stored.offset + start * row_bytes)
            if not direct:
                part.copy_(block)

    def _fill(self, block: Tensor, offset: int) -> None:
        view = block.detach().reshape(-1).view(torch.uint8).numpy().data
        self._file.seek(offset)
        while view:
            got = self._file.readinto(view[: 1 << 30])
            if not got:
                raise CheckpointError(f"{self.path} became shorter while it was read")
            view = view[got:]

    def close(self) -> None:
        """Give the file back; tensors already mapped stay valid."""
        self._file.close()


class Weights(Mapping[str, Tensor]):
    """The tensors of a checkpoint by the names it gives them, each read when asked for.

    `weights[name]` is mapped; names, shapes and types are known without touching any of it.
    """

    def __init__(self, folder: Path, tensors: Mapping[str, tuple[MappedFile, StoredTensor]]):
        self.folder = folder
        self._tensors = dict(tensors)

    def __getitem__(self, name: str) -> Tensor:
        file, stored = self._tensors[name]
        return file.mapped(stored)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __contains__(self, name: object) -> bool:
        return name in self._tensors

    def shape(self, name: str) -> tuple[int, ...]:
        """The tensor's shape."""
        return self._tensors[name][1].shape

    def dtype(self, name: str) -> torch.dtype:
        """The tensor's type on disk."""
        return self._tensors[name][1].dtype

    def path(self, name: str) -> Path:
        """The file it lies in, for messages."""
        return self._tensors[name][0].path

    def location(self, name: str) -> tuple[Path, int]:
        """The file and byte it starts at: equal for tensors that share memory."""
        file, stored = self._tensors[name]
        return file.path, stored.offset

    def read_into(self, name: str, out: Tensor) -> None:
        """Copy one tensor into `out` without mapping it, cast to `out`'s type."""
        file, stored = self._tensors[name]
        file.read_into(stored, out)

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors together, those that share memory counted once."""
        sizes: dict[tuple[Path, int], int] = {}
        for name, (_, stored) in self._tensors.items():
            at = self.location(name)
            sizes[at] = max(stored.nbytes, sizes.get(at, 0))
        return sum(sizes.values())

    @property
    def floating_dtype(self) -> torch.dtype:
        """The floating type most of the bytes are in; float32 where there is none."""
        sizes: dict[torch.dtype, int] = {}
        for _, stored in self._tensors.values():
            if stored.dtype.is_floating_point:
                sizes[stored.dtype] = sizes.get(stored.dtype, 0) + stored.nbytes
        return max(sizes, key=sizes.__getitem__, default=torch.float32)

    def close(self) -> None:
        """Close the files; tensors handed out stay valid."""
        for file in {id(file): file for file, _ in self._tensors.values()}.values():
            file.close()

    def __enter__(self) -> Weights:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Weights({str(self.folder)!r}, {len(self)} tensors, {self.nbytes:,} bytes)"


def check_name(name: Any, path: Path) -> str:
    """A tensor's name as found in a file: text of sane length."""
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
        shown = repr(name)[:60]
        raise CheckpointError(f"{path}: {shown} is no name of a tensor (text of 1 to {LONGEST_NAME} characters)")
    return name


def check_shape(shape: Any, name: str, path: Path) -> tuple[int, ...]:
    """A tensor's shape as found in a file: at most eight axes of sane length."""
    sizes = tuple(shape) if isinstance(shape, (list, tuple)) else (None,)
    plain = all(isinstance(size, int) and not isinstance(size, bool) and 0 <= size <= LONGEST_AXIS for size in sizes)
    if not plain or len(sizes) > 8:
        raise CheckpointError(f"{path}: tensor {name!r} has the impossible shape {repr(shape)[:80]}")
    return sizes


def _span(stored: StoredTensor) -> int:
    if stored.strides is None:
        return stored.count
    return 1 + sum((size - 1) * stride for size, stride in zip(stored.shape, stored.strides, strict=True))
