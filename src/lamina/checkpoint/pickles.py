"""Reading pickles without running them: what they would call stays a record.

`pickle.load` imports and calls what a file names, and `torch.load(weights_only=True)` has been broken out of twice
(CVE-2025-32434, CVE-2026-24747). Here nothing is ever imported: a handful of plain containers are understood, every
other object of a known library becomes an inert `Record`, and a file that names anything else is refused.
"""

from __future__ import annotations

import io
import pickle
import re
import struct
import sys
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ..errors import CheckpointError
from ..files.shown import cause, shown

# Roots of modules whose objects appear in published checkpoints and vocabularies; they are named, never imported.
INERT_MODULES = {"argparse", "collections", "copy_reg", "copyreg", "enum", "fairseq", "numpy", "omegaconf", "pathlib"}
INERT_MODULES |= {"re", "sacremoses", "tokenizers", "torch", "transformers", "typing"}
INERT_BUILTINS = {"bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "long"}
INERT_BUILTINS |= {"object", "set", "slice", "str", "tuple", "unicode"}
BUILTINS = ("builtins", "__builtin__")

DAMAGES = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, pickle.PickleError)
MOST_OPCODES = 5_000_000
FLOOR = 48 << 20  # bytes that the value of any pickle may take; of larger files `TIMES` their size
TIMES = 3
LARGEST_VALUE = 16 << 20  # bytes of one text or number in a pickle
STEP, ITEM, RECORD = 16, 64, 250  # bytes: on the stack, in a container, for what is called
NUMBER = 1000  # of a numeric key: unlike those of text, hashes of numbers can be chosen so that a dictionary crawls
COSTS = {  # bytes of what an opcode makes where that is more than a place on the stack
    **dict.fromkeys(("mark", "list", "empty_list", "tuple", "tuple1", "tuple2", "tuple3", "persid", "binpersid"), 100),
    **dict.fromkeys(("put", "binput", "long_binput", "memoize"), 110),
    **dict.fromkeys(("dict", "empty_dictionary", "empty_set", "frozenset", "global", "stack_global", "inst"), 250),
}
MEASURED = re.compile(
    r"(bin)?int[12]?|long[14]?|(bin)?float|\w*(string|bytes|bytearray|unicode)8?"
)  # opcodes of values


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


def read_pickle(file: Any, where: str, allowed: int = FLOOR, references: list[Any] | None = None) -> Any:
    """The value of the next pickle in `file` (bytes, or with `read` and `readline`), which is left behind it.

    `allowed` is how many bytes the value may take, as estimated while it grows: a few opcodes can ask for a thousand
    times their size. `references` gets the keys of references out of it. Raises CheckpointError for damaged pickles
    and for those that name what no checkpoint needs.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # odd escapes in the text of damaged files
            reader = _Unpickler(_Text(file) if isinstance(file, bytes) else file, where, allowed)
            value = reader.load()
            if references is not None:
                references += reader.references
            return value
    except CheckpointError:
        raise
    except EOFError:
        raise CheckpointError(f"{where} is a damaged pickle: it has no end") from None
    except (*DAMAGES, struct.error) as problem:
        raise CheckpointError(f"{where} is a damaged pickle: {cause(problem)}") from None


class _Text(io.BytesIO):
    """A pickle in memory; no value of it may be longer than what a file may be asked for at once."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > LARGEST_VALUE:
            raise ValueError(f"it holds one value of {size:,} bytes")
        return super().read(size)


def _whole_line(line: bytes) -> bytes:
    if not line.endswith(b"\n"):
        raise EOFError
    return line


PurePython: Any = pickle._Unpickler  # that in C takes the memory that a file asks for before it reads on


class _Unpickler(PurePython):  # type: ignore[misc]
    """Python's own, but for the opcodes that would call something, hash, or take memory on a file's word."""

    def __init__(self, file: Any, where: str, allowed: int):
        super().__init__(file, encoding="latin1")
        self._file_readline = lambda: _whole_line(file.readline())
        self.where, self.room, self.opcodes = where, allowed, 0
        self.references: list[Any] = []

    def charge(self, size: int) -> None:
        self.room -= size
        if self.room < 0:
            raise CheckpointError(f"{self.where} builds more than any checkpoint needs: it may be an attack")

    def persistent_load(self, key: Any) -> Persistent:
        self.references.append(key)
        return Persistent(key)

    def find_class(self, module: str, name: str) -> Global:
        root = module.partition(".")[0]
        known = name in INERT_BUILTINS if root in BUILTINS else root in INERT_MODULES
        if not known and (module, name) != ("_codecs", "encode"):
            raise CheckpointError(
                f"{self.where} names {shown(f'{module}.{name}')}, which no checkpoint needs: it may be an attack. "
                "Nothing of it was run"
            )
        return Global(module, name)

    def get_extension(self, code: int) -> None:
        raise CheckpointError(f"{self.where} uses the pickle opcode EXT, which no checkpoint needs")

    def call(self, what: Any, args: Any) -> Any:
        if not isinstance(what, Global) or not isinstance(args, tuple):
            raise TypeError("something is called that is not a name")
        self.charge(RECORD + ITEM * sum(len(arg) for arg in args if hasattr(arg, "__len__")))  # makers copy
        maker = MAKERS.get((what.module, what.name))
        return maker(self, *args) if maker else Record(what, args)

    def load_reduce(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = self.call(self.stack[-1], args)

    load_newobj = load_reduce

    def load_newobj_ex(self) -> None:
        keywords = self.stack.pop()
        self.load_reduce()
        made = self.stack[-1]
        if isinstance(made, Record) and isinstance(keywords, dict):
            self.charge(ITEM * len(keywords))
            made.items.update(keywords)

    def _instantiate(self, what: Any, args: list[Any]) -> None:
        self.append(self.call(what, tuple(args)))

    def load_build(self) -> None:
        state, made = self.stack.pop(), self.stack[-1]
        if isinstance(made, Record):
            made.state = state

    def load_frame(self) -> None:
        self.read(8)  # the frame's size: what is in it is read as it comes

    def load_bytearray8(self) -> None:
        (size,) = struct.unpack("<Q", self.read(8))
        self.append(bytearray(self.read(size)))

    def load_list(self) -> None:
        values = self.pop_mark()
        self.append([])
        self.extend(values)

    def load_append(self) -> None:
        value = self.stack.pop()
        self.extend([value])

    def load_appends(self) -> None:
        self.extend(self.pop_mark())

    def extend(self, values: list[Any]) -> None:
        target = self.stack[-1]
        self.charge(ITEM * len(values))
        if isinstance(target, list):
            target.extend(values)
        elif isinstance(target, Record):
            target.items.update(enumerate(values, len(target.items)))
        else:
            raise TypeError("something is appended to what is not a list")

    def load_tuple(self) -> None:
        self.charge(ITEM * len(self.stack))
        super().load_tuple()

    def load_dict(self) -> None:
        values = self.pop_mark()
        self.append(self.dictionary(values))

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items(self.stack[-1], [key, value])

    def load_setitems(self) -> None:
        values = self.pop_mark()
        self.set_items(self.stack[-1], values)

    def set_items(self, target: Any, values: list[Any]) -> None:
        target = target.items if isinstance(target, Record) else target
        if not isinstance(target, dict) or len(values) % 2:
            raise TypeError("items are set on what is not a dictionary")
        keys = self.plain_keys(values[::2])
        self.charge(ITEM * len(keys))
        target.update(zip(keys, values[1::2], strict=True))

    def dictionary(self, values: Iterable[Any]) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        self.set_items(made, list(values))
        return made

    def load_frozenset(self) -> None:
        values = self.pop_mark()
        self.append(set(self.plain_keys(values)))

    def load_additems(self) -> None:
        values = self.pop_mark()
        if not isinstance(self.stack[-1], set):
            raise TypeError("elements are added to what is not a set")
        self.stack[-1].update(self.plain_keys(values))

    def plain_keys(self, keys: Iterable[Any]) -> list[Any]:
        """Keys are scalars or names: hashing a tuple nested a million deep would overflow the C stack.

        Integers have 64 bits at most: those of equal hash beyond them could be made up by the thousand.
        """
        found = list(keys)
        self.charge(ITEM * len(found) + NUMBER * sum(isinstance(key, (int, float)) for key in found))
        for key in found:
            if isinstance(key, int) and not -(2**63) <= key < 2**64:
                raise TypeError("a key of more than 64 bits")
            if key is not None and not isinstance(key, (str, bytes, int, float, Global)):
                raise TypeError(f"a key of type {type(key).__name__}")
        return found


def _ordered(reader: _Unpickler, pairs: Any = ()) -> dict[Any, Any]:
    items = pairs.items() if isinstance(pairs, dict) else [(key, value) for key, value in pairs]
    return reader.dictionary(part for item in items for part in item)


def _set(reader: _Unpickler, values: Any = ()) -> set[Any]:
    return set(reader.plain_keys(values))


def _bytes(reader: _Unpickler, data: bytes = b"") -> bytes:
    if not isinstance(data, bytes):  # a number would ask for that many zeros
        raise TypeError("bytes made from something else")
    return data


MAKERS: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): _ordered,
    ("collections", "Counter"): _ordered,
    ("collections", "defaultdict"): lambda reader, factory=None, pairs=(): _ordered(reader, pairs),
    ("_codecs", "encode"): lambda reader, text, encoding="latin1": text.encode("latin1"),
    **{(module, "bytes"): _bytes for module in BUILTINS},
    **{(module, name): _set for module in BUILTINS for name in ("set", "frozenset")},
}


def _counted(name: str) -> Callable[[_Unpickler], None]:
    """The method of an opcode, with what it costs."""
    handler, cost, measured = getattr(_Unpickler, name), COSTS.get(name[5:], STEP), MEASURED.fullmatch(name[5:])

    def step(reader: _Unpickler) -> None:
        reader.opcodes += 1
        if reader.opcodes > MOST_OPCODES:
            raise CheckpointError(f"{reader.where} has more than {MOST_OPCODES:,} opcodes: no checkpoint needs as many")
        reader.charge(cost)
        handler(reader)
        if measured:
            reader.charge(sys.getsizeof(reader.stack[-1]))

    return step


_Unpickler.dispatch = {
    code: _counted(handler.__name__)
    for code, handler in PurePython.dispatch.items()
    if "buffer" not in handler.__name__  # data from outside of the file
}
