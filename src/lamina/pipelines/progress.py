"""A progress bar for work that takes long, shown to people only."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

PATIENCE = 1.0  # seconds of work before a bar appears

Item = TypeVar("Item")


def track(items: Iterable[Item], total: int | None, description: str, done: int = 0) -> Iterator[Item]:
    """`items`, with a bar on standard error once they take longer than a second; silent where that is no terminal.

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
