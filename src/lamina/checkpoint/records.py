"""What the objects of a pickle become here: plain containers, numbers and text as they are, all else inert records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

# Roots of modules whose objects appear in published checkpoints and vocabularies; they are named, never imported.
INERT_MODULES = {"argparse", "collections", "copy_reg", "copyreg", "enum", "fairseq", "numpy", "omegaconf", "pathlib"}
INERT_MODULES |= {"re", "sacremoses", "tokenizers", "torch", "transformers", "typing"}
INERT_BUILTINS = {
    "bool",
    "bytearray",
    "bytes",
    "complex",
    "dict",
    "float",
    "frozenset",
    "int",
    "list",
    "long",
    "object",
}
INERT_BUILTINS |= {"set", "slice", "str", "tuple", "unicode"}


@dataclass(frozen=True)
class Global:
    """A name a pickle refers to, as text."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass
class Record:
    """What a pickle wanted to build by calling `what` with `args`, and the attributes it wanted to set."""

    what: Global
    args: tuple[Any, ...] = ()
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Persistent:
    """A reference out of the pickle: for checkpoints, a storage of numbers."""

    key: Any


def plain_key(key: Any) -> Any:
    """Keys are scalars or names: hashing a tuple nested a million deep would overflow the C stack."""
    if key is None or isinstance(key, (str, bytes, int, float, Global)):
        return key
    raise TypeError(f"a key of type {type(key).__name__}")


def dictionary(values: list[Any]) -> dict[Any, Any]:
    """Keys and values that follow each other."""
    return {plain_key(key): value for key, value in zip(values[::2], values[1::2], strict=True)}


def _ordered(pairs: Any = ()) -> dict[Any, Any]:
    pairs = list(pairs.items()) if isinstance(pairs, dict) else pairs
    return {plain_key(key): value for key, value in pairs}


def _default(_factory: Any = None, pairs: Any = ()) -> dict[Any, Any]:
    return _ordered(pairs)


def plain_set(values: Any = ()) -> set[Any]:
    """A set of plain keys; a frozen one becomes that too."""
    return {plain_key(value) for value in values}


def _encoded(text: str, _encoding: str = "latin1") -> bytes:
    return text.encode("latin1")


def _bytes(data: bytes = b"") -> bytes:
    if not isinstance(data, bytes):  # a number would ask for that many zeros
        raise TypeError("bytes made from something else")
    return data


MAKERS: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): _ordered,
    ("collections", "Counter"): _ordered,
    ("collections", "defaultdict"): _default,
    ("_codecs", "encode"): _encoded,
    ("builtins", "bytes"): _bytes,
    ("__builtin__", "bytes"): _bytes,
    **{(module, name): plain_set for module in ("builtins", "__builtin__") for name in ("set", "frozenset")},
}
