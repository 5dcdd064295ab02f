"""Dropout that costs nothing where nothing is dropped, and little on a CPU where something is.

Of attention weights too: torch's own is a dozen operators there for each length of sequences that lie end to end, and
as many again backward, and draws every weight by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .runtime import recording

Runs = list[tuple[int, int]]  # neighbors of one length: how many, and how long
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
        (keep,) = ctx.saved_tensors
        return (gradient * keep).mul_(ctx.factor), None


class Dropping:
    """One draw for all weights of a layer, and by hand what leads from queries to the mixture and back."""

    def __init__(self, lengths: list[int], causal: bool):
        self.runs = [(len(list(run)), length) for length, run in groupby(lengths)]
        self.causal = causal

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
        scale = q.shape[-1] ** -0.5 if scale is None else scale
        apply: Callable[..., Tensor] = DroppedAttention.apply
        return apply(q[0], k[0], v[0], self.runs, self.causal, scale, dropout)[None]


class DroppedAttention(torch.autograd.Function):
    """Softmax attention with holes: tokens of all sequences [tokens, heads, head_dim] to the same."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, runs: Runs, causal: bool, scale: float, rate: float
    ) -> Tensor:
        """Weights are kept for the way back; which were dropped, as a byte each."""
        heads = q.shape[1]
        keep, factor = kept(sum(count * heads * length**2 for count, length in runs), rate)
        mixed = torch.empty(q.shape, dtype=q.dtype)
        weights = []
        for run, holes, (a, b, c) in _parts(runs, heads, keep, q, k, v):
            scores = torch.baddbmm(a.new_empty(1), a, b.transpose(1, 2), beta=0, alpha=scale)
            if causal:
                scores.masked_fill_(_later(scores), -torch.inf)
            weights.append(scores.softmax(-1))
            _place(mixed, run, torch.bmm(weights[-1] * holes, c))
        ctx.save_for_backward(q, k, v, keep, *weights)
        ctx.settings = runs, scale, factor
        return mixed.mul_(factor)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, keep, *weights = ctx.saved_tensors
        runs, scale, factor = ctx.settings
        found = [torch.empty(q.shape, dtype=q.dtype) for _ in range(3)]
        parts = _parts(runs, q.shape[1], keep, q, k, v, gradient * factor)
        for (run, holes, (a, b, c, back)), weight in zip(parts, weights, strict=True):
            of_weight = torch.bmm(back, c.transpose(1, 2)).mul_(holes)
            of_score = torch._softmax_backward_data(of_weight, weight, -1, weight.dtype)
            nothing = a.new_empty(1)
            _place(found[0], run, torch.baddbmm(nothing, of_score, b, beta=0, alpha=scale))
            _place(found[1], run, torch.baddbmm(nothing, of_score.transpose(1, 2), a, beta=0, alpha=scale))
            _place(found[2], run, torch.bmm((weight * holes).transpose(1, 2), back))
        return *found, None, None, None, None


def _parts(runs: Runs, heads: int, keep: Tensor, *tensors: Tensor) -> Any:
    """Every run's place, the weights it keeps, and its part of each tensor, [rows, length, width]."""
    token = place = 0
    for count, length in runs:
        until, last = token + count * length, place + count * heads * length**2
        holes = keep[place:last].view(count * heads, length, length)
        own = [t[token:until].unflatten(0, (count, length)).transpose(1, 2).flatten(0, 1) for t in tensors]
        yield (token, until, count, length), holes, own
        token, place = until, last


def _place(whole: Tensor, run: tuple[int, int, int, int], part: Tensor) -> None:
    """Put [rows, length, width] where the run's tokens are."""
    token, until, count, length = run
    target = whole[token:until].unflatten(0, (count, length)).transpose(1, 2)
    target.copy_(part.view(target.shape))


def _later(scores: Tensor) -> Tensor:
    """The keys that come after each query."""
    return torch.ones(scores.shape[1:], dtype=torch.bool).triu_(1)
