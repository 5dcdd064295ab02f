"""Statistics of columns by the official rules, as SQL aggregates: as many passes over a column as its kind needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .cells import dumps
from .columns import Steps, steps_of
from .engine import Engine, Table
from .errors import UnreadableData
from .jobs import Progress
from .jsonfile import read_object
from .keeping import prune, written
from .stop import Stop

VERSION = 1  # of the rules; part of a result's name
LARGEST = 1 << 30  # bytes of all results kept
AT_ONCE = ("csv", "json", "text")  # formats in which one column costs as much as all


def statistics_path(table: Table, cache: Path) -> Path:
    """Where the statistics of a split are kept: a change of its files gives them another name."""
    return cache / "statistics" / f"{table.split.fingerprint}-{VERSION}.json"


def compute(engine: Engine, table: Table, cache: Path, stop: Stop, progress: Progress) -> dict[str, Any]:
    """The answer of /statistics, from the cache or computed now; columns appear in `progress` as they are finished."""
    path = statistics_path(table, cache)
    if path.is_file():
        try:
            kept = read_object(path, path.name)
            progress.found[:] = kept["statistics"]
            progress.done = progress.total = len(progress.found)
            return kept
        except (UnreadableData, KeyError, TypeError):
            path.unlink(missing_ok=True)
    columns = {name: steps for name in table.types if (steps := steps_of(table, name)) is not None}
    progress.total = len(columns)
    found: dict[str, Any] = {}
    for group in [list(columns)] if table.split.format in AT_ONCE else [[name] for name in columns]:
        progress.label = group[0] if len(group) == 1 else f"{len(group)} columns"
        for name, (kind, values) in run_steps(engine, table, {name: columns[name] for name in group}, stop).items():
            found[name] = {"column_name": name, "column_type": kind, "column_statistics": values}
            progress.found.append(found[name])
            progress.done += 1
    answer = {"num_examples": table.num_rows, "statistics": list(found.values()), "partial": table.partial}
    prune(path.parent, LARGEST)
    with written(path) as fresh:
        fresh.write_bytes(dumps(answer))
    return answer


def run_steps(
    engine: Engine, table: Table, columns: dict[str, Steps], stop: Stop
) -> dict[str, tuple[str, dict[str, Any]]]:
    """Run the columns' steps side by side: one pass over the rows answers the questions of all of them."""
    finished: dict[str, tuple[str, dict[str, Any]]] = {}
    asked: dict[str, Sequence[str]] = {name: next(steps) for name, steps in columns.items()}
    while asked:
        answers = engine.aggregate(table, [each for questions in asked.values() for each in questions], stop)
        place = 0
        following: dict[str, Sequence[str]] = {}
        for name, questions in asked.items():
            own = answers[place : place + len(questions)]
            place += len(questions)
            try:
                following[name] = columns[name].send(own)
            except StopIteration as end:
                finished[name] = end.value
        asked = following
    return {name: finished[name] for name in columns}
