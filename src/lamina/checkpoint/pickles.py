"""Reading pickles without running them: the opcodes are walked, and whatever they would call stays a record.

`pickle.load` imports and calls what a file names, and `torch.load(weights_only=True)` has been broken out of twice
(CVE-2025-32434, CVE-2026-24747). Here nothing is ever imported: a handful of plain containers are understood, every
other object of a known library becomes an inert `Record`, and a file that names anything else is refused.
"""

from __future__ import annotations

import io
import pickletools
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import CheckpointError
from ..files.shown import cause, shown
from .records import (
    INERT_BUILTINS,
    INERT_MODULES,
    MAKERS,
    Global,
    Persistent,
    Record,
    dictionary,
    numbers,
    plain_key,
    plain_set,
)

MOST_OPCODES = 5_000_000
FLOOR = 48 << 20  # bytes that the value of any pickle may take; of larger files `TIMES` their size
TIMES = 3
LARGEST_VALUE = 16 << 20  # bytes of one text or number in a pickle


def read_pickle(file: Any, where: str, allowed: int = FLOOR) -> Any:
    """The value of the next pickle in `file` (bytes, or with `read`, `readline` and `tell`), which is left behind it.

    `allowed` is how many bytes the value may take, as estimated while it grows: a few opcodes can ask for a thousand
    times their size. Raises CheckpointError for damaged pickles and for those that name what no checkpoint needs.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # odd escapes in the text of damaged files
            return _Walk(where, allowed).run(pickletools.genops(_Text(file) if isinstance(file, bytes) else file))
    except CheckpointError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as problem:
        raise CheckpointError(f"{where} is a damaged pickle: {cause(problem)}") from None


class _Text(io.BytesIO):
    """A pickle in memory; no value of it may be longer than what a file may be asked for at once."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > LARGEST_VALUE:
            raise ValueError(f"it holds one value of {size:,} bytes")
        return super().read(size)


class _Mark:
    """Stands on the stack where a MARK was."""


class _Walk:
    def __init__(self, where: str, allowed: int):
        self.where, self.room = where, allowed
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, opcodes: Iterator[tuple[Any, Any, int | None]]) -> Any:
        for count, (opcode, arg, _) in enumerate(opcodes):
            if opcode.name == "STOP":
                return self.pop()
            handler = HANDLERS.get(opcode.name)
            if handler is None:
                raise CheckpointError(f"{self.where} uses the pickle opcode {opcode.name}, which no checkpoint needs")
            if count > MOST_OPCODES:
                raise CheckpointError(
                    f"{self.where} has more than {MOST_OPCODES:,} opcodes: no checkpoint needs as many"
                )
            self.charge(COSTS.get(opcode.name, STEP) + (0 if arg is None else sys.getsizeof(arg)))
            handler(self, arg)
        raise CheckpointError(f"{self.where} is a damaged pickle: it has no end")

    def charge(self, size: int) -> None:
        """Count bytes that are about to be taken."""
        self.room -= size
        if self.room < 0:
            raise CheckpointError(f"{self.where} builds more than any checkpoint needs: it may be an attack")

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _Mark:
            raise IndexError("the stack is empty")
        return self.stack.pop()

    def pop_to_mark(self) -> list[Any]:
        at = len(self.stack) - 1
        while self.stack[at] is not _Mark:
            at -= 1
            if at < 0:
                raise IndexError("no mark on the stack")
        values = self.stack[at + 1 :]
        del self.stack[at:]
        return values

    def top(self) -> Any:
        value = self.pop()
        self.push(value)
        return value

    def drop(self, _: Any) -> None:
        self.stack.pop()

    def drop_to_mark(self, _: Any) -> None:
        self.pop_to_mark()

    def get(self, key: Any) -> None:
        self.push(self.memo[int(key)])

    def put(self, key: Any) -> None:
        if int(key) not in self.memo:
            self.charge(MEMO)
        self.memo[int(key)] = self.top()

    def memoize(self, _: Any) -> None:
        self.put(len(self.memo))

    def name(self, module: Any, name: Any) -> Global:
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError("a name is not text")
        found = Global(module, name)
        root = found.module.partition(".")[0]
        if root in ("builtins", "__builtin__"):
            known = found.name in INERT_BUILTINS
        else:
            known = root in INERT_MODULES or (found.module, found.name) == ("_codecs", "encode")
        if not known:
            raise CheckpointError(
                f"{self.where} names {shown(str(found))}, which no checkpoint needs: it may be an attack. "
                "Nothing of it was run"
            )
        return found

    def dotted(self, arg: str) -> None:
        module, _, name = arg.partition(" ")
        self.push(self.name(module, name))

    def stack_name(self, _: Any) -> None:
        name, module = self.pop(), self.pop()
        self.push(self.name(module, name))

    def call(self, what: Any, args: Any) -> None:
        if not isinstance(what, Global) or not isinstance(args, tuple):
            raise TypeError("something is called that is no name")
        self.charge(RECORD + ITEM * sum(len(arg) for arg in args if hasattr(arg, "__len__")))  # makers copy
        maker = MAKERS.get((what.module, what.name))
        self.push(maker(*args) if maker else Record(what, args))

    def reduce(self, _: Any) -> None:
        args, what = self.pop(), self.pop()
        self.call(what, args)

    def new_with_keywords(self, _: Any) -> None:
        keywords, args, what = self.pop(), self.pop(), self.pop()
        self.call(what, args)
        made = self.top()
        if isinstance(made, Record) and isinstance(keywords, dict):
            self.charge(ITEM * len(keywords))
            made.items.update(keywords)

    def instance(self, arg: str) -> None:
        args = tuple(self.pop_to_mark())
        self.dotted(arg)
        self.call(self.pop(), args)

    def object(self, _: Any) -> None:
        what, *args = self.pop_to_mark()
        self.call(what, tuple(args))

    def build(self, _: Any) -> None:
        state = self.pop()
        made = self.top()
        if isinstance(made, Record):
            made.state = state

    def extend(self, values: list[Any]) -> None:
        target = self.top()
        self.charge(ITEM * len(values))
        if isinstance(target, list):
            target.extend(values)
        elif isinstance(target, Record):
            target.items.update(enumerate(values, len(target.items)))
        else:
            raise TypeError("something is appended to that is no list")

    def set_items(self, values: list[Any]) -> None:
        target = self.top()
        target = target.items if isinstance(target, Record) else target
        if not isinstance(target, dict) or len(values) % 2:
            raise TypeError("items are set on something that is no dictionary")
        self.charge(ITEM * len(values) + NUMBER * numbers(values[::2]))
        for key, value in zip(values[::2], values[1::2], strict=True):
            target[plain_key(key)] = value

    def add_items(self, _: Any) -> None:
        values = self.pop_to_mark()
        target = self.top()
        if not isinstance(target, set):
            raise TypeError("elements are added to something that is no set")
        self.charge(ITEM * len(values) + NUMBER * numbers(values))
        target.update(plain_key(value) for value in values)

    def append(self, _: Any) -> None:
        value = self.pop()
        self.extend([value])

    def set_item(self, _: Any) -> None:
        value, key = self.pop(), self.pop()
        self.set_items([key, value])

    def marked(self, make: Callable[[list[Any]], Any]) -> None:
        values = self.pop_to_mark()
        self.charge(ITEM * len(values))
        self.push(make(values))

    def collect(self, size: int, make: Callable[[list[Any]], Any]) -> None:
        values = [self.pop() for _ in range(size)][::-1]
        self.push(make(values))


STEP, ITEM, MEMO, RECORD = 16, 64, 110, 250  # bytes: on the stack, in a container, remembered, for what is called
NUMBER = 1000  # of a numeric key: unlike those of text, hashes of numbers can be chosen so that a dictionary crawls
COSTS = {  # bytes of what an opcode makes where that is more than a place on the stack
    **dict.fromkeys(("EMPTY_LIST", "LIST", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "PERSID", "BINPERSID"), 100),
    **dict.fromkeys(("EMPTY_DICT", "DICT", "EMPTY_SET", "FROZENSET", "GLOBAL", "STACK_GLOBAL", "INST"), 250),
}
Handler = Callable[[_Walk, Any], None]
_VALUES = (
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING BINBYTES "
    "SHORT_BINBYTES BINBYTES8 BYTEARRAY8 UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8"
)
HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(_VALUES.split(), _Walk.push),
    "PROTO": lambda walk, arg: None,
    "FRAME": lambda walk, arg: None,
    "MARK": lambda walk, arg: walk.push(_Mark),
    "POP": _Walk.drop,
    "POP_MARK": _Walk.drop_to_mark,
    "DUP": lambda walk, arg: walk.push(walk.top()),
    "NONE": lambda walk, arg: walk.push(None),
    "NEWTRUE": lambda walk, arg: walk.push(True),
    "NEWFALSE": lambda walk, arg: walk.push(False),
    "EMPTY_LIST": lambda walk, arg: walk.push([]),
    "EMPTY_DICT": lambda walk, arg: walk.push({}),
    "EMPTY_SET": lambda walk, arg: walk.push(set()),
    "EMPTY_TUPLE": lambda walk, arg: walk.push(()),
    "LIST": lambda walk, arg: walk.marked(list),
    "DICT": lambda walk, arg: walk.marked(dictionary),
    "FROZENSET": lambda walk, arg: walk.marked(plain_set),
    "TUPLE": lambda walk, arg: walk.marked(tuple),
    "TUPLE1": lambda walk, arg: walk.collect(1, tuple),
    "TUPLE2": lambda walk, arg: walk.collect(2, tuple),
    "TUPLE3": lambda walk, arg: walk.collect(3, tuple),
    "APPEND": _Walk.append,
    "APPENDS": lambda walk, arg: walk.extend(walk.pop_to_mark()),
    "SETITEM": _Walk.set_item,
    "SETITEMS": lambda walk, arg: walk.set_items(walk.pop_to_mark()),
    "ADDITEMS": _Walk.add_items,
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Walk.get),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Walk.put),
    "MEMOIZE": _Walk.memoize,
    "GLOBAL": _Walk.dotted,
    "STACK_GLOBAL": _Walk.stack_name,
    "REDUCE": _Walk.reduce,
    "NEWOBJ": _Walk.reduce,
    "NEWOBJ_EX": _Walk.new_with_keywords,
    "INST": _Walk.instance,
    "OBJ": _Walk.object,
    "BUILD": _Walk.build,
    "PERSID": lambda walk, arg: walk.push(Persistent(arg)),
    "BINPERSID": lambda walk, arg: walk.push(Persistent(walk.pop())),
}
