"""What the objects of a pickle become here: plain containers, numbers and text as they are, all else inert records."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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

MOST_NUMBERS = 4000  # keys of one dictionary made at once: hashes of numbers can be chosen so that it crawls


@dataclass(frozen=True, slots=True)
class Global:
    """A name a pickle refers to, as text."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(slots=True)
class Record:
    """What a pickle wanted to build by calling `what` with `args`, and the attributes it wanted to set."""

    what: Global
    args: tuple[Any, ...] = ()
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Persistent:
    """A reference out of the pickle: for checkpoints, a storage of numbers."""

    key: Any


def plain_key(key: Any) -> Any:
    """Keys are scalars or names: hashing a tuple nested a million deep would overflow the C stack.

    Integers have 64 bits at most: those of equal hash beyond them could be made up by the thousand.
    """
    if isinstance(key, int) and not -(2**63) <= key < 2**64:
        raise TypeError("a key of more than 64 bits")
    if key is None or isinstance(key, (str, bytes, int, float, Global)):
        return key
    raise TypeError(f"a key of type {type(key).__name__}")


def numbers(keys: Iterable[Any]) -> int:
    """How many of them are numbers."""
    return sum(isinstance(key, (int, float)) for key in keys)


def _plain_keys(keys: Iterable[Any]) -> list[Any]:
    found = [plain_key(key) for key in keys]
    if numbers(found) > MOST_NUMBERS:
        raise TypeError("thousands of numbers as keys")
    return found


def dictionary(values: list[Any]) -> dict[Any, Any]:
    """Keys and values that follow each other."""
    return dict(zip(_plain_keys(values[::2]), values[1::2], strict=True))


def _ordered(pairs: Any = ()) -> dict[Any, Any]:
    items = [(key, value) for key, value in (pairs.items() if isinstance(pairs, dict) else pairs)]
    return dict(zip(_plain_keys(key for key, _ in items), (value for _, value in items), strict=True))


def _default(_factory: Any = None, pairs: Any = ()) -> dict[Any, Any]:
    return _ordered(pairs)


def plain_set(values: Any = ()) -> set[Any]:
    """A set of plain keys; a frozen one becomes that too."""
    return set(_plain_keys(values))


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
