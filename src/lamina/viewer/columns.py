"""The statistics of one column: a generator that asks for SQL aggregates and gets their values, until it knows all."""

from __future__ import annotations

import datetime
import math
from collections.abc import Generator, Sequence
from itertools import pairwise
from typing import Any

from .duck import identifier
from .engine import Table
from .features import class_names
from .lexing import words_in

DECIMALS = 5
BINS = 10
MOST_LABELS = 1000
LABEL_SHARE = 0.2
LONGEST_LABEL = 1000  # characters: a few huge texts are no labels, and would all stand in the answer
NO_LABEL = -1
SURELY_TEXT = 3 * MOST_LABELS  # of an estimate that is off by a few percent
EXACT_MEDIAN = 50_000_000  # rows up to which all values are held to find the middle one

Steps = Generator[Sequence[str], Sequence[Any], tuple[str, dict[str, Any]]]
INTEGERS = words_in("TINYINT SMALLINT INTEGER BIGINT HUGEINT UTINYINT USMALLINT UINTEGER UBIGINT UHUGEINT")
DATES = frozenset(("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"))


def steps_of(table: Table, name: str) -> Steps | None:
    """The steps for a column, None for kinds that have no statistics: structs, bytes, times of day."""
    kind = table.types[name]
    column = identifier(name)
    names = class_names(table.features.get(name))
    rows = table.num_rows
    if names is not None and kind in INTEGERS:
        return class_label(column, rows, names)
    if kind == "BOOLEAN":
        return boolean(column, rows)
    if kind in INTEGERS:
        return integer(column, rows, "int")
    if kind in ("FLOAT", "DOUBLE") or kind.startswith("DECIMAL("):
        return floating(f"CAST({column} AS DOUBLE)", rows)
    if kind == "VARCHAR" or kind.startswith("ENUM("):
        return text(f"CAST({column} AS VARCHAR)", rows)
    if kind.endswith("]"):
        return integer(f"len({column})", rows, "list")
    return date(f"CAST({column} AS TIMESTAMP)", rows, "+0000" if "ZONE" in kind else "") if kind in DATES else None


def share(count: int, rows: int) -> float:
    """A proportion, rounded as officially."""
    return round(count / rows, DECIMALS) if rows else 0.0


def missing(count: int, rows: int) -> dict[str, Any]:
    """How many values there are none of."""
    return {"nan_count": count, "nan_proportion": share(count, rows)}


def numeric(value: str, rows: int) -> list[str]:
    """Count, least, greatest, mean, median and standard deviation."""
    median = f"median({value})" if rows <= EXACT_MEDIAN else f"approx_quantile({value}, 0.5)"
    return [
        f"count({value})",
        f"min({value})",
        f"max({value})",
        f"avg({value})",
        f"CAST({median} AS DOUBLE)",
        f"stddev_samp(CAST({value} AS DOUBLE))",
    ]


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


def below(value: str, edges: Sequence[float]) -> list[str]:
    """How many values lie below each inner edge. Edges are written as numbers, so that no text gets into the SQL."""
    return [f"count(*) FILTER ({value} < {edge!r})" for edge in edges[1:-1]]


def bars(counts: Sequence[int], total: int) -> list[int]:
    """Sizes of bins from how many values lie below their edges."""
    sums = [0, *counts, total]
    return [high - low for low, high in pairwise(sums)]


def integer(value: str, rows: int, kind: str) -> Steps:
    """Whole numbers, or lengths."""
    count, low, high, mean, median, deviation = yield numeric(value, rows)
    if not count:
        return kind, nothing(rows)
    low, high = int(low), int(high)
    edges = integer_edges(low, high)
    counts: Sequence[int] = (yield below(value, edges)) if len(edges) > 2 else ()
    return kind, {
        **missing(rows - count, rows),
        "min": low,
        "max": high,
        "mean": rounded(mean),
        "median": rounded(median),
        "std": rounded(deviation),
        "histogram": {"hist": bars(counts, count), "bin_edges": edges},
    }


def floating(column: str, rows: int) -> Steps:
    """Numbers with a fraction. NaN counts as missing; infinities are counted apart and left out of the rest."""
    value = f"CASE WHEN isfinite({column}) THEN {column} END"
    *found, infinite = yield [*numeric(value, rows), f"count(*) FILTER (isinf({column}))"]
    count, low, high, mean, median, deviation = found
    odd = {"infinite_count": infinite} if infinite else {}
    if not count:
        return "float", nothing(rows) | missing(rows - infinite, rows) | odd
    edges = float_edges(low, high)
    counts: Sequence[int] = (yield below(value, edges)) if len(edges) > 2 else ()
    return "float", {
        **missing(rows - count - infinite, rows),
        "min": rounded(low),
        "max": rounded(high),
        "mean": rounded(mean),
        "median": rounded(median),
        "std": rounded(deviation),
        "histogram": {"hist": bars(counts, count), "bin_edges": [rounded(edge) for edge in edges]},
        **odd,
    }


def text(column: str, rows: int) -> Steps:
    """Few different texts are labels; of others the lengths are described."""
    estimate, *found = yield [f"approx_count_distinct({column})", *numeric(f"length({column})", rows)]
    count = found[0]
    if estimate <= SURELY_TEXT and (found[2] or 0) <= LONGEST_LABEL:
        (exact,) = yield [f"count(DISTINCT {column})"]
        different = exact + (count < rows)
        if different <= BINS or (different <= MOST_LABELS and different / rows <= LABEL_SHARE):
            (histogram,) = yield [f"histogram({column})"]
            return "string_label", categorical(histogram or {}, rows - count, rows)
    _, low, high, mean, median, deviation = found
    edges = integer_edges(int(low), int(high))
    counts: Sequence[int] = (yield below(f"length({column})", edges)) if len(edges) > 2 else ()
    return "string_text", {
        **missing(rows - count, rows),
        "min": int(low),
        "max": int(high),
        "mean": rounded(mean),
        "median": rounded(median),
        "std": rounded(deviation),
        "histogram": {"hist": bars(counts, count), "bin_edges": edges},
    }


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
    value = f"CASE WHEN isfinite({column}) THEN epoch_us({column}) END"
    (first,) = yield [f"min({value})"]
    if first is None:
        return "datetime", nothing(rows)
    seconds = f"(({value}) - {first}) // 1000000"
    count, _, high, mean, median, deviation = yield numeric(seconds, rows)
    edges = integer_edges(0, int(high))
    counts: Sequence[int] = (yield below(seconds, edges)) if len(edges) > 2 else ()
    return "datetime", {
        **missing(rows - count, rows),
        "min": moment(first, 0, zone),
        "max": moment(first, high, zone),
        "mean": moment(first, round(mean, DECIMALS), zone),
        "median": moment(first, round(median, DECIMALS), zone),
        "std": str(datetime.timedelta(seconds=deviation or 0)),
        "histogram": {"hist": bars(counts, count), "bin_edges": [moment(first, edge, zone) for edge in edges]},
    }


def moment(first: int, seconds: float, zone: str) -> str:
    """A moment as officially written, to the second; one beyond the year 9999 as the seconds since 1970."""
    try:
        found = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=first, seconds=seconds)
    except OverflowError:
        return f"{first // 1_000_000 + round(seconds)} s"
    return f"{found:%Y-%m-%d %H:%M:%S}{zone}"
