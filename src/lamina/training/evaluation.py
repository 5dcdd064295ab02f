"""Reading a whole dataset without learning: the loss over all targets, metrics as they come, or every row's scores."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..spec import IGNORED
from .objective import Objective, count_targets
from .ranks import Ranks

Read = Callable[[dict[str, Any]], tuple[Tensor | None, Any]]  # a batch to its loss and its scores


class Rows:
    """Arrays of rows that come in batches in any order; given back whole and in order."""

    def __init__(self) -> None:
        self.parts: list[tuple[list[int], Any]] = []

    def add(self, numbers: list[int], values: Any) -> None:
        """One batch: an array, or a tuple of arrays, with a row per number."""
        self.parts.append((numbers, values))

    def whole(self, pad: int = IGNORED) -> Any:
        """All rows as one array (or tuple of them), padded to the longest."""
        if not self.parts or self.parts[0][1] is None:
            return None
        order = np.argsort(np.concatenate([numbers for numbers, _ in self.parts]), kind="stable")
        if isinstance(self.parts[0][1], tuple):
            columns = zip(*(values for _, values in self.parts), strict=True)
            return tuple(_stacked(list(column), pad)[order] for column in columns)
        return _stacked([values for _, values in self.parts], pad)[order]


def _stacked(arrays: list[Any], pad: int) -> Any:
    shape = tuple(max(sizes) for sizes in zip(*(array.shape[1:] for array in arrays), strict=True))
    padded = []
    for array in arrays:
        widths = [(0, 0), *((0, size - own) for size, own in zip(shape, array.shape[1:], strict=True))]
        padded.append(np.pad(array, widths, constant_values=pad) if any(w for _, w in widths) else array)
    return np.concatenate(padded)


def as_arrays(values: Any) -> Any:
    """Tensors as NumPy arrays, in tuples too."""
    if isinstance(values, (tuple, list)):
        return tuple(as_arrays(value) for value in values)
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        return (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    return values


def scores_of(output: Any, ignored: Collection[str] = ()) -> Any:
    """The logits of an output, or all of them as a tuple; the hidden states of a model without a head."""
    held = dict(output) if isinstance(output, Mapping) else {k: output[k] for k in output.keys()}  # noqa: SIM118
    held = {key: value for key, value in held.items() if key not in ignored}
    found = [held[key] for key in held if key.endswith("logits")]
    found = found or [held[key] for key in held if key == "last_hidden_state"]
    if not found:
        return None
    return found[0] if len(found) == 1 else tuple(found)


def labels_of(batch: Mapping[str, Any], names: Iterable[str]) -> Any:
    """The labels of a batch, a tuple where there are several; None where one lacks."""
    found = [batch.get(name) for name in names]
    if not found or any(value is None for value in found):
        return None
    return found[0] if len(found) == 1 else tuple(found)


class Evaluation:
    """One pass over a dataset, shared by all processes."""

    def __init__(self, ranks: Ranks, metric: Any, stored: bool, pad: int = IGNORED):
        """`metric` takes batches as they come; with `stored` scores and labels are kept for the caller."""
        self.ranks, self.metric, self.stored, self.pad = ranks, metric, stored, pad
        self.predictions, self.labels = Rows(), Rows()
        self.loss, self.targets, self.rows, self.steps = 0.0, 0, 0, 0
        self.scored = False  # whether the metric has taken anything in

    def run(
        self, loader: Iterable[dict[str, Any]], plan: list[list[int]], read: Read, model: Any, names: list[str]
    ) -> float:
        """Read every batch of `plan` that is this process's; returns the seconds it took."""
        began = time.perf_counter()
        count, rank = self.ranks.count, self.ranks.rank
        batches = iter(loader)
        for start in range(0, len(plan), count):
            found = None
            if start + rank < len(plan):
                batch = next(batches)
                loss, scores = read(batch)
                kept = self.metric is not None or self.stored
                labels = as_arrays(labels_of(batch, names)) if kept else None
                value = None if loss is None else float(loss)
                found = (
                    plan[start + rank],
                    value,
                    count_targets(model, batch),
                    as_arrays(scores) if kept else None,
                    labels,
                )
            elif (along := next(batches, None)) is not None:
                read(along)
            for part in self.ranks.collect(found):
                if part is not None:
                    self._take(*part)
        return time.perf_counter() - began

    def _take(self, numbers: list[int], loss: float | None, targets: int, scores: Any, labels: Any) -> None:
        self.rows += len(numbers)
        self.steps += 1
        if loss is not None and targets:
            self.loss += loss * targets
            self.targets += targets
        if self.metric is not None:
            if hasattr(self.metric, "locate"):  # batches come by length, and some metrics must know whose they are
                self.metric.locate(numbers)
            if labels is not None or hasattr(self.metric, "locate"):
                self.metric.update(scores, labels)
                self.scored = True
        if self.stored:
            self.predictions.add(numbers, scores)
            self.labels.add(numbers, labels)

    def summary(self, prefix: str, seconds: float) -> dict[str, float]:
        """The loss and the speed, under the reference's names."""
        found = {} if not self.targets else {f"{prefix}_loss": self.loss / self.targets}
        seconds = max(seconds, 1e-9)
        return found | {
            f"{prefix}_runtime": round(seconds, 4),
            f"{prefix}_samples_per_second": round(self.rows / seconds, 3),
            f"{prefix}_steps_per_second": round(math.ceil(self.steps / self.ranks.count) / seconds, 3),
        }


def reader(
    objective: Objective,
    device: torch.device,
    chosen: Callable[..., Any] | None,
    loss_only: bool,
    ignored: Collection[str] = (),
) -> Read:
    """How a model's batches are read for evaluation: padded, without gradients; `chosen` cuts scores down first."""

    def read(batch: dict[str, Any]) -> tuple[Tensor | None, Any]:
        output = objective(objective.prepare(batch, device))
        loss = output.get("loss") if isinstance(output, dict) else getattr(output, "loss", None)
        scores = None if loss_only else scores_of(output, ignored)
        if scores is not None and chosen is not None:
            scores = chosen(scores, batch.get("labels"))
        return loss, scores

    return read
