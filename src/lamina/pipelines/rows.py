"""What stands between a tokenizer and a model: single rows of ids, and the padded batches made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ..tokenizers.tokenizer import Tokenizer

PADDED_WITH_ZERO = 0


@dataclass(frozen=True)
class Row:
    """One sequence for the model, and what its pipeline must remember until the answer is there."""

    inputs: Mapping[str, list[int]]  # input_ids, attention_mask, ...: equally long
    memory: Any = None

    def __len__(self) -> int:
        return len(self.inputs["input_ids"])


@dataclass(frozen=True)
class Batch:
    """Rows padded to one length, and where in it each row's own tokens stand."""

    rows: Sequence[Row]
    inputs: Mapping[str, torch.Tensor]  # each [rows, tokens]
    spans: Sequence[slice] = field(repr=False)


def pad_rows(rows: Sequence[Row], tokenizer: Tokenizer, device: torch.device) -> Batch:
    """The batch of `rows`, padded on the tokenizer's side. A single length is left as it is, without a mask of ours."""
    lengths = [len(row) for row in rows]
    longest = max(lengths)
    left = tokenizer.padding_side == "left"
    spans = [slice(longest - length, longest) if left else slice(0, length) for length in lengths]
    columns: dict[str, list[list[int]]] = {name: [row.inputs[name] for row in rows] for name in rows[0].inputs}
    if min(lengths) < longest:
        columns.setdefault("attention_mask", [[1] * length for length in lengths])
    fillers = {"input_ids": tokenizer.pad_token_id}
    tensors = {
        name: _rectangle(column, longest, fillers.get(name, PADDED_WITH_ZERO), left).to(device)
        for name, column in columns.items()
    }
    return Batch(rows, tensors, spans)


def _rectangle(rows: list[list[int]], width: int, filler: int | None, left: bool) -> torch.Tensor:
    """`rows` as one integer tensor [rows, width]."""
    padded = [[filler or 0] * (width - len(row)) for row in rows]
    return torch.tensor([gap + row if left else row + gap for row, gap in zip(rows, padded, strict=True)])
