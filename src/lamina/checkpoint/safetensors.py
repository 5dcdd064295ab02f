"""The safetensors format: eight bytes of length, a JSON header, then the tensors end to end.

The header is checked more strictly than the format's own library does: it lets the same name stand twice, and
axes of any length where another is zero. Writing streams one tensor at a time, so that views (transposed, split)
cost no memory before their turn. Format: https://huggingface.co/docs/safetensors.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from ..errors import CheckpointError
from ..files.jsonfile import parse_json
from ..files.shown import shown
from .storage import MOST_TENSORS, MappedFile, StoredTensor, check_name, check_shape

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
NAMES = {dtype: name for name, dtype in DTYPES.items()}


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


def write_safetensors(file: BinaryIO, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a file, widest types first so that every tensor is aligned; equal input gives equal bytes."""
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    reached = 0
    for name in order:
        tensor = tensors[name]
        if tensor.dtype not in NAMES:
            raise CheckpointError(f"tensor {shown(name)} has type {tensor.dtype}, which safetensors cannot hold")
        end = reached + tensor.numel() * tensor.dtype.itemsize
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [reached, end]}
        reached = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
    for name in order:
        plain = tensors[name].detach().cpu().contiguous().reshape(-1)
        file.write(plain.view(torch.uint8).numpy().data if plain.numel() else b"")
