"""Memory that a step frees, kept for the next one.

By itself the C library gives large blocks back to the system at once and asks for them again a moment later, as zeroed
pages: on a CPU a tenth of the time of a step.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4  # of mallopt(3)
NEVER = -1
# Once told anything, the C library no longer adapts; this is where a process that frees large blocks would have ended.
AFTERWARDS = {MMAP_MAX: 65536, MMAP_THRESHOLD: 32 << 20, TRIM_THRESHOLD: 64 << 20}


@contextmanager
def kept(device: torch.device) -> Iterator[None]:
    """Keep freed memory inside, where training is on a CPU under glibc; afterwards it goes back to the system."""
    library = ctypes.CDLL(None) if device.type == "cpu" and sys.platform == "linux" else None
    mallopt: Callable[[int, int], int] | None = getattr(library, "mallopt", None)
    if mallopt is None:
        yield
        return
    mallopt(MMAP_MAX, 0)
    mallopt(TRIM_THRESHOLD, NEVER)
    try:
        yield
    finally:
        for name, value in AFTERWARDS.items():
            mallopt(name, value)
        trim = getattr(library, "malloc_trim", None)
        if trim is not None:
            trim(0)
