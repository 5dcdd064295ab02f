"""Which rows share a forward pass: rows of like length together, so that little padding is computed, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

TOKENS = 1024  # of one batch: past this a CPU gains nothing and its caches lose
WINDOW = 256  # inputs looked at together: enough to sort well, few enough to hold in memory

Item = TypeVar("Item")
Result = TypeVar("Result")
Each = Callable[[Callable[..., Any], Sequence[Any]], Iterable[Any]]


def plan_batches(
    lengths: Sequence[int], tokens: int = TOKENS, rows: int | None = None, *, packed: bool = False
) -> list[list[int]]:
    """Row numbers of each batch, short rows first.

    A batch holds at most `rows` rows, and at most `tokens` tokens: once its rows are padded to the longest, or with
    `packed` those that are really there. A row longer than `tokens` is a batch of its own. Rows of equal length keep
    their order.
    """
    batches: list[list[int]] = []
    held = 0  # tokens in the last batch
    for number in sorted(range(len(lengths)), key=lengths.__getitem__):
        batch = batches[-1] if batches else None
        room = held + lengths[number] if packed or batch is None else (len(batch) + 1) * lengths[number]
        if batch is None or len(batch) == rows or room > tokens:
            batches.append([number])
            held = lengths[number]
        else:
            batch.append(number)
            held += lengths[number]
    return batches


def run_by_length(
    rows: Sequence[Item],
    run: Callable[[list[Item]], Sequence[Result]],
    length: Callable[[Item], int],
    *,
    tokens: int = TOKENS,
    batch_size: int | None = None,
    packed: bool = False,
    each: Each = map,
) -> list[Result]:
    """What `run` makes of every row, in the order of `rows`, called on batches of like length.

    `run` gets a list of rows and returns one result for each. `each` calls it on every batch, as `map` does.
    """
    found: dict[int, Result] = {}
    batches = plan_batches([length(row) for row in rows], tokens, batch_size, packed=packed)
    for batch, results in zip(batches, each(run, [[rows[n] for n in batch] for batch in batches]), strict=True):
        found.update(zip(batch, results, strict=True))
    return [found[number] for number in range(len(rows))]


def filler_length(tokens: int) -> int:
    """How many tokens to add to a packed batch, so that batches come in few sizes.

    Kernels are made for each size when it is first met, which costs about a millisecond per layer. A batch grows by a
    sixteenth at most.
    """
    step = 8
    while step < 32 and step * 32 <= tokens:
        step *= 2
    return -tokens % step


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
