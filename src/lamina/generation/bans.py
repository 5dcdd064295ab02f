"""Processors about certain tokens and words: biased, banned, suppressed, or the only ones allowed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import GenerationError
from ..files.shown import shown

AllowedTokens = Callable[[int, Tensor], Iterable[int]]  # (number of the source, ids of the row) -> ids that may follow


class SequenceBias:
    """Adds a bias to the last token of a word whenever the tokens before it stand in the row."""

    def __init__(self, biases: Mapping[tuple[int, ...], float]):
        self.biases = biases
        self.single: Tensor | None = None
        self.words: list[tuple[Tensor, int, float]] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Bias the tokens that would finish a word."""
        if self.single is None:
            self.single = self._prepare(scores)
        scores += self.single
        for prefix, last, bias in self.words:
            if len(prefix) < input_ids.shape[1]:
                matches = (input_ids[:, -len(prefix) :] == prefix).all(-1)
                scores[:, last] += torch.where(matches, bias, 0.0)
        return scores

    def _prepare(self, scores: Tensor) -> Tensor:
        single = torch.zeros(scores.shape[1], device=scores.device)
        for word, bias in self.biases.items():
            if len(word) == 1:
                single[word[0]] = bias
            else:
                self.words.append((torch.tensor(word[:-1], device=scores.device), word[-1], bias))
        return single


def sequence_bias(option: Any) -> SequenceBias:
    """From what users write, checked: {(id, ...): bias} or, as in JSON, [[[id, ...], bias], ...]."""
    pairs = option.items() if isinstance(option, Mapping) else option
    return SequenceBias({tuple(word): float(bias) for word, bias in pairs})


def bad_words(words: Sequence[Sequence[int]], eos: Sequence[int]) -> SequenceBias | None:
    """Bans whole words; a word that is nothing but an end-of-sequence token stays allowed, or rows would never end."""
    banned = {tuple(word): -torch.inf for word in words if not (len(word) == 1 and word[0] in eos)}
    return SequenceBias(banned) if banned else None


class SuppressTokens:
    """Bans tokens everywhere, or only where the row is `only_at` tokens long."""

    def __init__(self, tokens: Iterable[int], only_at: int | None = None):
        self.tokens, self.only_at = list(tokens), only_at

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Ban them."""
        if self.tokens and (self.only_at is None or input_ids.shape[1] == self.only_at):
            scores[:, self.tokens] = -torch.inf
        return scores


class ForceToken:
    """Leaves nothing but these tokens to choose where the row is `at` tokens long."""

    def __init__(self, tokens: Iterable[int], at: int):
        self.tokens, self.at = list(tokens), at

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Force them."""
        if input_ids.shape[1] == self.at:
            scores.fill_(-torch.inf)
            scores[:, self.tokens] = 0
        return scores


class PrefixAllowedTokens:
    """Leaves what a function of the source's number and the row's ids allows (tries, grammars)."""

    def __init__(self, allowed: AllowedTokens):
        self.allowed = allowed

    def for_sources(self, input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
        """Ban everything else."""
        mask = torch.full_like(scores, -torch.inf)
        for row, (ids, source) in enumerate(zip(input_ids, sources.tolist(), strict=True)):
            allowed = self.allowed(source, ids)
            tokens = allowed.tolist() if isinstance(allowed, Tensor) else list(allowed)
            if not tokens:
                raise GenerationError(
                    f"prefix_allowed_tokens_fn allows no token after {ids.tolist()} of source {source}; "
                    "it must return at least one (the end-of-sequence token, where nothing may follow)."
                )
            mask[row, _inside(tokens, scores.shape[1])] = 0
        return scores.add_(mask)


def _inside(tokens: list[int], vocab: int) -> list[int]:
    outside = [token for token in tokens if not 0 <= token < vocab]
    if outside:
        named = f"prefix_allowed_tokens_fn names tokens {shown(outside)}"
        raise GenerationError(f"{named} outside the vocabulary of {vocab}.")
    return tokens
