"""Passes side by side: a CPU with several batches at hand computes each on one thread, and several at once.

Two threads that share every product of a small model wait for each other after each; two that share nothing do not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier
from typing import TypeVar

import torch

from ..nn.model import Model

Batch = TypeVar("Batch")
Result = TypeVar("Result")


@cache
def workers(count: int) -> ThreadPoolExecutor:
    """As many threads, each of which computes alone."""
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


def side_by_side(run: Callable[[Batch], Result], batches: Sequence[Batch]) -> Iterator[Result]:
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
