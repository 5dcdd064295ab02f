"""What stands between a tokenizer and a model: single rows of ids, and the batches made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain
from typing import Any

import numpy.typing as npt
import torch

from ..inference.batching import filler_length
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
    """Rows padded to one length, or end to end in a single one, and where each row's own tokens stand."""

    rows: Sequence[Row]
    inputs: Mapping[str, torch.Tensor]  # each [rows, tokens], or [tokens] of rows end to end
    spans: Sequence[tuple[int, slice]] = field(repr=False)  # of each row: its place in outputs, its tokens there
    width: int = 0  # tokens of an output's row, padding included

    def per_token(self, output: torch.Tensor) -> bool:
        """Whether an output has a vector for every token rather than for every row."""
        return output.dim() == 3 and output.shape[1] == self.width

    def own(self, output: torch.Tensor | npt.NDArray[Any]) -> list[Any]:
        """Each row's part of an output that holds a value per token, free of padding."""
        return [output[place, span] for place, span in self.spans]


def pad_rows(rows: Sequence[Row], tokenizer: Tokenizer, device: torch.device) -> Batch:
    """The batch of `rows`, padded on the tokenizer's side. A single length is left as it is, without a mask of ours."""
    lengths = [len(row) for row in rows]
    longest = max(lengths)
    left = tokenizer.padding_side == "left"
    own = [slice(longest - length, longest) if left else slice(0, length) for length in lengths]
    columns: dict[str, list[list[int]]] = {name: [row.inputs[name] for row in rows] for name in rows[0].inputs}
    if min(lengths) < longest:
        columns.setdefault("attention_mask", [[1] * length for length in lengths])
    fillers = {"input_ids": tokenizer.pad_token_id}
    tensors = {
        name: _rectangle(column, longest, fillers.get(name, PADDED_WITH_ZERO), left).to(device)
        for name, column in columns.items()
    }
    return Batch(rows, tensors, list(enumerate(own)), longest)


def pack_rows(rows: Sequence[Row], device: torch.device) -> tuple[Batch, list[int]]:
    """The batch of `rows` end to end, and their lengths; several rows are filled up to a round number of tokens.

    What fills up is one row more, of token 0, whose answer nobody reads.
    """
    lengths = [len(row) for row in rows]
    ends = list(accumulate(lengths))
    filler = filler_length(ends[-1]) if len(rows) > 1 else 0
    names = [name for name in rows[0].inputs if name != "attention_mask"]
    tensors = {
        name: torch.tensor([*chain.from_iterable(row.inputs[name] for row in rows), *[0] * filler]).to(device)
        for name in names
    }
    spans = [(0, slice(end - length, end)) for end, length in zip(ends, lengths, strict=True)]
    return Batch(rows, tensors, spans, ends[-1] + filler), lengths + [filler] * (filler > 0)


def packs(rows: Sequence[Row]) -> bool:
    """Whether rows have nothing that only a padded batch can say: tokens that are masked, inputs of other kinds."""
    known = {"input_ids", "attention_mask", "token_type_ids"}
    return all(row.inputs.keys() <= known and all(row.inputs.get("attention_mask", ())) for row in rows)


def _rectangle(rows: list[list[int]], width: int, filler: int | None, left: bool) -> torch.Tensor:
    """`rows` as one integer tensor [rows, width]."""
    padded = [[filler or 0] * (width - len(row)) for row in rows]
    return torch.tensor([gap + row if left else row + gap for row, gap in zip(rows, padded, strict=True)])
