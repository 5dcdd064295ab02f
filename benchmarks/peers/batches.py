"""How rows of ids become batches: the same three policies for every engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

ROWS, TOKENS = 32, 1024


def arrange(rows: Sequence[Sequence[int]], policy: str, size: int = ROWS) -> list[list[int]]:
    """Row numbers of each batch: "arrival" and "sorted" by `size` rows, "budget" sorted, 1024 tokens once padded."""
    lengths = [len(row) for row in rows]
    order = list(range(len(rows)))
    if policy != "arrival":
        order.sort(key=lengths.__getitem__)
    if policy != "budget":
        return [order[start : start + size] for start in range(0, len(order), size)]
    batches: list[list[int]] = []
    for number in order:
        if not batches or (len(batches[-1]) + 1) * lengths[number] > TOKENS:
            batches.append([])
        batches[-1].append(number)
    return batches


def padded(
    rows: Sequence[Sequence[int]], batch: Sequence[int], filler: int = 0
) -> tuple[list[list[int]], list[list[int]]]:
    """Ids and attention mask of a batch, both of one width."""
    width = max(len(rows[number]) for number in batch)
    ids = [[*rows[number], *[filler] * (width - len(rows[number]))] for number in batch]
    return ids, [[1] * len(rows[number]) + [0] * (width - len(rows[number])) for number in batch]


def every(read: Callable[[list[int]], Sequence[Any]], batches: list[list[int]], apart: int = 1) -> list[Any]:
    """What `read` gives for each row, in their order; `apart` batches are read at once."""
    found: dict[int, Any] = {}
    with ThreadPoolExecutor(apart) as pool:
        for batch, answers in zip(batches, (pool.map if apart > 1 else map)(read, batches), strict=True):
            found.update(zip(batch, answers, strict=True))
    return [found[number] for number in range(len(found))]
