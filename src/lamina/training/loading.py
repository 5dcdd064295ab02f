"""From rows to batches: each is made under a seed of its own, so that masks drawn for it depend on nothing else."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from ..errors import TrainingError
from ..files.shown import few
from .chance import seeded

Collator = Callable[[list[dict[str, Any]]], Mapping[str, Any]]
LABELS = ("label", "label_ids", "labels")


class Batches(Dataset[dict[str, Any]]):
    """The batches of one epoch by their number."""

    def __init__(
        self,
        rows: Any,
        plan: Sequence[Sequence[int]],
        collator: Collator,
        columns: set[str] | None,
        seed: tuple[Any, ...],
    ):
        """`columns` are those that the collator gets, all of them where None."""
        self.rows, self.plan, self.collator, self.columns, self.seed = rows, plan, collator, columns, seed

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, number: int) -> dict[str, Any]:
        with seeded(*self.seed, number):
            found = self.collator([self._row(row) for row in self.plan[number]])
        return dict(found)

    def _row(self, number: int) -> dict[str, Any]:
        row = self.rows[number]
        if not isinstance(row, Mapping):
            raise TrainingError(f"row {number} of the dataset is a {type(row).__name__}: rows must be dicts of columns")
        kept = {key: value for key, value in row.items() if self.columns is None or key in self.columns}
        if not kept:
            raise TrainingError(
                f"row {number} has only the columns {sorted(row)}, and the model takes none of them: tokenize the "
                "texts first, or set remove_unused_columns=False"
            )
        return kept


def load(batches: Batches, start: int, workers: int, pin: bool) -> Iterator[dict[str, Any]]:
    """Batches from number `start` on, made ahead by `workers` processes where there are any."""
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=range(start, len(batches)),
        num_workers=workers,
        pin_memory=pin,
        generator=torch.Generator(),  # its own, since making an iterator draws a number
    )
    yield from loader


def model_columns(model: Any, label_names: Sequence[str]) -> set[str]:
    """The columns that a model's forward takes, and labels under any of their names."""
    forward = inspect.signature(getattr(model, "forward", model)).parameters
    return {*forward, *label_names, *LABELS}


def check_rows(dataset: Any, what: str) -> None:
    """Refuse what is not a dataset before anything is computed."""
    if dataset is None:
        raise TrainingError(f"there is no {what}: pass it to the Trainer")
    if isinstance(dataset, Mapping):
        raise TrainingError(f"{what} is a dict with {few(dataset)}: pass one dataset, such as a list of dicts")
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        raise TrainingError(f"{what} must have __len__ and __getitem__; {type(dataset).__name__} does not: make a list")
    if len(dataset) == 0:
        raise TrainingError(f"{what} has no rows")
