"""Which rows make which batch: a pure function of (seed, epoch), so that any place in it is one number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from .chance import seed_of

WINDOW = 50  # batches whose rows are sorted together: close lengths, and still another mixture every epoch


def epoch_batches(
    count: int, size: int, seed: int, epoch: int, lengths: Sequence[int] | None = None, drop_last: bool = False
) -> list[list[int]]:
    """The numbers 0 to `count` - 1 in random batches of `size`.

    With `lengths` rows of like length share a batch; the batch of the longest row comes first, so that memory runs
    out at once or never.
    """
    generator = torch.Generator().manual_seed(seed_of(seed, "order", epoch))
    order = torch.randperm(count, generator=generator).tolist()
    if lengths is not None:
        window = WINDOW * size
        parts = [order[start : start + window] for start in range(0, count, window)]
        order = [row for part in parts for row in sorted(part, key=lambda row: -lengths[row])]
    batches = [order[start : start + size] for start in range(0, count, size)]
    if batches and drop_last and len(batches[-1]) < size:
        batches.pop()
    if lengths is not None and batches:
        last = batches.pop() if len(batches[-1]) < size else None
        batches = [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]
        if last is not None:
            batches.append(last)
        longest = max(range(len(batches)), key=lambda i: max(lengths[row] for row in batches[i]))
        if len(batches[longest]) == size:
            batches.insert(0, batches.pop(longest))
    return batches


def ordered_batches(count: int, size: int, lengths: Sequence[int] | None = None) -> list[list[int]]:
    """All rows once for evaluation, in order or longest first."""
    order = list(range(count)) if lengths is None else sorted(range(count), key=lambda row: -lengths[row])
    return [order[start : start + size] for start in range(0, count, size)]


def own_share(batches: list[list[int]], rank: int, ranks: int) -> list[list[int]]:
    """The rows of each batch that one of several processes reads; batches too small for all are left out."""
    if ranks == 1:
        return batches
    return [batch[rank::ranks] for batch in batches if len(batch) >= ranks]


def row_lengths(dataset: Any, column: str) -> list[int]:
    """Tokens of every row, from a column that holds them or by looking at each row once."""
    names = getattr(dataset, "column_names", None)
    if names and column in names:
        return [int(length) for length in dataset[column]]
    return [_row_length(dataset[row], column) for row in range(len(dataset))]


def _row_length(row: Mapping[str, Any], column: str) -> int:
    if column in row:
        return int(row[column])
    value = row.get("input_ids", ())
    nested = len(value) > 0 and isinstance(value[0], (list, tuple))
    return max(map(len, value)) if nested else len(value)
