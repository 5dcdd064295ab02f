"""Malformed and hostile files, each with what the refusal must say."""

from __future__ import annotations

import collections
import io
import json
import os
import pickle
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch


class Attack:
    """An object whose pickle runs a command when it is loaded in the usual way."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def header(entries: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(begin: int, end: int, shape: list[Any] | None = None, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": [(end - begin) // 4] if shape is None else shape, "data_offsets": [begin, end]}


SAFETENSORS: dict[str, tuple[bytes, str]] = {
    "empty file": (b"", "empty"),
    "cut off in the length": (b"\x01\x02", "cut off"),
    "header longer than the file": (header({}, length=1000), "cut off"),
    "header of 2^62 bytes": (header({}, length=2**62), "not a safetensors file"),
    "header that is no JSON": (header(b"{'a': 1}"), "not valid JSON"),
    "header that is no object": (header(b"[1, 2]"), "does not start"),
    "header 100,000 levels deep": (header(b'{"a":' * 100_000), "too deeply"),
    "header that is no UTF-8": (header(b'{"\xff": 1}'), "not valid JSON"),
    "data cut off": (header({"a": entry(0, 16)}, b"x" * 15), "cut off: .* Fetch it again"),
    "data behind the last tensor": (header({"a": entry(0, 4)}, b"x" * 5), "1 bytes after its last tensor"),
    "overlap": (header({"a": entry(0, 8), "b": entry(4, 12)}, b"x" * 12), "'b' overlaps"),
    "hole": (header({"a": entry(0, 4), "b": entry(8, 12)}, b"x" * 12), "'b' leaves a hole"),
    "hole at the start": (header({"a": entry(4, 8)}, b"x" * 8), "'a' leaves a hole"),
    "the same bytes twice": (header({"a": entry(0, 4), "b": entry(0, 4)}, b"x" * 4), "'b' overlaps"),
    "the same name twice": (
        header(
            b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
            b"x" * 4,
        ),
        "'a' stands there twice",
    ),
    "shape larger than its bytes": (header({"a": entry(0, 4, [2])}, b"x" * 4), "needs 8 bytes, the header gives it 4"),
    "shape that overflows": (header({"a": entry(0, 4, [2**31 - 1] * 3)}, b"x" * 4), "needs"),
    "empty shape of 2^40": (header({"a": entry(0, 0, [0, 2**40])}), "impossible shape"),
    "negative shape": (header({"a": entry(0, 4, [-1])}, b"x" * 4), "impossible shape"),
    "shape of text": (header({"a": entry(0, 4, ["1"])}, b"x" * 4), "impossible shape"),
    "shape of truth": (header({"a": entry(0, 4, [True])}, b"x" * 4), "impossible shape"),
    "forty axes": (header({"a": entry(0, 4, [1] * 40)}, b"x" * 4), "impossible shape"),
    "backward offsets": (header({"a": entry(8, 4, [1])}, b"x" * 8), "the header gives it -4"),
    "negative offsets": (header({"a": entry(-4, 0, [1])}, b"x" * 8), "impossible offsets"),
    "offsets of 2^70": (header({"a": entry(2**70, 2**70 + 4, [1])}, b"x" * 8), "hole"),
    "unknown type": (header({"a": entry(0, 4, dtype="F33")}, b"x" * 4), "unknown type 'F33'"),
    "type that is no text": (header({"a": entry(0, 4, dtype=["F32"])}, b"x" * 4), "unknown type"),
    "entry without offsets": (header({"a": {"dtype": "F32", "shape": [1]}}, b"x" * 4), "malformed"),
    "entry that is no object": (header({"a": 5}, b"x" * 4), "malformed"),
    "metadata that is no text": (header({"__metadata__": {"format": 5}}), "text to text"),
    "metadata that is a list": (header({"__metadata__": ["pt"]}), "text to text"),
    "name of 2,000 characters": (header({"a" * 2000: entry(0, 4)}, b"x" * 4), "not the name of a tensor"),
    "zip in disguise": (b"PK\x03\x04" + bytes(100), "cut off"),
}


def zipped(entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return out.getvalue()


def state_dict(
    count: int = 4,
    shape: tuple[int, ...] = (4,),
    strides: tuple[int, ...] = (1,),
    start: int = 0,
    key: str = "0",
    marks: Any = None,
    third: bool = False,
) -> bytes:
    """The pickle of a state dict with one tensor, as torch.save writes it but for the lies asked for."""

    class Storage:
        pass

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            return ("storage", torch.FloatStorage, key, "cpu", count) if isinstance(value, Storage) else None

    class Tensor:
        def __reduce__(self) -> tuple[Any, ...]:
            hooks = collections.OrderedDict()
            common = (Storage(), start, shape, strides, False, hooks)
            if third:
                return torch._utils._rebuild_tensor_v3, (*common, torch.float32, marks)
            return torch._utils._rebuild_tensor_v2, (*common, marks)

    out = io.BytesIO()
    Pickler(out, 2).dump({"a": Tensor()})
    return out.getvalue()


def bomb(_: Path) -> bytes:
    return zipped({"x/data.pkl": state_dict(2**22), "x/data/0": bytes(2**24)}, zipfile.ZIP_DEFLATED)


def overlapping(_: Path) -> bytes:
    """Two entries of the directory that lead to one place, as in bombs that need no compression."""
    data = bytearray(zipped({"x/data.pkl": state_dict(), "x/data/0": bytes(16), "x/data/1": bytes(16)}))
    first, second = (match.start() for match in list(re.finditer(rb"PK\x01\x02", data))[1:])
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    return bytes(data)


def twice(_: Path) -> bytes:
    with pytest.warns(UserWarning, match="Duplicate name"):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for _ in range(2):
                archive.writestr("x/data.pkl", state_dict())
            archive.writestr("x/data/0", bytes(16))
    return out.getvalue()


def command(protocol: int, wrap: Callable[[bytes], bytes]) -> Callable[[Path], bytes]:
    return lambda mark: wrap(pickle.dumps({"weight": Attack(mark)}, protocol))


def old_torch(data: bytes) -> bytes:
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    return (
        b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, system)) + data + pickle.dumps([], 2)
    )


def lie(**changes: Any) -> Callable[[Path], bytes]:
    return lambda _: zipped({"x/data.pkl": state_dict(**changes), "x/data/0": bytes(16)})


TORCH: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "2025-32434, 2026-24747: command in a zip": (
        command(2, lambda data: zipped({"x/data.pkl": data})),
        "Nothing of it was run",
    ),
    "the same, protocol 4": (command(4, lambda data: zipped({"x/data.pkl": data})), "Nothing of it was run"),
    "2024-3568: command in a plain pickle": (command(2, bytes), "Nothing of it was run"),
    "command in the old format": (command(2, old_torch), "Nothing of it was run"),
    "command before the magic number": (lambda mark: pickle.dumps(Attack(mark), 2), "Nothing of it was run"),
    "zip bomb": (bomb, "compressed or encrypted"),
    "overlapping entries": (overlapping, "overlap"),
    "the same entry twice": (twice, "stands there twice"),
    "TorchScript": (lambda _: zipped({"x/data.pkl": b"N.", "x/code/a.py": b""}), "TorchScript"),
    "no pickle inside": (lambda _: zipped({"x/other": b""}), "no checkpoint"),
    "archive cut off": (lambda _: lie()(_)[:-30], "damaged or cut off archive"),
    "entry missing": (lie(key="7"), "storage '7' are not in it"),
    "entry of another folder": (lie(key="../../../etc/passwd"), "are not in it"),
    "storage larger than its entry": (lie(count=10**9), "has 16 bytes, not 4,000,000,000"),
    "tensor past its storage": (lie(shape=(5,)), "reaches past its storage"),
    "tensor that starts past it": (lie(start=2), "reaches past its storage"),
    "start of 2^70": (lie(start=2**70), "reaches past its storage"),
    "tensor of 2^60 numbers over one": (lie(shape=(2**30, 2**30), strides=(0, 0)), "reaches past its storage"),
    "numbers to be negated": (lie(marks={"neg": True}), "marks a tensor in a way that is not understood"),
    "the same in the third form": (lie(marks={"conj": True}, third=True), "marks a tensor in a way that is not"),
    "storage that the older form lacks": (lambda _: old_torch(state_dict()), "storage '0' are not in it"),
    "negative strides": (lie(strides=(-1,)), "impossible shape"),
    "negative shape": (lie(shape=(-4,)), "impossible shape"),
    "name without end in the old format": (
        lambda _: old_torch(b"")[: -len(pickle.dumps([], 2))] + b"cargparse",
        "damaged",
    ),
    "big-endian": (lambda _: zipped({"x/data.pkl": b"N.", "x/byteorder": b"big"}), "big-endian"),
    "a list": (lambda _: zipped({"x/data.pkl": b"]."}), "state dict"),
    "no tensors": (lambda _: zipped({"x/data.pkl": pickle.dumps({"model": {"a": 1}}, 2)}), "lamina convert"),
    "neither format": (lambda _: b"GGUF" + bytes(50), "not a file written by torch.save"),
    "other pickle": (lambda _: pickle.dumps([1, 2]), "not one that torch.save wrote"),
}
