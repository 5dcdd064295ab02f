"""Whether torch is recording a graph, in which what the tensors of one call hold must decide nothing."""

from __future__ import annotations

import torch


def tracing() -> bool:
    """True while torch.jit.trace runs; not asked under torch.compile, which would leave its graph for the question."""
    return not torch.compiler.is_compiling() and bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def recording() -> bool:
    """True while torch.compile, torch.export or torch.jit.trace runs: a check of values would be frozen, or fail."""
    return torch.compiler.is_compiling() or tracing()


def keeps_no_cache() -> bool:
    """True while the graph is to outlive this process, which keys and values to fill further cannot."""
    return tracing() or torch.compiler.is_exporting()
