"""Values of strangers in messages: short whatever they hold, and never expensive to write."""

from __future__ import annotations

import reprlib
from typing import Any

LIMIT = 100


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

    def repr_instance(self, value: Any, level: int) -> str:
        """The `repr` of an unknown class may be as long, or as slow, as its author wished."""
        if value is None or isinstance(value, (bool, float, complex)):
            return repr(value)
        return f"{value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"

    repr_NoneType = repr_bool = repr_float = repr_instance
    repr_bytearray = repr_bytes


_BOUNDED = _Bounded()


def shown(value: Any, limit: int = LIMIT) -> str:
    """A value for a message, in at most `limit` characters: like `repr`, but bounded in time and memory too."""
    text = _BOUNDED.repr(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
