"""Writing a checkpoint, as safetensors or `.bin`, whole or in shards: a failed save leaves the old one intact."""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch
from torch import Tensor

from ..errors import CheckpointError
from ..files.atomic import staged
from ..files.paths import local_path
from ..files.shown import shown
from .storage import DTYPES, check_data

NAMES = {dtype: name for name, dtype in DTYPES.items()}
UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
VARIANT = re.compile(r"[A-Za-z0-9_-]{1,40}", re.ASCII)
SHARD_SIZE = re.compile(r"(\d{1,12}) ?([A-Za-z]{2,3})", re.ASCII)


class Naming(NamedTuple):
    """How the files of one form of weights are called; "*" stands for the number of a shard."""

    single: str
    index_file: str
    shards: str
    older_shards: str  # the variant behind the number


def namings(variant: str | None) -> list[Naming]:
    """Those of safetensors and of `.bin`; CheckpointError for a variant that no file could have."""
    if variant is not None and not (isinstance(variant, str) and VARIANT.fullmatch(variant)):
        raise CheckpointError(f"{shown(variant)} is not a variant of weights, such as 'fp16'")
    of = f".{variant}" if variant else ""
    forms = (("model", "safetensors"), ("pytorch_model", "bin"))
    return [Naming(f"{a}{of}.{b}", f"{a}.{b}.index{of}.json", f"{a}{of}-*.{b}", f"{a}-*{of}.{b}") for a, b in forms]


def save_weights(
    folder: str | Path,
    tensors: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]],
    *,
    safe_serialization: bool = True,
    max_shard_size: int | str = "5GB",
    metadata: Mapping[str, str] | None = None,
    variant: str | None = None,
) -> list[Path]:
    """Write a checkpoint into a folder and give the files written, index last.

    Everything is written aside and moved when it is complete; shards of an earlier save go with that. Tensors may
    be views, as long as no two share memory: tied ones are stored once, under one name.
    """
    folder = local_path(folder, CheckpointError)
    items = dict(tensors)
    _check(items)
    safe, pickled = namings(variant)
    naming = safe if safe_serialization else pickled
    shards = _split(items, shard_bytes(max_shard_size))
    names = [naming.shards.replace("*", f"{i:05d}-of-{len(shards):05d}") for i in range(1, len(shards) + 1)]
    names = [naming.single] if len(shards) == 1 else names
    with staged(folder, CheckpointError) as new:
        for name, shard in zip(names, shards, strict=True):
            with open(new(name), "wb") as file:
                if safe_serialization:
                    write_safetensors(file, shard, {"format": "pt"} if metadata is None else metadata)
                else:
                    _save_torch(shard, file)
        if len(shards) > 1:
            total = sum(tensor.numel() * tensor.element_size() for tensor in items.values())
            weight_map = {key: name for name, shard in zip(names, shards, strict=True) for key in shard}
            index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
            names.append(naming.index_file)
            new(names[-1]).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
        for older in (safe, naming):  # safetensors would be read before a `.bin`
            numbered = re.compile(re.escape(older.shards).replace(r"\*", r"\d{5}-of-\d{5}"), re.ASCII)
            for name in (older.single, older.index_file, *filter(numbered.fullmatch, os.listdir(folder))):
                new.drop(name)
    return [folder / name for name in names]


def shard_bytes(size: int | str) -> int:
    """A shard's size in bytes, from a number or text such as "5GB" or "512MiB"."""
    if isinstance(size, int) and not isinstance(size, bool) and size > 0:
        return size
    match = SHARD_SIZE.fullmatch(size.strip()) if isinstance(size, str) else None
    if match is None or match[2].upper() not in UNITS or int(match[1]) == 0:
        raise CheckpointError(f"max_shard_size must be a number of bytes or text such as '5GB', not {shown(size)}")
    return int(match[1]) * UNITS[match[2].upper()]


def _check(tensors: Mapping[str, Tensor]) -> None:
    if not tensors:
        raise CheckpointError("there are no tensors to save")
    extents = []
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise CheckpointError(f"{shown(name)} is not the name of a tensor: {type(tensor).__name__}")
        check_data(tensor, name)
        if tensor.numel():
            span = 1 + sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))
            begin = tensor.data_ptr()
            extents.append((str(tensor.device), begin, begin + span * tensor.element_size(), name))
    extents.sort()
    for (device, _, end, name), (other_device, begin, _, other) in pairwise(extents):
        if device == other_device and begin < end:
            raise CheckpointError(
                f"tensors {shown(name)} and {shown(other)} share memory: save one of them, or a clone"
            )


def _split(tensors: Mapping[str, Tensor], limit: int) -> list[dict[str, Tensor]]:
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        nbytes = tensor.numel() * tensor.element_size()
        if shards[-1] and size + nbytes > limit:
            shards.append({})
            size = 0
        shards[-1][name] = tensor
        size += nbytes
    return shards


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


def _save_torch(tensors: Mapping[str, Tensor], file: BinaryIO) -> None:
    """Write a `.bin`; torch tells of a full disk as a RuntimeError about its own positions."""
    try:
        torch.save({key: _own(tensor) for key, tensor in tensors.items()}, file)
    except RuntimeError as problem:
        if isinstance(problem.__context__, OSError):
            raise problem.__context__ from None
        raise


def _own(tensor: Tensor) -> Tensor:
    """A tensor that fills its storage, since torch.save writes the storage whole."""
    plain = tensor.detach().cpu().contiguous()
    whole = plain.untyped_storage().nbytes() == plain.numel() * plain.element_size()
    return plain if whole else plain.clone()
