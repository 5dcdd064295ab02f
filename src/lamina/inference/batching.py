"""Which rows share a forward pass: rows of like length together, so that little padding is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

TOKENS = 1024  # padded tokens of one batch: past this a CPU gains nothing and its caches lose
WINDOW = 256  # inputs looked at together: enough to sort well, few enough to hold in memory

Item = TypeVar("Item")
Result = TypeVar("Result")


def plan_batches(lengths: Sequence[int], tokens: int = TOKENS, rows: int | None = None) -> list[list[int]]:
    """Row numbers of each batch, short rows first.

    A batch holds at most `rows` rows, and at most `tokens` tokens once its rows are padded to the longest. A row longer
    than `tokens` is a batch of its own. Rows of equal length keep their order.
    """
    batches: list[list[int]] = []
    for number in sorted(range(len(lengths)), key=lengths.__getitem__):
        batch = batches[-1] if batches else None
        full = batch is None or len(batch) == rows or (len(batch) + 1) * lengths[number] > tokens
        if batch is None or full:
            batches.append([number])
        else:
            batch.append(number)
    return batches


def run_by_length(
    rows: Sequence[Item],
    run: Callable[[list[Item]], Sequence[Result]],
    length: Callable[[Item], int],
    *,
    tokens: int = TOKENS,
    batch_size: int | None = None,
) -> list[Result]:
    """What `run` makes of every row, in the order of `rows`, called on batches of like length.

    `run` gets a list of rows and returns one result for each.
    """
    found: dict[int, Result] = {}
    for batch in plan_batches([length(row) for row in rows], tokens, batch_size):
        found.update(zip(batch, run([rows[number] for number in batch]), strict=True))
    return [found[number] for number in range(len(rows))]


def windows(items: Iterable[Item], size: int = WINDOW, first: int | None = None) -> Iterator[list[Item]]:
    """Successive runs of `items`, none longer than `size`.

    With `first` the first run has that many and each next one twice as many, so that a slow source shows its first
    results soon. Never reads further ahead than the run it yields.
    """
    source = iter(items)
    count = size if first is None else min(first, size)
    while window := list(islice(source, count)):
        yield window
        count = min(2 * count, size)
