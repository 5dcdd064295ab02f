"""What stands between a model's scores and the choice of a token: processors, in order, each watched for mistakes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from ..errors import GenerationError
from ..files.shown import shown

Kind = TypeVar("Kind")
Processor = Callable[[Tensor, Tensor], Tensor]  # (input_ids [rows, tokens], scores [rows, vocab]) -> scores


@runtime_checkable
class PerSource(Protocol):
    """A processor that must know which source each row was written for."""

    def for_sources(self, input_ids: Tensor, scores: Tensor, sources: Tensor) -> Tensor:
        """As a processor, with `sources` [rows]: the number in the batch of each row's source."""


@runtime_checkable
class FollowsRows(Protocol):
    """A processor that remembers something for each row."""

    def reorder(self, rows: Tensor) -> None:
        """Row i goes on as what row `rows[i]` was."""


@dataclass
class _Entry:
    name: str
    process: Processor | PerSource
    own: bool  # ours: works on whatever rows it is given


class Processors:
    """Processors in the order of application. Ours change the scores in place where they can."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._mended = 0  # entries before this one may leave NaN: a later one removes it

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, processor: Processor | PerSource, mends: bool = False) -> None:
        """Append one of ours; `mends` says that it removes invalid values."""
        self._entries.append(_Entry(type(processor).__name__, processor, own=True))
        if mends:
            self._mended = len(self._entries) - 1

    def add_custom(self, processors: Iterable[Processor]) -> None:
        """Append those of the user."""
        for processor in processors:
            if not callable(processor):
                raise GenerationError(f"A logits processor must be callable, but {shown(processor)} is not.")
            name = getattr(processor, "__name__", type(processor).__name__)
            self._entries.append(_Entry(name, processor, own=False))

    @property
    def let_rows_leave(self) -> bool:
        """Whether all of them allow that finished rows are taken out of the batch."""
        return all(entry.own or isinstance(entry.process, FollowsRows) for entry in self._entries)

    @property
    def follow_rows(self) -> bool:
        """Whether any of them remembers rows."""
        return any(isinstance(entry.process, FollowsRows) for entry in self._entries)

    def __call__(self, input_ids: Tensor, scores: Tensor, sources: Tensor, beams: int = 1) -> Tensor:
        """Apply them all. Rows come `beams` to a source; of these, one must be left something to choose.

        Raises `GenerationError` naming the first processor that made NaN or left no token to choose.
        """
        sound = []
        for entry in self._entries:
            if isinstance(entry.process, PerSource):
                scores = entry.process.for_sources(input_ids, scores, sources)
            else:
                scores = self._checked(entry, entry.process(input_ids, scores), scores)
            greatest = scores.amax(-1).view(-1, beams).amax(-1)
            sound.append((greatest > -torch.inf).all())
        if sound and not bool(torch.stack(sound[self._mended :]).all()):
            self._blame(torch.stack(sound).tolist(), scores)
        return scores

    def _checked(self, entry: _Entry, result: Any, scores: Tensor) -> Tensor:
        if isinstance(result, Tensor) and result.shape == scores.shape:
            return result
        found = f"of {tuple(result.shape)}" if isinstance(result, Tensor) else f"of type {type(result).__name__}"
        raise GenerationError(
            f"The logits processor {entry.name} must return scores of shape {tuple(scores.shape)}, but returned one "
            f"{found}."
        )

    def _blame(self, sound: list[bool], scores: Tensor) -> None:
        culprit = next(index for index in range(self._mended, len(sound)) if not sound[index])
        what = "made NaN of scores" if bool(scores.isnan().any()) else "left a row with no token to choose (all -inf)"
        first = "The model or the" if culprit == 0 else "The"
        raise GenerationError(
            f"{first} logits processor {self._entries[culprit].name} {what}; "
            "loosen it, or set remove_invalid_values=True."
        )

    def of_type(self, kind: type[Kind]) -> list[Kind]:
        """Those of one class."""
        return [entry.process for entry in self._entries if isinstance(entry.process, kind)]

    def reorder(self, rows: Tensor) -> None:
        """Tell those that remember rows where these went."""
        for entry in self._entries:
            if isinstance(entry.process, FollowsRows):
                entry.process.reorder(rows)


class RemoveInvalidValues:
    """NaN becomes 0 and infinities the greatest numbers there are, so that a model in half precision can go on."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Mend the scores."""
        return scores.nan_to_num_(0.0)


class Renormalize:
    """Scores become log-probabilities again."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Normalize each row."""
        return scores.log_softmax(-1)
