"""Processors about when a sequence may, or should, end."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .rules import LARGEST


def possible(eos: Sequence[int], scores: Tensor) -> list[int]:
    """The ends that a model of this vocabulary can write: defaults may name one that it has not got."""
    return [token for token in eos if 0 <= token < scores.shape[1]]


def power(base: float, exponent: float) -> float:
    """A power within what float32 holds, neither 0 nor infinite: scores are divided by it."""
    try:
        found = math.pow(base, exponent)  # in floats: of integers it would be exact, and might not end
    except OverflowError:
        return LARGEST
    return min(max(found, 1 / LARGEST), LARGEST) if base > 0 else found


class MinLength:
    """Bans the end of a sequence before it is `length` tokens long, the prompt counted."""

    def __init__(self, length: int, eos: Sequence[int]):
        self.length, self.eos = length, list(eos)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Ban the end while the rows are too short."""
        if input_ids.shape[1] < self.length:
            scores[:, possible(self.eos, scores)] = -torch.inf
        return scores


class ExponentialDecay:
    """Raises the score of the end ever faster once a row is longer than `start` tokens.

    A banned end stays banned; in the reference it would become NaN.
    """

    def __init__(self, start: int, factor: float, eos: Sequence[int]):
        self.start, self.factor, self.eos = start, factor, list(eos)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Raise the end's score by its size times factor ** (tokens beyond the start) - 1."""
        beyond = input_ids.shape[1] - self.start
        if beyond > 0:
            eos = possible(self.eos, scores)
            ends = scores[:, eos]
            raised = ends + ends.abs() * (power(self.factor, beyond) - 1)
            scores[:, eos] = torch.where(ends > -torch.inf, raised, ends)
        return scores
