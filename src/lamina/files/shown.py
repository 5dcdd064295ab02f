"""Values of strangers in messages: short whatever they hold, and never expensive to write."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Sized
from itertools import islice
from pathlib import PurePath
from typing import Any

LIMIT = 100
CONTROLS = {code: 0x2400 + code if code < 32 else 0xFFFD for code in (*range(32), *range(127, 160))}
del CONTROLS[ord("\n")], CONTROLS[ord("\t")]


class _Bounded(reprlib.Repr):
    """A `repr` that looks at a few items of a few levels, and at the type alone where it does not know it."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxtuple = self.maxlist = self.maxdict = self.maxset = self.maxfrozenset = self.maxdeque = 4
        self.maxstring = self.maxother = self.maxlong = LIMIT

    def repr_int(self, value: int, level: int) -> str:
        """Python refuses to write integers of more than 4,300 digits, and takes quadratic time for shorter ones."""
        return repr(value) if value.bit_length() <= 256 else f"an integer of {value.bit_length():,} bits"

    def repr_bytes(self, value: bytes, level: int) -> str:
        return repr(value[: self.maxstring])

    def repr_dict(self, value: dict[Any, Any], level: int) -> str:
        """Unsorted: comparing keys costs what their author wished."""
        items = [f"{self.repr1(k, level - 1)}: {self.repr1(v, level - 1)}" for k, v in self._first(value, level)]
        return f"{{{self._joined(items, value)}}}"

    def repr_set(self, value: Any, level: int) -> str:
        items = [self.repr1(item, level - 1) for item in self._first(value, level)]
        return f"{{{self._joined(items, value)}}}" if value else "set()"

    def repr_frozenset(self, value: Any, level: int) -> str:
        return self.repr_set(value, level)

    def _first(self, value: Any, level: int) -> Iterable[Any]:
        items = value.items() if isinstance(value, dict) else value
        return islice(items, self.maxset if level > 0 else 0)

    def _joined(self, items: list[str], value: Sized) -> str:
        return ", ".join([*items, "..."] if len(value) > len(items) else items)

    def repr_instance(self, value: Any, level: int) -> str:
        """The `repr` of an unknown class may be as long, or as slow, as its author wished."""
        if value is None or isinstance(value, (bool, float, complex)):
            return repr(value)
        if isinstance(value, PurePath):
            return self.repr_str(str(value), level)
        if type(value).__module__ == "torch" and type(value).__name__ in ("dtype", "device"):
            return repr(value)
        return f"{value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"

    repr_NoneType = repr_bool = repr_float = repr_instance
    repr_bytearray = repr_bytes


_BOUNDED = _Bounded()


def shown(value: Any, limit: int = LIMIT) -> str:
    """A value for a message, in at most `limit` characters: like `repr`, but bounded in time and memory too."""
    text = _BOUNDED.repr(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def cut(text: str, limit: int = LIMIT) -> str:
    """The first characters of a text, on one line, with a mark where there are more."""
    plain = " ".join(text[: 2 * limit].split())
    return plain if len(plain) <= limit and len(text) <= 2 * limit else f"{plain[: limit - 3]}..."


def visible(text: str) -> str:
    """Text for a terminal: a sign in the place of each control character, which could tell it to do anything."""
    return text.translate(CONTROLS)


def few(texts: Iterable[str], most: int = 4, limit: int = 200) -> str:
    """The first few of a list, each cut to `limit` characters, and how many more there are."""
    listed = list(texts)
    found = ", ".join(cut(text, limit) for text in listed[:most])
    return f"{found} and {len(listed) - most:,} more" if len(listed) > most else found


def cause(problem: BaseException, limit: int = 200) -> str:
    """What another library's error says, cut: such texts quote the file, and their `str` may be as long as it.

    Only an error's own text is read; what else it carries, such as KeyError's key, is described.
    """
    if isinstance(problem, OSError) and problem.strerror:
        return cut(str(problem.strerror), limit)
    if isinstance(problem, UnicodeError):
        return cut(str(problem), limit)  # its arguments hold the whole text
    args = problem.args
    if len(args) == 1 and isinstance(args[0], str):
        return cut(args[0], limit) or type(problem).__name__
    return shown(args[0] if len(args) == 1 else args, limit) if args else type(problem).__name__
