"""A padded batch made into one without padding, on the CPU, before it goes to the model."""

from __future__ import annotations

from typing import Any

import torch

from ..errors import TrainingError
from ..nn.model import Model, packable
from ..spec import KINDS

TAKEN = {"input_ids", "attention_mask", "token_type_ids", "labels", "special_tokens_mask"}


def check_packable(model: Any) -> None:
    """Refuse `padding_free` for models that cannot read packed rows, before anything is computed."""
    if not isinstance(model, Model) or not packable(model) or model.kind == "question-answering":
        kind = getattr(model, "kind", type(model).__name__)
        raise TrainingError(f"padding_free=True cannot be had for a {kind} model: use group_by_length=True")


def packed(model: Model, batch: dict[str, Any]) -> dict[str, Any]:
    """`batch` of padded rows with its tokens end to end, short rows first; padding may be on either side."""
    foreign = [key for key in batch if key not in TAKEN]
    if foreign:
        raise TrainingError(f"padding_free=True cannot pack the columns {foreign}")
    ids = batch["input_ids"]
    mask = batch.get("attention_mask")
    mask = torch.ones_like(ids) if mask is None else mask
    lengths = mask.sum(1)
    order = lengths.argsort(stable=True)
    real = mask[order].bool()
    found: dict[str, Any] = {"input_ids": ids[order][real], "lengths": lengths[order].tolist()}
    if "token_type_ids" in batch:
        found["token_type_ids"] = batch["token_type_ids"][order][real]
    if "labels" in batch:
        labels = batch["labels"][order]
        found["labels"] = labels[real] if KINDS[model.kind].per_token else labels
    return found
