"""Tensors lying in a file: where each one is, and the two ways to get it, mapped or read into memory of one's own."""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import CheckpointError
from ..files.paths import open_regular
from ..files.shown import cause, shown
from .pickles import LARGEST_VALUE

BLOCK = 8 << 20  # bytes read at a time where a tensor is cast or transposed on its way in
LONGEST_NAME = 1024
MOST_TENSORS = 1_000_000
LONGEST_AXIS = 2**31 - 1


@dataclass(frozen=True, slots=True)
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


class Scratch:
    """Memory for blocks on their way in, kept from one to the next: fresh ones would leave the heap in pieces."""

    def __init__(self) -> None:
        self.memory = torch.empty(0, dtype=torch.uint8)

    def take(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """A tensor to fill, valid until the next is taken."""
        size = math.prod(shape) * dtype.itemsize
        if self.memory.numel() < size:
            self.memory = torch.empty(max(size, BLOCK), dtype=torch.uint8)
        return self.memory[:size].view(dtype).view(tuple(shape))


class MappedFile:
    """A file opened once: mapped copy-on-write for tensors used as they are, read plainly for the others.

    Tensors keep the mapping alive, so closing early is safe; replacing the file by renaming another over it is too.
    """

    def __init__(self, path: Path):
        self.path = path
        self._file = open_regular(path, CheckpointError)
        self.size = os.fstat(self._file.fileno()).st_size
        self._map: mmap.mmap | None = None
        if self.size == 0:
            self._file.close()
            raise CheckpointError(f"{path} is empty")

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset` on, fewer where the file ends; not by the map, whose pages would stay."""
        if not 0 <= offset < self.size:
            return b""
        self._file.seek(offset)
        chunks = []
        while size > 0 and (chunk := self._file.read(min(size, 1 << 30))):
            chunks.append(chunk)
            size -= len(chunk)
        return b"".join(chunks)

    def stream(self) -> Stream:
        """The file from its start, for readers that go through it once."""
        return Stream(self)

    def mapped(self, stored: StoredTensor) -> Tensor:
        """The tensor as a view of the mapped file: no memory is taken until it is touched."""
        if stored.count == 0:
            return torch.empty(stored.shape, dtype=stored.dtype)
        if self._map is None:
            self._map = self._open_map()
        flat = torch.frombuffer(self._map, dtype=stored.dtype, count=_span(stored), offset=stored.offset)
        tensor = flat.view(stored.shape) if stored.strides is None else flat.as_strided(stored.shape, stored.strides)
        aligned = tensor.data_ptr() % stored.dtype.itemsize == 0
        return tensor if aligned else tensor.clone()

    def _open_map(self) -> mmap.mmap:
        try:
            return mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_COPY)
        except (OSError, ValueError) as problem:
            raise CheckpointError(f"{self.path} cannot be mapped: {cause(problem)}") from problem

    def read_into(self, stored: StoredTensor, out: Tensor, scratch: Scratch) -> None:
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
            block = part if direct else scratch.take(part.shape, stored.dtype)
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


class Stream:
    """A file read from start to end through a buffer of its own."""

    def __init__(self, file: MappedFile, most: int = LARGEST_VALUE):
        self.file, self.at, self.most = file, 0, most
        self.buffer, self.start = b"", 0

    def read(self, size: int = -1) -> bytes:
        """The next `size` bytes, fewer at the end of the file; ValueError for more than may be wanted at once."""
        size = min(size, self.file.size - self.at) if size >= 0 else self.file.size - self.at
        if size > self.most:
            raise ValueError(f"it holds one value of {size:,} bytes")
        if self.at < self.start or self.at + size > self.start + len(self.buffer):
            self.buffer, self.start = self.file.read(self.at, max(size, 1 << 16)), self.at
        begin = self.at - self.start
        self.at += size
        return self.buffer[begin : begin + size]

    def readline(self) -> bytes:
        """Up to and with the next line feed."""
        begin, size = self.at, 256
        while True:
            line = self.read(size)
            end = line.find(b"\n") + 1 or len(line)
            if end < size or line.endswith(b"\n"):
                self.at = begin + end
                return line[:end]
            self.at, size = begin, size * 16

    def tell(self) -> int:
        """Where the next byte comes from."""
        return self.at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go elsewhere: counted from the start, from here or from the end."""
        at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.at, os.SEEK_END: self.file.size}[whence]
        if at < 0:
            raise ValueError("a place before the start of the file")
        self.at = min(at, self.file.size)
        return self.at


class Weights(Mapping[str, Tensor]):
    """The tensors of a checkpoint by the names it gives them, each read when asked for.

    `weights[name]` is mapped; names, shapes and types are known without touching any of it.
    """

    def __init__(self, folder: Path, tensors: Mapping[str, tuple[MappedFile, StoredTensor]]):
        self.folder = folder
        self._tensors = dict(tensors)
        self._scratch = Scratch()

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
        file.read_into(stored, out, self._scratch)

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
        raise CheckpointError(f"{path}: {shown(name)} is no name of a tensor (text of 1 to {LONGEST_NAME} characters)")
    return name


def check_shape(shape: Any, name: str, path: Path) -> tuple[int, ...]:
    """A tensor's shape as found in a file: at most eight axes of sane length."""
    sizes = tuple(shape) if isinstance(shape, (list, tuple)) else (None,)
    plain = all(isinstance(size, int) and not isinstance(size, bool) and 0 <= size <= LONGEST_AXIS for size in sizes)
    if not plain or len(sizes) > 8:
        raise CheckpointError(f"{path}: tensor {shown(name)} has the impossible shape {shown(shape)}")
    return sizes


def check_data(tensor: Tensor, name: str) -> None:
    """Refuse a tensor in memory whose numbers do not lie there one by one."""
    if tensor.is_meta or tensor.layout is not torch.strided or tensor.is_quantized:
        kind = "quantized" if tensor.is_quantized else f"{tensor.layout} on {tensor.device}"
        raise CheckpointError(f"tensor {shown(name)} has no plain data ({kind})")


def _span(stored: StoredTensor) -> int:
    if stored.strides is None:
        return stored.count
    return 1 + sum((size - 1) * stride for size, stride in zip(stored.shape, stored.strides, strict=True))
