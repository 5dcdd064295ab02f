"""How much a training step has to multiply, and how much of what the hardware could do that is (MFU).

Counted as Chowdhery et al. (2022, appendix B) do: the multiplications that the model itself needs for tokens that are
no padding, forward and backward; what is computed twice to save memory counts once.
"""

from __future__ import annotations

import re
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..nn.model import Model
from ..nn.stack import Block, Stack
from ..spec import IGNORED, KINDS

# Trillions of dense half-precision operations a second, from the makers' data sheets.
PEAKS = {
    "B200": 2250.0, "H200": 989.4, "H100 PCIe": 756.0, "H100 NVL": 835.0, "H100": 989.4, "A100": 312.0, "A40": 149.7,
    "A30": 165.0, "L40S": 362.0, "L4": 121.0, "RTX 4090": 165.2, "V100": 125.0, "T4": 65.0,
}  # fmt: skip


def peak(device: torch.device) -> float | None:
    """Operations a second that a device is sold for; None where that is not known here."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((rate * 1e12 for known, rate in PEAKS.items() if re.search(rf"\b{known}\b", name)), None)


class Arithmetic:
    """The operations that batches of a model take."""

    def __init__(self, model: nn.Module):
        self.model = model
        self.stacks = [s for s in (getattr(model, "encoder", None), getattr(model, "decoder", None)) if s is not None]
        known = isinstance(model, Model) and all(isinstance(stack, Stack) for stack in self.stacks) and self.stacks
        self.known = bool(known)
        self.whole = 0 if self.known else _products(model)
        tops = (getattr(model, name, None) for name in ("pooler", "head", "second_head"))
        self.tops = [_products(top) if top is not None else 0 for top in tops]

    def operations(self, batch: dict[str, Any]) -> float:
        """Of one batch, forward and backward."""
        ids = batch.get("input_ids")
        if not isinstance(ids, Tensor):
            return 0.0
        mask = batch.get("attention_mask")
        lengths = (torch.ones_like(ids) if mask is None else mask).flatten(0, -2).sum(-1).double()
        if not self.known:
            return float(self.whole * lengths.sum())
        written = _written(batch) if len(self.stacks) == 2 else None
        total = self._stack(self.stacks[0], lengths)
        if written is not None:
            total += self._stack(self.stacks[1], written, lengths)
        last = lengths if written is None else written
        per_token = KINDS[str(self.model.kind)].per_token or self.model.kind == "question-answering"
        read = float(last.sum()) if per_token else len(last)
        return total + self.tops[0] * len(last) + self.tops[1] * read + self.tops[2] * len(last)

    def _stack(self, stack: Stack, lengths: Tensor, source: Tensor | None = None) -> float:
        """Linear layers by the tokens they see, attention by the pairs of tokens."""
        tokens, total = float(lengths.sum()), 0.0
        width = stack.spec.block.num_heads * (
            stack.spec.block.head_dim or stack.spec.block.hidden_size // stack.spec.block.num_heads
        )
        pairs = float(lengths.square().sum())
        for block in (cast(Block, stack.layers[number]) for layer in stack.schedule for number in layer):
            total += _products(block) * tokens + 12 * width * pairs
            if source is not None:
                keys = _products(block.cross.kv)
                total += keys * (float(source.sum()) - tokens) + 12 * width * float((source * lengths).sum())
        return total


def _products(module: nn.Module) -> int:
    """Operations a token takes in the linear layers of a module: two to read, two or four to learn."""
    linear = [each.weight for each in module.modules() if isinstance(each, nn.Linear)]
    return sum(weight.numel() * (6 if weight.requires_grad else 4) for weight in linear)


def _written(batch: dict[str, Any]) -> Tensor:
    if isinstance(batch.get("labels"), Tensor) and batch["labels"].dim() == 2:
        counts: Tensor = (batch["labels"] != IGNORED).sum(-1)
        return counts.double()
    ids = batch.get("decoder_input_ids", batch["input_ids"])
    return torch.full((len(ids),), float(ids.shape[-1]), dtype=torch.float64)
