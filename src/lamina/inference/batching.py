"""Which rows share a forward pass: rows of like length together, so that little padding is computed, or none."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, islice
from typing import Any, TypeVar

TOKENS = 1024  # of one batch: past this a CPU gains nothing and its caches lose
AT_ONCE = 256  # inputs looked at together: enough to sort well, few enough to hold in memory

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


def plan_evenly(lengths: Sequence[int], tokens: int, abreast: int) -> list[list[int]]:
    """Row numbers of each packed batch, short rows first, where `abreast` batches are computed at once.

    What fits one batch is one. Otherwise their number is a multiple of `abreast`, and they are of about the same number
    of tokens each, at most `tokens`, so that nobody is idle at the end.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    ends = list(accumulate(lengths[number] for number in order))
    if not ends or ends[-1] <= tokens:
        return [order] if order else []
    fewest = math.ceil(ends[-1] / tokens / abreast) * abreast
    for count in range(fewest, len(order), abreast):
        shares: list[list[int]] = [[] for _ in range(count)]
        for number, end in zip(order, ends, strict=True):
            middle = end - lengths[number] / 2
            shares[min(int(middle / ends[-1] * count), count - 1)].append(number)
        batches = [share for share in shares if share]
        if all(len(batch) == 1 or sum(lengths[n] for n in batch) <= tokens for batch in batches):
            return batches
    return [[number] for number in order]


def run_by_length(
    rows: Sequence[Item],
    run: Callable[[list[Item]], Sequence[Result]],
    length: Callable[[Item], int],
    *,
    tokens: int = TOKENS,
    batch_size: int | None = None,
    packed: bool = False,
    abreast: int = 1,
    each: Each = map,
) -> list[Result]:
    """What `run` makes of every row, in the order of `rows`, called on batches of like length.

    `run` gets a list of rows and returns one result for each. `each` calls it on every batch, as `map` does, or on
    `abreast` of them at once.
    """
    found: dict[int, Result] = {}
    lengths = [length(row) for row in rows]
    if abreast > 1 and packed and batch_size is None:
        batches = plan_evenly(lengths, tokens, abreast)
    else:
        batches = plan_batches(lengths, tokens, batch_size, packed=packed)
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


def runs(items: Iterable[Item], size: int = AT_ONCE, first: int | None = None) -> Iterator[list[Item]]:
    """Successive runs of `items`, none longer than `size`.

    With `first` the first run has that many and each next one twice as many, so that a slow source shows its first
    results soon. Never reads further ahead than the run it yields.
    """
    source = iter(items)
    count = size if first is None else min(first, size)
    while run := list(islice(source, count)):
        yield run
        count = min(2 * count, size)
