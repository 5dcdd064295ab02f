"""Files written by `torch.save`, read without `torch.load`: zip archives, and the format older than them.

The pickle inside is walked, never run (see pickles.py). What it says of tensors becomes `StoredTensor`s, so `.bin`
files are mapped just as safetensors files are.
"""

from __future__ import annotations

import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import CheckpointError
from ..files.shown import cause, shown
from .pickles import FLOOR, TIMES, Global, Persistent, Record, read_pickle
from .storage import DTYPES as STORED_DTYPES
from .storage import MOST_TENSORS, MappedFile, StoredTensor, Stream, check_name, check_shape

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LARGEST_PICKLE = 256 << 20
DAMAGES = (zipfile.BadZipFile, NotImplementedError, EOFError, struct.error, IndexError)
PER_BYTE = 18  # bytes of memory that a byte of an archive's directory becomes, at most
NUMBERS = ("Double", "Float", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
STORAGES = {f"{name}Storage": getattr(torch, f"{name}Tensor").dtype for name in NUMBERS}
STORAGES["UntypedStorage"] = torch.uint8
DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in STORED_DTYPES.values()}
# How many arguments each takes at least, and at which place its marks and its type stand.
REBUILDERS: dict[str, tuple[int, int | None, int | None]] = {
    "_rebuild_tensor": (4, None, None),
    "_rebuild_tensor_v2": (4, 6, None),
    "_rebuild_tensor_v3": (7, 7, 6),
}


@dataclass(frozen=True)
class _Storage:
    """Numbers in the file: `count` of them from byte `offset` on."""

    offset: int
    dtype: torch.dtype
    count: int


def read_torch(file: MappedFile) -> dict[str, StoredTensor]:
    """Where each tensor of a state dict lies; other values are passed over."""
    path, tree = file.path, read_torch_tree(file)
    if not isinstance(tree, dict):
        raise CheckpointError(f"{path} does not hold a state dict (names mapped to tensors)")
    tensors = {check_name(name, path): value for name, value in tree.items() if isinstance(value, StoredTensor)}
    if not tensors:
        inner = [key for key, value in tree.items() if isinstance(value, dict)]
        raise CheckpointError(f"{path} holds no tensors at its top level, only {shown(inner)}: see `lamina convert`")
    return tensors


def read_torch_tree(file: MappedFile, floor: int = FLOOR) -> Any:
    """The value in a file of `torch.save`, with `StoredTensor`s for tensors and `Record`s for other objects.

    It may take `floor` bytes of memory, or some times the size of a larger file.
    """
    start, allowed = file.read(0, 4), max(floor, TIMES * file.size)
    if start == b"PK\x03\x04":
        root, places = _read_zip(file, allowed)
    elif start[:1] == b"\x80":
        root, places = _read_legacy(file, allowed)
    else:
        raise CheckpointError(f"{file.path} is not a file written by torch.save")
    return _Resolver(file.path, places).resolve(root)


def _read_zip(file: MappedFile, allowed: int) -> tuple[Any, dict[str, _Storage]]:
    entries = _entries(file, allowed)
    pickles = [name for name in entries if name.endswith("/data.pkl") or name == "data.pkl"]
    if len(pickles) != 1:
        raise CheckpointError(f"{file.path} is a zip archive but no checkpoint: it has {len(pickles)} data.pkl")
    root = pickles[0].removesuffix("data.pkl")
    if any(name.startswith(root + "code/") or name == root + "constants.pkl" for name in entries):
        raise CheckpointError(f"{file.path} is a TorchScript program, not a checkpoint")
    order = entries.get(root + "byteorder")
    if order and file.read(*order) != b"little":
        raise CheckpointError(f"{file.path} was written on a big-endian machine, which is not supported")
    start, size = entries[pickles[0]]
    if size > LARGEST_PICKLE:
        raise CheckpointError(f"{file.path}: its pickle of {size:,} bytes is larger than any checkpoint needs")
    references: list[Any] = []
    value = read_pickle(file.read(start, size), str(file.path), allowed, references)
    places: dict[str, _Storage] = {}
    for key, (dtype, count) in _types(references, file.path).items():
        entry = entries.get(f"{root}data/{key}")
        if entry is None:
            raise CheckpointError(f"{file.path} is damaged: the numbers of storage {shown(key)} are not in it")
        if count * dtype.itemsize > entry[1]:
            raise CheckpointError(
                f"{file.path} is damaged: storage {shown(key)} has {entry[1]:,} bytes, not {count * dtype.itemsize:,}"
            )
        places[key] = _Storage(entry[0], dtype, count)
    return value, places


def _entries(file: MappedFile, allowed: int) -> dict[str, tuple[int, int]]:
    """The archive's entries: name -> (first byte, size). Refuses compressed, overlapping and cut-off ones."""
    path = file.path
    try:
        most = max(allowed // PER_BYTE, 1 << 17)  # of its directory; an archive's end is in its last 64 KiB
        with zipfile.ZipFile(Stream(file, most)) as archive:
            infos = archive.infolist()
    except (*DAMAGES, ValueError, OSError) as problem:
        raise CheckpointError(f"{path} is a damaged or cut off archive: {cause(problem)}") from None
    if len(infos) > MOST_TENSORS:
        raise CheckpointError(f"{path} has {len(infos):,} entries; at most {MOST_TENSORS:,} are read")
    entries: dict[str, tuple[int, int]] = {}
    for info in infos:
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size or info.flag_bits & 1:
            raise CheckpointError(
                f"{path}: entry {shown(info.filename)} is compressed or encrypted; torch.save does neither"
            )
        at = info.header_offset
        header = file.read(at, 30)
        if len(header) < 30 or not header.startswith(b"PK\x03\x04"):
            raise CheckpointError(f"{path} is a damaged or cut off archive at {shown(info.filename)}")
        start = at + 30 + sum(struct.unpack("<HH", header[26:30]))
        if info.filename in entries:
            raise CheckpointError(f"{path}: entry {shown(info.filename)} stands there twice")
        entries[info.filename] = (start, info.file_size)
    reached = 0
    for start, size in sorted(entries.values()):
        if start < reached or start + size > file.size:
            raise CheckpointError(f"{path} is damaged: its entries overlap or reach past its end")
        reached = start + size
    return entries


def _read_legacy(file: MappedFile, allowed: int) -> tuple[Any, dict[str, _Storage]]:
    path, where = file.path, str(file.path)
    stream = Stream(file)
    if read_pickle(stream, where) != LEGACY_MAGIC:
        raise CheckpointError(f"{path} is a pickle, but not one that torch.save wrote")
    version, system = read_pickle(stream, where), read_pickle(stream, where)
    if version != 1001 or not isinstance(system, dict) or system.get("little_endian") is not True:
        raise CheckpointError(f"{path} was written by an unknown version of torch.save or on a big-endian machine")
    references: list[Any] = []
    value, keys = read_pickle(stream, where, allowed, references), read_pickle(stream, where)
    if not isinstance(keys, list) or not all(map(_is_key, keys)):
        raise CheckpointError(f"{path} is damaged: its list of storages is not one")
    types = _types(references, path)
    places: dict[str, _Storage] = {}
    at = stream.tell()
    for key in map(str, keys):
        if key not in types:
            raise CheckpointError(f"{path} is damaged: storage {shown(key)} belongs to no tensor")
        dtype, count = types[key]
        stored = file.read(at, 8)
        if len(stored) < 8 or struct.unpack("<q", stored)[0] != count or at + 8 + count * dtype.itemsize > file.size:
            raise CheckpointError(f"{path} is damaged or cut off at storage {shown(key)}. Fetch it again")
        places[key] = _Storage(at + 8, dtype, count)
        at += 8 + count * dtype.itemsize
    for key in types.keys() - places.keys():
        raise CheckpointError(f"{path} is damaged: the numbers of storage {shown(key)} are not in it")
    return value, places


def _types(references: list[Any], path: Path) -> dict[str, tuple[torch.dtype, int]]:
    """The type and length of every storage that a pickle refers to."""
    types: dict[str, tuple[torch.dtype, int]] = {}
    for reference in references:
        dtype, key, count = _reference(reference, path)
        if types.setdefault(key, (dtype, count)) != (dtype, count):
            raise CheckpointError(f"{path} is damaged: storage {shown(key)} has two sizes")
    return types


def _reference(reference: Any, path: Path) -> tuple[torch.dtype, str, int]:
    """A storage as the pickle refers to it: ("storage", its type, its key, its device, its length, ...)."""
    if isinstance(reference, tuple) and len(reference) >= 5 and reference[0] == "storage":
        _, kind, key, _, count = reference[:5]
        dtype = STORAGES.get(kind.name) if isinstance(kind, Global) and kind.module.startswith("torch") else None
        view = reference[5] if len(reference) > 5 else None
        if dtype and _is_key(key) and type(count) is int and 0 <= count < 2**48 and view is None:
            return dtype, str(key), count
    raise CheckpointError(f"{path} refers to numbers in a way torch.save does not: {shown(reference)}")


def _is_key(key: Any) -> bool:
    """Whether a storage may be called so: text, or the number that was its address."""
    return isinstance(key, str) or (isinstance(key, int) and 0 <= key < 2**64)


class _Resolver:
    """Turns the pickle's tensor records into StoredTensors, in place, through containers of the usual depth."""

    def __init__(self, path: Path, places: dict[str, _Storage]):
        self.path, self.places = path, places
        self.done: dict[int, Any] = {}  # objects met before, so that sharing costs nothing and loops end

    def resolve(self, value: Any, depth: int = 0) -> Any:
        if id(value) in self.done:
            return self.done[id(value)]
        if isinstance(value, Record):
            self.done[id(value)] = value
            self.done[id(value)] = self.tensor(value, depth)
            return self.done[id(value)]
        if depth < 8 and isinstance(value, dict):
            copy = self.done[id(value)] = {}
            copy.update((key, self.resolve(item, depth + 1)) for key, item in value.items())
            return copy
        return value

    def tensor(self, record: Record, depth: int) -> Any:
        kind, args = record.what.name, record.args
        if kind in ("_rebuild_parameter", "_rebuild_parameter_with_state") and args and depth < 16:
            return self.resolve(args[0], depth + 1)
        least, marks, dtype = REBUILDERS.get(kind, (0, None, None))
        if not least or len(args) < least:
            return record
        if marks and any(args[marks : marks + 1]):  # such as {"neg": True}: it stands for other numbers than are stored
            raise CheckpointError(f"{self.path} marks a tensor in a way that is not understood: {shown(args[marks])}")
        return self.stored((*args[:4], args[dtype] if dtype else None))

    def stored(self, described: tuple[Any, ...]) -> StoredTensor:
        storage, start, shape, strides, dtype = described
        shape, strides = (item.args[0] if isinstance(item, Record) and item.args else item for item in (shape, strides))
        sizes, steps = check_shape(shape, "of a pickle", self.path), check_shape(strides, "of a pickle", self.path)
        if not isinstance(storage, Persistent) or type(start) is not int or start < 0 or len(sizes) != len(steps):
            raise CheckpointError(f"{self.path} describes a tensor in a way torch.save does not")
        source = self.places[_reference(storage.key, self.path)[1]]
        if dtype is not None:
            named = DTYPES.get(dtype.name) if isinstance(dtype, Global) else None
            if named is None:
                told = str(dtype) if isinstance(dtype, Global) else dtype
                raise CheckpointError(f"{self.path} has a tensor of the unknown type {shown(told)}")
            source = _Storage(source.offset, named, source.count // named.itemsize)
        stored = StoredTensor(source.offset + start * source.dtype.itemsize, source.dtype, sizes, steps)
        if stored.count == 0:
            return StoredTensor(source.offset, source.dtype, sizes)
        last = start + sum((size - 1) * step for size, step in zip(sizes, steps, strict=True))
        if last >= source.count or stored.count > source.count:
            raise CheckpointError(f"{self.path} is damaged: a tensor of shape {list(sizes)} reaches past its storage")
        plain = StoredTensor(stored.offset, stored.dtype, sizes)
        return plain if steps == torch.empty(sizes, device="meta").stride() else stored
