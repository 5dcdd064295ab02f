"""What a call meets: whether torch is recording a graph, and how much memory this machine has.

In a graph what the tensors of one call hold must decide nothing; a request that no memory could meet is refused first.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import torch

from ..errors import InputError, LaminaError

GROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
UNKNOWN = 1 << 46  # no machine that this runs on has more


def tracing() -> bool:
    """True while torch.jit.trace runs; not asked under torch.compile, which would leave its graph for the question."""
    return not torch.compiler.is_compiling() and bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def recording() -> bool:
    """True while torch.compile, torch.export or torch.jit.trace runs: a check of values would be frozen, or fail."""
    return torch.compiler.is_compiling() or tracing()


def keeps_no_cache() -> bool:
    """True while the graph is to outlive this process, which keys and values to fill further cannot."""
    return tracing() or torch.compiler.is_exporting()


@cache
def total_memory(device: torch.device) -> int:
    """Bytes of the device's memory; of a CPU those of the machine, or of the container where that has fewer."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    try:
        found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    except (AttributeError, OSError, ValueError):  # not every system tells
        found = [UNKNOWN]
    for file in GROUP_LIMITS:
        try:
            found.append(int(Path(file).read_text()))
        except (OSError, ValueError):  # no container, or "max"
            continue
    return min(found)


def require_memory(needed: int, device: torch.device, what: str, advice: str, error: type[LaminaError]) -> None:
    """Raise `error` where `what` needs more bytes than the device has; `advice` says what to do instead."""
    if needed > total_memory(device):
        raise error(
            f"{what} would take {_size(needed)} of memory, and there are {_size(total_memory(device))}: {advice}"
        )


def require_pairs(pairs: int, bytes_each: int, tokens: int, device: torch.device) -> None:
    """Raise InputError where what is kept for every pair of tokens, as scores of distance are, exceeds the memory."""
    if recording():
        return
    advice = "shorten the text, let the tokenizer do so with truncation=True, or read it in windows"
    require_memory(pairs * bytes_each, device, f"Attention among {tokens:,} tokens", advice, InputError)


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count < 10**15 else f"{count // 10**12:.2e} TB"
