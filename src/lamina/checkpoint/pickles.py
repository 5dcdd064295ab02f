"""Reading pickles without running them: the opcodes are walked, and whatever they would call stays a record.

`pickle.load` imports and calls what a file names, and `torch.load(weights_only=True)` has been broken out of twice
(CVE-2025-32434, CVE-2026-24747). Here nothing is ever imported: a handful of plain containers are understood, every
other object of a known library becomes an inert `Record`, and a file that names anything else is refused.
"""

from __future__ import annotations

import pickletools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import CheckpointError
from .records import INERT_BUILTINS, INERT_MODULES, MAKERS, Global, Persistent, Record, dictionary, plain_key, plain_set

MOST_OPCODES = 50_000_000
MOST_COPIED = 512 << 20  # bytes, roughly, that calls may copy: a small file could else ask for the same copy forever


def read_pickle(file: Any, where: str) -> Any:
    """The value of the next pickle in `file` (bytes, or with `read`, `readline` and `tell`), which is left behind it.

    Raises CheckpointError for damaged pickles and for those that name what no checkpoint needs.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # odd escapes in the text of damaged files
            return _Walk(where).run(pickletools.genops(file))
    except CheckpointError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as problem:
        raise CheckpointError(f"{where} is a damaged pickle: {problem}") from None


class _Mark:
    """Stands on the stack where a MARK was."""


class _Walk:
    def __init__(self, where: str):
        self.where = where
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.copied = 0

    def run(self, opcodes: Iterator[tuple[Any, Any, int | None]]) -> Any:
        for count, (opcode, arg, _) in enumerate(opcodes):
            if opcode.name == "STOP":
                return self.pop()
            handler = HANDLERS.get(opcode.name)
            if handler is None or count > MOST_OPCODES:
                raise CheckpointError(f"{self.where} uses the pickle opcode {opcode.name}, which no checkpoint needs")
            handler(self, arg)
        raise CheckpointError(f"{self.where} is a damaged pickle: it has no end")

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
        self.memo[int(key)] = self.top()

    def memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.top()

    def name(self, module: Any, name: Any) -> Global:
        found = Global(str(module), str(name))
        root = found.module.partition(".")[0]
        if root in ("builtins", "__builtin__"):
            known = found.name in INERT_BUILTINS
        else:
            known = root in INERT_MODULES or (found.module, found.name) == ("_codecs", "encode")
        if not known:
            raise CheckpointError(
                f"{self.where} names {str(found)[:100]!r}, which no checkpoint needs: it may be an attack. "
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
        self.copied += sum(len(arg) * (1 if isinstance(arg, str) else 64) for arg in args if hasattr(arg, "__len__"))
        if self.copied > MOST_COPIED:
            raise CheckpointError(f"{self.where} builds more than any checkpoint needs: it may be an attack")
        maker = MAKERS.get((what.module, what.name))
        self.push(maker(*args) if maker else Record(what, args))

    def reduce(self, _: Any) -> None:
        args, what = self.pop(), self.pop()
        self.call(what, args)

    def new_with_keywords(self, _: Any) -> None:
        keywords, args, what = self.pop(), self.pop(), self.pop()
        self.call(what, args)
        made = self.top()
        if isinstance(made, Record) and keywords:
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
        for key, value in zip(values[::2], values[1::2], strict=True):
            target[plain_key(key)] = value

    def add_items(self, _: Any) -> None:
        values = self.pop_to_mark()
        target = self.top()
        if not isinstance(target, set):
            raise TypeError("elements are added to something that is no set")
        target.update(plain_key(value) for value in values)

    def append(self, _: Any) -> None:
        value = self.pop()
        self.extend([value])

    def set_item(self, _: Any) -> None:
        value, key = self.pop(), self.pop()
        self.set_items([key, value])

    def collect(self, size: int, make: Callable[[list[Any]], Any]) -> None:
        values = [self.pop() for _ in range(size)][::-1]
        self.push(make(values))


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
    "LIST": lambda walk, arg: walk.push(walk.pop_to_mark()),
    "DICT": lambda walk, arg: walk.push(dictionary(walk.pop_to_mark())),
    "FROZENSET": lambda walk, arg: walk.push(plain_set(walk.pop_to_mark())),
    "TUPLE": lambda walk, arg: walk.push(tuple(walk.pop_to_mark())),
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
