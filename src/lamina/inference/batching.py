"""Which rows share a forward pass, how large it is on this machine, and how many run at once.

Rows of like length share a pass, so that little padding is computed, or none. A CPU with several at hand computes each
on one thread, and several at once: two threads that share every product of a small model wait for each other after
each, two that share nothing do not. Freed memory is given back to the system, or kept for what comes next.

By itself glibc does neither well. It keeps what lies between blocks still in use: where large tensors that soon go and
small ones that stay take turns, as when one layer after another is swapped, that comes to half of what is needed. And
it gives large blocks back at once, to ask for them a moment later as zeroed pages: a tenth of a training step on a CPU.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import accumulate, islice
from pathlib import Path
from threading import Barrier
from typing import Any, TypeVar

import torch

from ..errors import InputError, LaminaError
from ..files.atomic import write_text
from ..files.jsonfile import read_json_object
from ..nn.model import Model

TOKENS = 1024  # of one batch: past this a CPU gains nothing and its caches lose
AT_ONCE = 256  # inputs looked at together: enough to sort well, few enough to hold in memory
ACCELERATOR_TOKENS = 16384  # an accelerator starves on less
CANDIDATES = (256, 512, 1024, 2048, 4096)
SMALLEST, LARGEST = 64, 1 << 17
WORTH = 1.03  # times the speed, before a larger budget, which takes more memory, is preferred
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4  # of mallopt(3)
NEVER = -1
# Once told anything, the C library no longer adapts; this is where a process that frees large blocks would have ended.
AFTERWARDS = {MMAP_MAX: 65536, MMAP_THRESHOLD: 32 << 20, TRIM_THRESHOLD: 64 << 20}

PATIENCE = 1.0  # seconds of work before a progress bar appears

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


def budget_file() -> Path:
    """Where measured budgets are kept, for all models of this user."""
    return Path.home() / ".cache" / "lamina" / "batching.json"


def budget_key(device: str) -> str:
    """What a budget was measured for."""
    return f"{device}, {torch.get_num_threads()} threads" if device == "cpu" else device


def token_budget(device: str) -> int:
    """Tokens of one pass on a kind of device ("cpu", "cuda"): what `keep_budget` wrote, or the default."""
    default = TOKENS if device == "cpu" else ACCELERATOR_TOKENS
    return _kept(budget_file()).get(budget_key(device), default)


@cache
def _kept(file: Path) -> Mapping[str, int]:
    try:
        found = read_json_object(file) if file.is_file() else {}
    except (LaminaError, OSError):  # a damaged note costs its advice, nothing more
        return {}
    return {key: size for key, size in found.items() if isinstance(size, int) and SMALLEST <= size <= LARGEST}


def keep_budget(device: str, tokens: int) -> Path:
    """Use `tokens` for a pass on this machine from now on; gives the file it was noted in."""
    if not SMALLEST <= tokens <= LARGEST:
        raise InputError(f"a budget of {tokens} tokens makes no sense: {SMALLEST} to {LARGEST}")
    file = budget_file()
    _kept.cache_clear()  # another process may have noted its own since
    kept = {**_kept(file), budget_key(device): tokens}
    write_text(file, json.dumps(kept, indent=2, sort_keys=True) + "\n", InputError)
    _kept.cache_clear()
    return file


def measure_budget(run: Callable[[int], object], candidates: tuple[int, ...] = CANDIDATES, rounds: int = 3) -> int:
    """The budget at which `run(tokens)`, which does the same work in passes of that many tokens, is fastest.

    Rounds alternate and the best of each counts, so that a busy neighbor does not decide.
    """
    best = dict.fromkeys(candidates, float("inf"))
    for tokens in candidates:
        run(tokens)  # kernels are made on the first pass
    for _ in range(rounds):
        for tokens in candidates:
            start = time.perf_counter()
            run(tokens)
            best[tokens] = min(best[tokens], time.perf_counter() - start)
    chosen = candidates[0]
    for tokens in candidates[1:]:
        if best[tokens] * WORTH < best[chosen]:
            chosen = tokens
    return chosen


@cache
def workers(count: int) -> ThreadPoolExecutor:
    """A pool of `count` threads; torch uses one thread in each."""
    everybody = Barrier(count)

    def settle() -> None:
        torch.get_num_threads()  # a thread that torch does not know yet would take the caller's number after all
        torch.set_num_threads(1)
        everybody.wait()

    pool = ThreadPoolExecutor(count, thread_name_prefix="lamina-pass")
    for each in [pool.submit(settle) for _ in range(count)]:
        each.result()
    torch.set_num_threads(count)  # for the caller and for threads yet to come: what a worker sets, those inherit
    return pool


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=workers.cache_clear)  # threads do not survive a fork


def runs_apart(model: object) -> bool:
    """Whether several passes of a model may run at once: one of ours, on a CPU, and not compiled."""
    if not isinstance(model, Model):
        return False
    stack = model.decoder or model.encoder
    return stack is not None and stack.embeddings.tokens.weight.is_cpu and "forward" not in vars(stack)


def abreast(model: object) -> int:
    """How many passes of a model run at once."""
    return torch.get_num_threads() if runs_apart(model) else 1


def side_by_side(run: Callable[[Item], Result], batches: Sequence[Item]) -> Iterator[Result]:
    """What `run` makes of each batch, in their order; like `map`, with as many running at once as torch has threads.

    Batches left over, fewer than there are threads, are run one after another on all of them. `run` must be safe to
    call from several threads, and set the inference mode it wants by itself.
    """
    threads = torch.get_num_threads()
    apart = 0 if torch.is_autocast_enabled("cpu") else len(batches) // threads * threads  # autocast is the caller's own
    if threads > 1 and apart:
        yield from workers(threads).map(run, batches[:apart])
        batches = batches[apart:]
    yield from map(run, batches)


@cache
def _glibc() -> Any:
    """The C library, where it is the one that these calls are of; None elsewhere."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None


def give_back_freed() -> None:
    library = _glibc()
    if library is not None:
        library.malloc_trim(0)


@contextmanager
def freed_kept(device: torch.device) -> Iterator[None]:
    """Keep freed memory inside, for work on a CPU that asks for as much again; afterwards it goes back."""
    library = _glibc() if device.type == "cpu" else None
    if library is None:
        yield
        return
    library.mallopt(MMAP_MAX, 0)
    library.mallopt(TRIM_THRESHOLD, NEVER)
    try:
        yield
    finally:
        for name, value in AFTERWARDS.items():
            library.mallopt(name, value)
        give_back_freed()


def track(items: Iterable[Item], total: int | None, description: str, done: int = 0) -> Iterator[Item]:
    """`items`, with a bar on standard error once they take longer than a second; silent unless that is a terminal.

    `done` of `total` were there before these.
    """
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    began = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=True) as bar:
        row = bar.add_task(description, total=total, completed=done)
        for item in items:
            if bar.disable and time.monotonic() - began > PATIENCE:
                bar.disable = False
                bar.start()
            yield item
            bar.advance(row)
