"""The statistics of one column: a generator that asks for SQL aggregates or for all values, until it knows all."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from .duck import identifier
from .engine import Table
from .features import class_names
from .lexing import words_in
from .values import Values, finite, seconds_since

DECIMALS = 5
BINS = 10
MOST_LABELS = 1000
LABEL_SHARE = 0.2
LONGEST_LABEL = 1000  # characters: a few huge texts are not labels, and would all stand in the answer
NO_LABEL = -1
SURELY_TEXT = 3 * MOST_LABELS  # of an estimate that is off by a few percent


@dataclass(frozen=True)
class Numbers:
    """Asks for all values of an expression; answered with `Values`."""

    sql: str


@dataclass(frozen=True)
class Head:
    """Asks for aggregates over the first rows alone."""

    sql: Sequence[str]


Question = Sequence[str] | Head | Numbers  # texts are aggregates over all rows
Steps = Generator[Question, Any, tuple[str, dict[str, Any]]]
INTEGERS = words_in("TINYINT SMALLINT INTEGER BIGINT UTINYINT USMALLINT UINTEGER UBIGINT")
HUGE = words_in("HUGEINT UHUGEINT")
DATES = frozenset(("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"))


def steps_of(table: Table, name: str) -> Steps | None:
    """The steps for a column, None for kinds that have no statistics: structs, bytes, times of day."""
    kind = table.types[name]
    column = identifier(name)
    names = class_names(table.features.get(name))
    rows = table.num_rows
    if names is not None and kind in INTEGERS | HUGE:
        return class_label(column, rows, names)
    if kind == "BOOLEAN":
        return boolean(column, rows)
    if kind in INTEGERS:
        return integer(column, rows, "int")
    if kind in HUGE:
        return huge(column, rows)
    if kind in ("FLOAT", "DOUBLE") or kind.startswith("DECIMAL("):
        return floating(f"CAST({column} AS DOUBLE)", rows)
    if kind == "VARCHAR" or kind.startswith("ENUM("):
        return text(f"CAST({column} AS VARCHAR)", rows)
    if kind.endswith("]"):
        return integer(f"CAST(len({column}) AS INTEGER)", rows, "list")
    return date(f"CAST({column} AS TIMESTAMP)", rows, "+0000" if "ZONE" in kind else "") if kind in DATES else None


def share(count: int, rows: int) -> float:
    """A proportion, rounded as officially."""
    return round(count / rows, DECIMALS) if rows else 0.0


def missing(count: int, rows: int) -> dict[str, Any]:
    """How many values there are none of."""
    return {"nan_count": count, "nan_proportion": share(count, rows)}


def nothing(rows: int) -> dict[str, Any]:
    """The statistics of a column without values."""
    return missing(rows, rows) | dict.fromkeys(("min", "max", "mean", "median", "std", "histogram"))


def rounded(value: float | None) -> float | None:
    """Five decimals; None where there is no number, such as the deviation of one value."""
    return None if value is None or not math.isfinite(value) else round(float(value), DECIMALS)


def integer_edges(low: int, high: int) -> list[int]:
    """Edges of up to ten bins of one whole width; the last bin is closed."""
    width = -(-(high - low + 1) // BINS)
    return [*range(low, high + 1, width), high]


def float_edges(low: float, high: float) -> list[float]:
    """Edges of ten bins, or of one where all values are equal."""
    if low == high:
        return [low, high]
    width = high / BINS - low / BINS
    return [*(low + place * width for place in range(BINS)), high]


def bars(counts: Sequence[int], total: int) -> list[int]:
    """Sizes of bins from how many values lie below their edges."""
    sums = [0, *counts, total]
    return [high - low for low, high in pairwise(sums)]


def described(
    values: Values,
    rows: int,
    edges: Sequence[float],
    said: Callable[[Any], Any],
    between: Callable[[float], Any] = rounded,
) -> dict[str, Any]:
    """The statistics of numbers that there are some of; `said` writes one of them, `between` what may lie between."""
    return {
        **missing(rows - values.count, rows),
        "min": said(values.low),
        "max": said(values.high),
        "mean": between(values.mean),
        "median": between(values.median()),
        "std": rounded(values.deviation),
        "histogram": {
            "hist": bars(values.below(edges[1:-1]), values.count),
            "bin_edges": [said(edge) for edge in edges],
        },
    }


def integer(value: str, rows: int, kind: str) -> Steps:
    values = yield Numbers(value)
    if not values.count:
        return kind, nothing(rows)
    return kind, described(values, rows, integer_edges(values.low, values.high), int)


def huge(column: str, rows: int) -> Steps:
    """Whole numbers of more than 64 bits: their ends exactly, the rest as floats."""
    low, high = yield [f"min({column})", f"max({column})"]
    values = yield Numbers(f"CAST({column} AS DOUBLE)")
    if not values.count:
        return "int", nothing(rows)
    found = described(values, rows, integer_edges(low, high), int)
    return "int", found | {"min": low, "max": high}


def floating(value: str, rows: int) -> Steps:
    """Numbers with a fraction. NaN counts as missing; infinities are counted apart and left out of the rest."""
    found = yield Numbers(value)
    infinite, values = found.infinite(), found.mapped(finite)
    odd = {"infinite_count": infinite} if infinite else {}
    if not values.count:
        return "float", nothing(rows) | missing(rows - infinite, rows) | odd
    whole = described(values, rows, float_edges(values.low, values.high), rounded)
    return "float", whole | missing(rows - values.count - infinite, rows) | odd


def text(column: str, rows: int) -> Steps:
    """Few different texts are labels; of others the lengths are described."""
    (different,) = yield Head([f"count(DISTINCT {column})"])
    if different <= MOST_LABELS:  # else the first rows have too many already
        estimate, count, longest = yield [
            f"approx_count_distinct({column})",
            f"count({column})",
            f"max(length({column}))",
        ]
        if estimate <= SURELY_TEXT and (longest or 0) <= LONGEST_LABEL:
            (histogram,) = yield [f"histogram({column})"]
            found = histogram or {}
            different = len(found) + (count < rows)
            if different <= BINS or (different <= MOST_LABELS and different / rows <= LABEL_SHARE):
                return "string_label", categorical(found, rows - count, rows)
    return (yield from integer(f"CAST(length({column}) AS INTEGER)", rows, "string_text"))


def categorical(frequencies: dict[str, int], absent: int, rows: int) -> dict[str, Any]:
    """Labels, the most frequent first."""
    ordered = sorted(frequencies.items(), key=lambda each: (-each[1], each[0]))
    return {
        **missing(absent, rows),
        "no_label_count": 0,
        "no_label_proportion": 0.0,
        "n_unique": len(ordered),
        "frequencies": dict(ordered),
    }


def class_label(column: str, rows: int, names: Sequence[str]) -> Steps:
    """Every class that is declared, in its order; -1 stands for no label."""
    count, histogram = yield [f"count({column})", f"histogram({column})"]
    counts = histogram or {}
    unlabeled = counts.get(NO_LABEL, 0)
    return "class_label", {
        **missing(rows - count, rows),
        "no_label_count": unlabeled,
        "no_label_proportion": share(unlabeled, rows),
        "n_unique": len(names),
        "frequencies": {name: counts.get(place, 0) for place, name in enumerate(names)},
    }


def boolean(column: str, rows: int) -> Steps:
    """True and False, where they occur."""
    true, false = yield [f"count(*) FILTER ({column})", f"count(*) FILTER (NOT {column})"]
    frequencies = {name: count for name, count in (("False", false), ("True", true)) if count}
    return "bool", {**missing(rows - true - false, rows), "frequencies": frequencies}


def date(column: str, rows: int, zone: str) -> Steps:
    """Moments, described by the whole seconds since the first; those at infinity are left out."""
    values = yield Numbers(f"CASE WHEN isfinite({column}) THEN epoch_us({column}) END")
    if not values.count:
        return "datetime", nothing(rows)
    first = values.low
    seconds = values.mapped(seconds_since(first))

    def said(value: float) -> str:
        return moment(first, round(value, DECIMALS), zone)

    found = described(seconds, rows, integer_edges(0, seconds.high), said, said)
    return "datetime", found | {"std": str(datetime.timedelta(seconds=seconds.deviation or 0))}


def moment(first: int, seconds: float, zone: str) -> str:
    """A moment as officially written, to the second; one beyond the year 9999 as the seconds since 1970."""
    try:
        found = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=first, seconds=seconds)
    except OverflowError:
        return f"{first // 1_000_000 + round(seconds)} s"
    return f"{found:%Y-%m-%d %H:%M:%S}{zone}"
