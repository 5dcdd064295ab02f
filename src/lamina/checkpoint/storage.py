"""Tensors in a file: where each one is, and the two ways to get it, mapped or read into memory of one's own.

The header of safetensors (https://huggingface.co/docs/safetensors) is checked more strictly than the format's own
library does: it lets the same name stand twice, and axes of any length where another is zero.
"""

from __future__ import annotations

import io
import math
import mmap
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import CheckpointError
from ..files.jsonfile import parse_json
from ..files.paths import open_regular
from ..files.shown import cause, shown
from .pickles import LARGEST_VALUE

BLOCK = 8 << 20  # bytes read at a time where a tensor is cast or transposed on its way in
LONGEST_NAME = 1024
MOST_TENSORS = 1_000_000
LONGEST_AXIS = 2**31 - 1
LONGEST_HEADER = 100_000_000
LARGEST_OFFSET = 1 << 128  # beyond any file, yet short enough to be told in a message
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of a file: its bytes start at `offset`; `strides` is None where they lie in C order."""

    offset: int
    dtype: torch.dtype
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None = None

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
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
        return self._file.read(min(size, self.size - offset)) or b""

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

    def __enter__(self) -> MappedFile:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class Stream(io.BufferedReader):
    """A file read from start to end; no value of it may be longer than `most` bytes."""

    def __init__(self, file: MappedFile, most: int = LARGEST_VALUE):
        super().__init__(io.FileIO(file._file.fileno(), closefd=False))
        self.size, self.most = file.size, most
        self.seek(0)

    def read(self, size: int | None = -1) -> bytes:
        """The next `size` bytes, fewer at the end of the file; ValueError for more than may be wanted at once."""
        if size is None or not 0 <= size <= self.most:
            left = self.size - self.tell()
            size = left if size is None or size < 0 else min(size, left)
        if size > self.most:
            raise ValueError(f"it holds one value of {size:,} bytes")
        return super().read(size)

    def readline(self, size: int | None = -1) -> bytes:
        return super().readline(self.most)


class Weights(Mapping[str, Tensor]):
    """The tensors of a checkpoint by the names it gives them, each read when asked for.

    `weights[name]` is mapped; names, shapes and types are known without touching any of it.
    """

    def __init__(self, folder: Path, tensors: Mapping[str, tuple[MappedFile, StoredTensor]], nbytes: int | None = None):
        self.folder, self.tensors, self._nbytes, self._scratch = folder, tensors, nbytes, Scratch()

    def __getitem__(self, name: str) -> Tensor:
        file, stored = self.tensors[name]
        return file.mapped(stored)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    def __contains__(self, name: object) -> bool:
        return name in self.tensors

    def shape(self, name: str) -> tuple[int, ...]:
        return self.tensors[name][1].shape

    def dtype(self, name: str) -> torch.dtype:
        return self.tensors[name][1].dtype

    def path(self, name: str) -> Path:
        return self.tensors[name][0].path

    def location(self, name: str) -> tuple[Path, int]:
        """The file and byte it starts at: equal for tensors that share memory."""
        file, stored = self.tensors[name]
        return file.path, stored.offset

    def read_into(self, name: str, out: Tensor) -> None:
        """Copy one tensor into `out` without mapping it, cast to `out`'s type."""
        file, stored = self.tensors[name]
        file.read_into(stored, out, self._scratch)

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors together, those that share memory counted once."""
        if self._nbytes is not None:
            return self._nbytes
        sizes: dict[tuple[Path, int], int] = {}
        for name, (_, stored) in self.tensors.items():
            at = self.location(name)
            sizes[at] = max(stored.nbytes, sizes.get(at, 0))
        return sum(sizes.values())

    def close(self) -> None:
        """Close the files; tensors handed out stay valid."""
        for file in {id(file): file for file, _ in self.tensors.values()}.values():
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
        raise CheckpointError(
            f"{path}: {shown(name)} is not the name of a tensor (text of 1 to {LONGEST_NAME} characters)"
        )
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


def read_safetensors(file: MappedFile) -> dict[str, StoredTensor]:
    """Where each tensor lies, after checking the whole header; no tensor is touched."""
    path = file.path
    header, start = _header(file)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise CheckpointError(f"{path}: __metadata__ must map text to text")
    if len(header) > MOST_TENSORS:
        raise CheckpointError(f"{path} lists {len(header):,} tensors; at most {MOST_TENSORS:,} are read")
    tensors = {}
    extents = []
    for name in list(header):
        stored, end = _entry(check_name(name, path), header.pop(name), path, start)
        tensors[name] = stored
        extents.append((stored.offset, end, name))
    _check_coverage(extents, start, file)
    return tensors


def _header(file: MappedFile) -> tuple[dict[str, Any], int]:
    path = file.path
    if file.size < 8:
        raise CheckpointError(f"{path} is cut off: {file.size} bytes, too few for a safetensors header")
    (length,) = struct.unpack("<Q", file.read(0, 8))
    if length > LONGEST_HEADER:
        raise CheckpointError(f"{path} is not a safetensors file, or damaged: its header claims {length:,} bytes")
    if length > file.size - 8:
        raise CheckpointError(f"{path} is cut off: the header needs {length:,} bytes, {file.size - 8:,} are there")
    text = file.read(8, length)
    if not text.startswith(b"{"):
        raise CheckpointError(f"{path}: the safetensors header does not start with '{{'")
    header = parse_json(text, f"{path} (header)", CheckpointError)
    return header, 8 + length


def _entry(name: str, entry: Any, path: Path, start: int) -> tuple[StoredTensor, int]:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(f"{path}: the header's entry for {shown(name)} is malformed")
    dtype = DTYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    if dtype is None:
        raise CheckpointError(f"{path}: tensor {shown(name)} has the unknown type {shown(entry['dtype'])}")
    offsets = entry["data_offsets"]
    plain = isinstance(offsets, list) and all(type(at) is int and 0 <= at < LARGEST_OFFSET for at in offsets)
    if not plain or len(offsets) != 2:
        raise CheckpointError(f"{path}: tensor {shown(name)} has impossible offsets")
    stored = StoredTensor(start + offsets[0], dtype, check_shape(entry["shape"], name, path))
    if offsets[1] - offsets[0] != stored.nbytes:
        raise CheckpointError(
            f"{path}: tensor {shown(name)} of shape {list(stored.shape)} needs {stored.nbytes:,} bytes, "
            f"the header gives it {offsets[1] - offsets[0]:,}"
        )
    return stored, start + offsets[1]


def _check_coverage(extents: list[tuple[int, int, str]], start: int, file: MappedFile) -> None:
    reached = start
    for begin, end, name in sorted(extents):
        if begin != reached:
            problem = "overlaps the one before it" if begin < reached else "leaves a hole before it"
            raise CheckpointError(f"{file.path}: tensor {shown(name)} {problem}")
        reached = end
    if reached > file.size:
        raise CheckpointError(f"{file.path} is cut off: {file.size:,} bytes of {reached:,}. Fetch it again")
    if reached < file.size:
        raise CheckpointError(f"{file.path} has {file.size - reached:,} bytes after its last tensor")
