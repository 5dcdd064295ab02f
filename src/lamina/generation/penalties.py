"""Processors that make tokens less likely for having been said: repetition, n-grams, diversity between groups."""

from __future__ import annotations

import torch
from torch import Tensor

Gram = tuple[int, ...]
Continuations = dict[Gram, list[int]]


class RepetitionPenalty:
    """Divides positive scores of tokens that stand in the row by `penalty` and multiplies negative ones (CTRL, 4.1)."""

    def __init__(self, penalty: float):
        self.penalty = penalty

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Penalize what each row holds, its prompt included."""
        return _penalize(scores, input_ids, self.penalty)


class EncoderRepetitionPenalty:
    """Favors tokens of the source: the opposite of a repetition penalty, against making things up."""

    def __init__(self, penalty: float, source_ids: Tensor):
        self.penalty, self.source_ids = 1 / penalty, source_ids

    def for_sources(self, input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
        """Favor what each row's source holds."""
        return _penalize(scores, self.source_ids.index_select(0, sources), self.penalty)


def _penalize(scores: Tensor, ids: Tensor, penalty: float) -> Tensor:
    chosen = scores.gather(1, ids)
    return scores.scatter_(1, ids, torch.where(chosen < 0, chosen * penalty, chosen / penalty))


def continuations(ids: list[int], size: int) -> Continuations:
    """What follows each run of `size` - 1 ids in a list of them."""
    found: Continuations = {}
    for end in range(size, len(ids) + 1):
        found.setdefault(tuple(ids[end - size : end - 1]), []).append(ids[end - 1])
    return found


class NoRepeatNgrams:
    """Bans every token that would repeat an n-gram of its row."""

    def __init__(self, size: int):
        self.size = size

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Ban what followed the row's last `size` - 1 tokens before."""
        length, prefix = input_ids.shape[1], self.size - 1
        if length < self.size:
            return scores
        if prefix == 0:
            return scores.scatter_(1, input_ids, -torch.inf)
        windows = input_ids.unfold(1, prefix, 1)[:, :-1]  # [rows, length - prefix, prefix]; each has a successor
        repeated = (windows == input_ids[:, None, -prefix:]).all(-1)
        rows, places = repeated.nonzero(as_tuple=True)
        scores[rows, input_ids[rows, places + prefix]] = -torch.inf
        return scores


class EncoderNoRepeatNgrams:
    """Bans every token that would repeat an n-gram of the row's source."""

    def __init__(self, size: int, source_ids: Tensor):
        self.size = size
        self.known = [continuations(ids, size) for ids in source_ids.tolist()]

    def for_sources(self, input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
        """Ban what follows the row's last `size` - 1 tokens in its source."""
        prefix = self.size - 1
        if input_ids.shape[1] < prefix:
            return scores
        ends = input_ids[:, input_ids.shape[1] - prefix :].tolist()
        for row, (end, source) in enumerate(zip(ends, sources.tolist(), strict=True)):
            scores[row, self.known[source].get(tuple(end), [])] = -torch.inf
        return scores


class HammingDiversity:
    """Makes a group of beams avoid the tokens that earlier groups chose at this step (Vijayakumar et al., 2016)."""

    def __init__(self, penalty: float):
        self.penalty = penalty
        self.chosen: Tensor | None = None

    def observe(self, chosen: Tensor | None) -> None:
        """Take the tokens [sources, beams] that earlier groups chose; None at the first group of a step."""
        self.chosen = chosen

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Penalize each token once per beam that chose it."""
        if self.chosen is None:
            return scores
        tokens = self.chosen.repeat_interleave(len(scores) // len(self.chosen), 0)
        return scores.scatter_add_(1, tokens, scores.new_full(tokens.shape, -self.penalty))
