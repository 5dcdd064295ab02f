"""Dropout that costs nothing where nothing is dropped, and little on a CPU where something is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .recording import recording

PARTS = 1 << 16  # a place takes 16 random bits, so rates are rounded to this many parts


class Dropout(nn.Dropout):
    """As torch's; while reading it is not even called, as a call takes microseconds and a step has dozens."""

    def __call__(self, x: Tensor) -> Any:
        """The same tensor, or in training one with holes."""
        return super().__call__(x) if self.training else x

    def forward(self, x: Tensor) -> Tensor:
        """Holes drawn the fastest way that the device has."""
        if not draws_bits(x.device, self.p):
            return super().forward(x)
        apply: Callable[..., Tensor] = Holes.apply
        return apply(x, self.p)


def draws_bits(device: torch.device, rate: float) -> bool:
    """Whether `kept` is the way to draw: not on accelerators, whose own dropout is one kernel, nor for a compiler."""
    return device.type == "cpu" and 0 < rate < 1 and not recording()


def kept(count: int, rate: float) -> tuple[Tensor, float]:
    """Which of `count` places are kept, as bytes of 0 or 1, and the factor that makes up for those that are not.

    Four places share a random number, which is several times faster than torch's Bernoulli draws. The factor belongs to
    the rounded rate, so that means are as they were.
    """
    dropped = min(round(rate * PARTS), PARTS - 1)
    bits = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(1 << 63), None).view(torch.int16)[:count]
    return bits.ge(dropped - PARTS // 2).view(torch.uint8), PARTS / (PARTS - dropped)


class Holes(torch.autograd.Function):
    """Dropout that remembers a byte a place instead of a float."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rate: float) -> Tensor:
        """[...] to the same, with holes."""
        keep, ctx.factor = kept(x.numel(), rate)
        keep = keep.view(x.shape)
        ctx.save_for_backward(keep)
        return (x * keep).mul_(ctx.factor)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Nothing comes back through a hole."""
        (keep,) = ctx.saved_tensors
        return (gradient * keep).mul_(ctx.factor), None
