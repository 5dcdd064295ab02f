"""Attention with dropped weights over sequences that lie end to end, for CPUs.

Torch's own is a dozen operators for each length there, and as many again backward, and draws every weight by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .dropout import kept

Runs = list[tuple[int, int]]  # neighbors of one length: how many, and how long


class Dropping:
    """One draw for all weights of a layer, and by hand what leads from queries to the mixture and back."""

    def __init__(self, lengths: list[int], causal: bool):
        self.runs = [(len(list(run)), length) for length, run in groupby(lengths)]
        self.causal = causal

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
        """Attention within each sequence."""
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
        """The gradients of queries, keys and values."""
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
