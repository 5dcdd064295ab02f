"""Memory that was freed, given back to the system."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any


@cache
def _trim() -> Any:
    """The C library's malloc_trim; None where it has none, as outside Linux."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None


def give_back_freed() -> None:
    """Return freed memory to the system.

    The C library keeps what lies between blocks still in use. Where large tensors that soon go and small ones that stay
    take turns, as when one layer after another is swapped, that comes to half of what is needed.
    """
    trim = _trim()
    if trim is not None:
        trim(0)
