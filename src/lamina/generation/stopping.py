"""When a row is finished: its length, the end-of-sequence token, time, a stop string, or what the caller says."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from ..errors import GenerationError
from ..files.shown import shown
from .processors import FollowsRows
from .protocol import Decodable

Scores = Sequence[Tensor] | None
Criterion = Callable[[Tensor, Scores], "bool | Tensor"]  # (input_ids [rows, tokens], scores so far) -> finished


class Stopping:
    """All reasons to stop, asked after every token."""

    def __init__(self, max_length: int, eos: Sequence[int], device: torch.device):
        self.max_length = max_length
        self.eos = torch.tensor(eos, device=device) if eos else None
        self._own: list[Criterion] = []
        self._custom: list[Criterion] = []

    def add(self, criterion: Criterion) -> None:
        self._own.append(criterion)

    def add_custom(self, criteria: Iterable[Criterion]) -> None:
        for criterion in criteria:
            if not callable(criterion):
                raise GenerationError(f"A stopping criterion must be callable, but {shown(criterion)} is not.")
            self._custom.append(criterion)

    @property
    def let_rows_leave(self) -> bool:
        """Whether all of them allow that finished rows are taken out of the batch."""
        return all(isinstance(criterion, FollowsRows) for criterion in self._custom)

    @property
    def by_token_only(self) -> bool:
        """Whether the last token and the length decide everything."""
        return not self._own and not self._custom

    def ends(self, tokens: Tensor) -> Tensor:
        """Which of these tokens end a sequence."""
        if self.eos is None:
            return torch.zeros_like(tokens, dtype=torch.bool)
        return torch.isin(tokens, self.eos) if len(self.eos) > 1 else tokens.eq(self.eos)

    def __call__(self, input_ids: Tensor, scores: Scores = None) -> Tensor:
        """Which rows are finished: [rows] of bool."""
        finished = self.ends(input_ids[:, -1])
        if input_ids.shape[1] >= self.max_length:
            finished = torch.ones_like(finished)
        for criterion in [*self._own, *self._custom]:
            finished = finished | _verdict(criterion, input_ids, scores)
        return finished

    def reorder(self, rows: Tensor) -> None:
        """Tell criteria that remember rows where these went."""
        for criterion in self._custom:
            if isinstance(criterion, FollowsRows):
                criterion.reorder(rows)


def _verdict(criterion: Criterion, input_ids: Tensor, scores: Scores) -> Tensor:
    answer = torch.as_tensor(criterion(input_ids, scores), device=input_ids.device).bool()
    if answer.ndim and answer.shape != (len(input_ids),):
        raise GenerationError(
            f"The stopping criterion {shown(criterion)} must answer with one bool, or with one per row of "
            f"{len(input_ids)}, but answered with shape {[*answer.shape]}."
        )
    return answer.expand(len(input_ids))


def max_time(seconds: float) -> Criterion:
    """Stops everything once this many seconds have passed; the token being chosen is kept."""
    deadline = time.monotonic() + seconds
    return lambda input_ids, scores: time.monotonic() > deadline


TOKENS_PER_CHARACTER = 4  # bytes of a character that a byte-level tokenizer may spend a token on, each


class StopStrings:
    """Stops a row whose last token completes one of these strings.

    Only the end of the row is decoded: as many tokens as the longest string can take. The string may begin in the
    prompt, as in the reference.
    """

    def __init__(self, strings: Sequence[str], tokenizer: Decodable):
        self.strings, self.tokenizer = list(strings), tokenizer
        self.window = TOKENS_PER_CHARACTER * max(map(len, self.strings)) + TOKENS_PER_CHARACTER

    def __call__(self, input_ids: Tensor, scores: Scores) -> Tensor:
        ends = input_ids[:, -self.window :].tolist()
        return torch.tensor([self.completed(ids) for ids in ends], device=input_ids.device)

    def completed(self, ids: list[int]) -> bool:
        """Whether the last of these ids completes a string."""
        text, before = self._text(ids), self._text(ids[:-1])
        shared = _shared_prefix(text, before)
        return any(text.rfind(string) + len(string) > shared for string in self.strings if string in text)

    def _text(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)


def _shared_prefix(one: str, other: str) -> int:
    for index, (a, b) in enumerate(zip(one, other)):  # noqa: B905  the shorter one ends the comparison
        if a != b:
            return index
    return min(len(one), len(other))
