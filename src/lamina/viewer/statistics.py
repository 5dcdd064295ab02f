"""Statistics of columns by the official rules, in as few passes over the files as their kinds need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from .cells import dumps
from .columns import Head, Numbers, Question, Steps, steps_of
from .engine import Engine, Table
from .errors import UnreadableData
from .jobs import Progress
from .jsonfile import read_object
from .keeping import prune, written
from .stop import Stop
from .values import Values, numbers

VERSION = 1  # of the rules; part of a result's name
LARGEST = 1 << 30  # bytes of all results kept
AT_ONCE = ("csv", "json", "text")  # formats in which one column costs as much as all
HELD = 256 << 20  # bytes of values held at once; a column of more is read several times
WIDTH = 8  # bytes of a value
TOGETHER = 64  # columns described together at most
SIDE_BY_SIDE = 2  # groups of them at once: one is read while another is reckoned with
BATCH = 1 << 17  # rows
SAMPLE = 3000  # rows that tell texts from labels, where they can


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

    def describe(group: Sequence[str]) -> None:
        stop.check()
        progress.label = group[0] if len(group) == 1 else f"{len(group)} columns"
        for name, (kind, values) in run_steps(engine, table, {name: columns[name] for name in group}, stop).items():
            found[name] = {"column_name": name, "column_type": kind, "column_statistics": values}
            progress.found.append(found[name])
            progress.done += 1

    with ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="viewer-statistics") as pool:
        list(pool.map(describe, groups(table, list(columns))))
    ordered = [found[name] for name in columns]
    answer = {"num_examples": table.num_rows, "statistics": ordered, "partial": table.partial}
    prune(path.parent, LARGEST)
    with written(path) as fresh:
        fresh.write_bytes(dumps(answer))
    return answer


def groups(table: Table, names: Sequence[str]) -> list[list[str]]:
    """Columns that one pass describes together: texts apart from the rest, as many as can be held."""
    if table.split.format in AT_ONCE:
        return [list(names)] if names else []
    most = max(1, min(TOGETHER, HELD // SIDE_BY_SIDE // (WIDTH * max(1, table.num_rows))))
    texts = [name for name in names if table.types[name] == "VARCHAR"]
    others = [name for name in names if name not in set(texts)]
    return [kind[start : start + most] for kind in (texts, others) for start in range(0, len(kind), most)]


def run_steps(
    engine: Engine, table: Table, columns: dict[str, Steps], stop: Stop
) -> dict[str, tuple[str, dict[str, Any]]]:
    """Run the columns' steps side by side: one pass over the rows answers the questions of all of them."""
    finished: dict[str, tuple[str, dict[str, Any]]] = {}
    asked: dict[str, Question] = {name: next(steps) for name, steps in columns.items()}
    while asked:
        following: dict[str, Question] = {}
        for name, own in answers(engine, table, asked, stop):
            stop.check()
            try:
                following[name] = columns[name].send(own)
            except StopIteration as end:
                finished[name] = end.value
        asked = following
    return {name: finished[name] for name in columns}


def answers(engine: Engine, table: Table, asked: Mapping[str, Question], stop: Stop) -> Iterator[tuple[str, Any]]:
    """What columns asked for: at most one query for each kind of question."""
    of_head = {name: each.sql for name, each in asked.items() if isinstance(each, Head)}
    of_all = {name: each for name, each in asked.items() if not isinstance(each, Head | Numbers)}
    for questions, head in ((of_head, SAMPLE), (of_all, None)):
        if questions:
            row = iter(engine.aggregate(table, [each for own in questions.values() for each in own], stop, head))
            yield from [(name, [next(row) for _ in own]) for name, own in questions.items()]
    sought = {name: each.sql for name, each in asked.items() if isinstance(each, Numbers)}
    most = HELD // (WIDTH * max(1, table.num_rows))
    for start in range(0, len(sought), max(1, most)):
        portion = dict(list(sought.items())[start : start + max(1, most)])
        if most:
            yield from held(engine, table, portion, stop)
        else:
            yield from ((name, again(engine, table, sql, stop)) for name, sql in portion.items())


def held(engine: Engine, table: Table, sought: Mapping[str, str], stop: Stop) -> Iterator[tuple[str, Values]]:
    """Values read once, all columns in one pass."""
    found: dict[str, list[Any]] = {name: [] for name in sought}
    for batch in engine.batches(table, sought, stop, BATCH):
        for pieces, column in zip(found.values(), batch.columns, strict=True):
            pieces.append(numbers(column))
    for name in sought:
        yield name, Values(partial(iter, found.pop(name)), held=True)


def again(engine: Engine, table: Table, sql: str, stop: Stop) -> Values:
    """Values that are too many to be held."""
    return Values(
        lambda: (numbers(batch.column(0)) for batch in engine.batches(table, {"value": sql}, stop, BATCH)), held=False
    )
