"""What the C library does with freed memory: given back to the system at once, or kept for what comes next.

By itself glibc does neither well. It keeps what lies between blocks still in use: where large tensors that soon go and
small ones that stay take turns, as when one layer after another is swapped, that comes to half of what is needed. And
it gives large blocks back at once, to ask for them a moment later as zeroed pages: a tenth of a training step on a CPU.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4  # of mallopt(3)
NEVER = -1
# Once told anything, the C library no longer adapts; this is where a process that frees large blocks would have ended.
AFTERWARDS = {MMAP_MAX: 65536, MMAP_THRESHOLD: 32 << 20, TRIM_THRESHOLD: 64 << 20}


@cache
def _glibc() -> Any:
    """The C library, where it is the one that these calls are of; None elsewhere."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None


def give_back_freed() -> None:
    """Return freed memory to the system."""
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


@contextmanager
def freed_kept(device: torch.device) -> Iterator[None]:
    """Keep freed memory inside, for work on a CPU that asks for as much again; afterwards it goes back."""
    library = _glibc() if device.type == "cpu" else None
    if library is None:
        yield
        return
    library.mallopt(MMAP_MAX, 0)
    library.mallopt(TRIM_THRESHOLD, NEVER)
    try:
        yield
    finally:
        for name, value in AFTERWARDS.items():
            library.mallopt(name, value)
        give_back_freed()
