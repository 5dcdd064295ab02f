"""Freed memory: kept while training, given back when asked and afterwards."""

from __future__ import annotations

import ctypes
import resource
import sys

import pytest
import torch

from lamina.inference.batching import freed_kept, give_back_freed

LARGE = 16 << 20  # bytes; far above what the C library keeps by itself

needs_glibc = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library is not glibc"
)


def fresh_pages(blocks: int) -> int:
    """Pages that the system had to hand out for some blocks, each freed before the next."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(blocks):
        torch.ones(LARGE // 4)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@needs_glibc
def test_blocks_that_are_freed_serve_again() -> None:
    with freed_kept(torch.device("cpu")):
        fresh_pages(8)  # until one has found its place among what earlier work left
        found = fresh_pages(8)
    assert found < 2 * LARGE // resource.getpagesize()  # by itself the C library asks for all eight


def held() -> int:
    """Bytes of this process in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


@needs_glibc
def test_what_was_kept_goes_back_at_the_end() -> None:
    with freed_kept(torch.device("cpu")):
        blocks = [torch.ones(LARGE // 4) for _ in range(8)]
        del blocks
        inside = held()
    assert held() < inside - 4 * LARGE


@needs_glibc
def test_what_lies_between_blocks_in_use_goes_back() -> None:
    small = [torch.ones(4 << 10) for _ in range(4096)]  # 16 kB each, every other one of which stays
    del small[::2]
    before = held()
    give_back_freed()
    assert held() < before - 4096 // 4 * (8 << 10)


def test_accelerators_have_memory_of_their_own() -> None:
    with freed_kept(torch.device("meta")):
        pass
