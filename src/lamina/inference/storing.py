"""A swapped model as a checkpoint: codes and scales under the names of the weights (see checkpoint/compact.py)."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from ..checkpoint.compact import SCALE, ZERO, joined
from ..checkpoint.convert import export
from ..families.names import Table, spell
from .linears import FrozenLinear, PackedLinear


def stored_tensors(model: nn.Module, table: Table) -> Iterator[tuple[str, Tensor]]:
    """Every tensor to save, under the checkpoint's names; a plain model gives what `export` gives."""
    yield from export(model, table)
    for path, module in model.named_modules():
        if isinstance(module, FrozenLinear):
            yield from _stored(module, path, table)


def _stored(module: FrozenLinear, path: str, table: Table) -> Iterator[tuple[str, Tensor]]:
    held = module.tensors()
    if "bias" in held:
        yield from export({f"{path}.bias": held["bias"]}, table)
    if module.tied:
        return
    if isinstance(module, PackedLinear):
        yield from export({f"{path}.weight": held["weight"]}, table)
        return
    spelling = spell(table, f"{path}.weight")[0]
    codes = joined(held["weight"]) if "zero" in held else held["weight"]
    parts = {"": codes, SCALE: held["scale"], **({ZERO: held["zero"]} if "zero" in held else {})}
    for suffix, tensor in parts.items():
        for name, part in zip(spelling.names, tensor.chunk(len(spelling.names)), strict=True):
            turned = part[None] if part.dim() == 1 else part.T
            yield name + suffix, turned if spelling.mark == "T" else part
