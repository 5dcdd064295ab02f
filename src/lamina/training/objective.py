"""One forward pass of training or evaluation: how many targets a batch has, and the loss over them."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import TrainingError
from ..nn.model import Model, Training, read_packed
from ..nn.objectives import labelled_rows
from ..spec import IGNORED, KINDS
from .packing import packed

LABELLED = "labelled rows"  # of a batch: places of the tokens whose logits the loss reads


def takes_training(model: Any) -> bool:
    """Whether a model's forward takes what training asks of it: ours does, and one of a user's that passes it on."""
    known = inspect.signature(model.forward).parameters
    return isinstance(model, Model) and (
        "training" in known or any(each.kind is each.VAR_KEYWORD for each in known.values())
    )


def count_targets(model: Any, batch: dict[str, Any]) -> int:
    """Over how many targets the loss of a batch is a mean: labelled tokens, rows, or numbers."""
    labels = batch.get("labels")
    if labels is None:
        rows = next((value for value in batch.values() if isinstance(value, Tensor)), None)
        return 0 if rows is None else len(rows)
    kind = getattr(model, "kind", None)
    if kind == "replaced-token" and "attention_mask" in batch:
        return int(batch["attention_mask"].sum())
    if labels.is_floating_point():
        return int(labels.numel())
    if kind in KINDS and KINDS[kind].shifted:
        labels = labels[..., 1:]
    return int((labels != IGNORED).sum())


def count_tokens(batch: dict[str, Any]) -> int:
    """Non-padding tokens, those of the source where there are two sides."""
    mask, ids = batch.get("attention_mask"), batch.get("input_ids")
    if mask is not None:
        return int(mask.sum())
    return 0 if ids is None else int(ids.numel())


class Objective(nn.Module):
    """A model with the way its batches are read: padded or packed, and in which precision.

    Packing and logits of labelled tokens alone are for training; evaluation reads padded rows and all their logits.
    """

    def __init__(
        self,
        model: nn.Module,
        padding_free: bool = False,
        dtype: torch.dtype | None = None,
        labelled_only: bool = False,
        smoothing: float = 0.0,
    ):
        super().__init__()
        self.model, self.padding_free, self.dtype, self.smoothing = model, padding_free, dtype, smoothing
        self.labelled_only = labelled_only and takes_training(model)

    def prepare(self, batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
        """`batch` as forward reads it, on the device. What can be decided on the CPU is decided here."""
        batch = {key: value for key, value in batch.items() if key != "special_tokens_mask"}
        self._check_labels(batch.get("labels"))
        if self.padding_free and self.model.training:
            batch = packed(_plain(self.model), batch)
        elif isinstance(self.model, Model) and "attention_mask" in batch and bool(batch["attention_mask"].all()):
            batch.pop("attention_mask")
        rows = self._labelled_rows(batch)
        if rows is not None:
            batch[LABELLED] = rows
        return {
            key: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
            for key, value in batch.items()
        }

    def _labelled_rows(self, batch: dict[str, Any]) -> Tensor | None:
        labels = batch.get("labels")
        if labels is None or not (self.labelled_only and self.model.training):
            return None
        starts = None
        if "lengths" in batch:
            lengths = torch.tensor(batch["lengths"])
            starts = lengths.cumsum(0) - lengths
        return labelled_rows(_plain(self.model).kind, labels, starts)

    def _check_labels(self, labels: Tensor | None) -> None:
        if labels is not None and labels.is_floating_point() and self.smoothing:
            raise TrainingError("label_smoothing_factor is for losses over classes, one label each: these are numbers")
        project = getattr(getattr(self.model, "head", None), "project", None)
        if labels is None or project is None or labels.is_floating_point() or labels.numel() == 0:
            return
        if getattr(self.model.config, "problem_type", None) == "regression" or self.model.kind == "multiple-choice":
            return
        classes, high = project.out_features, int(labels.max())
        if high >= classes > 1:
            raise TrainingError(f"a label is {high}, the model has classes 0 to {classes - 1}")

    def forward(self, batch: dict[str, Any]) -> Any:
        """The loss of a prepared batch as {"loss": ...} while training, the model's whole output otherwise."""
        output = self._read(batch)
        return {"loss": loss_of(output)} if self.model.training else output

    def _read(self, batch: dict[str, Any]) -> Any:
        training = Training(self.smoothing, batch.get(LABELLED)) if self.smoothing or LABELLED in batch else None
        batch = {key: value for key, value in batch.items() if key != LABELLED}
        first = next(value for value in batch.values() if isinstance(value, Tensor))
        with torch.autocast(first.device.type, self.dtype, enabled=self.dtype is not None):
            if "lengths" not in batch:
                return self.model(**batch) if training is None else self.model(**batch, training=training)
            targets = {"labels": batch["labels"]} if "labels" in batch else None
            types = batch.get("token_type_ids")
            return read_packed(_plain(self.model), batch["input_ids"], batch["lengths"], types, targets, training)


def loss_of(output: Any) -> Tensor:
    """The loss of a model's output; TrainingError where it has none."""
    loss = output.get("loss") if isinstance(output, dict) else getattr(output, "loss", None)
    if loss is None:
        raise TrainingError(
            "the model returned no loss: its batches need labels (a column 'labels' or 'label', "
            "or 'start_positions' and 'end_positions')"
        )
    found: Tensor = loss
    return found


def _plain(model: nn.Module) -> Model:
    assert isinstance(model, Model)
    return model
