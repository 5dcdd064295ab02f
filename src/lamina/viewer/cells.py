"""Cells as the official API writes them: JSON values, cut to a size where they are long."""

from __future__ import annotations

import base64
import datetime
import decimal
import json
import math
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson

from .dataset import Features
from .features import listed

if TYPE_CHECKING:
    import pyarrow as pa

SHORTEST = 100  # bytes that every cell keeps, as officially


def python_values(column: pa.ChunkedArray) -> list[Any]:
    """A column's values; dates that Python has no object for (infinity, the year 20000) as text."""
    import pyarrow as pa

    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError, pa.ArrowInvalid):
        try:
            return list(column.cast(pa.string()).to_pylist())
        except (ValueError, pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return [str(value) for value in column]


def plain(value: Any) -> Any:
    """What JSON holds of a value that it has no form for: bytes as base64, numbers beyond floats as text."""
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime.timedelta | decimal.Decimal | uuid.UUID):
        return str(value)
    if isinstance(value, int):
        return str(value)  # of more than 64 bits
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, tuple | set):
        return list(value)
    return str(value)


def dumps(value: Any) -> bytes:
    """JSON of a cell or an answer; NaN and infinities become null, as officially."""
    try:
        return orjson.dumps(value, default=plain, option=orjson.OPT_NON_STR_KEYS)
    except (orjson.JSONEncodeError, TypeError, RecursionError):
        return orjson.dumps(_mended(value), default=plain, option=orjson.OPT_NON_STR_KEYS)


def _mended(value: Any, depth: int = 0) -> Any:
    """A value that orjson refuses, with unpaired surrogates replaced and integers of any size as text."""
    if depth > 200:
        return "..."
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {_mended(str(key), depth + 1): _mended(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_mended(each, depth + 1) for each in value]
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64:
        return str(value)
    return value


def decoded(text: Any) -> Any:
    """The value of a JSON column's cell, or its text where it is not valid JSON."""
    try:
        return json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        return text


def cut(value: Any, size: int) -> tuple[Any, bool]:
    """The value, or where its JSON is longer than `size` bytes that JSON's beginning as a text."""
    if value is None or isinstance(value, bool | int | float):
        return value, False
    if isinstance(value, str) and len(value) * 6 + 2 <= size:  # no JSON of it can be longer
        return value, False
    text = dumps(value)
    if len(text) <= size:
        return value, False
    return text[:size].decode("utf-8", "ignore"), True


def not_finite(value: Any) -> str | None:
    """The name of a float that JSON cannot write: NaN or infinity."""
    if not isinstance(value, float) or math.isfinite(value):
        return None
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def row_items(table: pa.Table, ids: Sequence[int], features: Features, cell: int | None) -> list[dict[str, Any]]:
    """Rows in the official shape. `not_finite_cells` is ours: NaN and infinite floats, null in the rows."""
    columns = {}
    for name in table.column_names:
        values = python_values(table.column(name))
        feature = features.get(name)
        json_text = isinstance(feature, dict) and feature.get("_type") == "Json"
        columns[name] = [decoded(value) for value in values] if json_text else values
    items = []
    for place, number in enumerate(ids):
        row, truncated, odd = {}, [], {}
        for name, values in columns.items():
            value = values[place]
            row[name], short = (value, False) if cell is None else cut(value, cell)
            if short:
                truncated.append(name)
            elif (word := not_finite(value)) is not None:
                odd[name] = word
        item = {"row_idx": number, "row": row, "truncated_cells": truncated}
        items.append({**item, "not_finite_cells": odd} if odd else item)
    return items


def fitted(items: list[dict[str, Any]], size: int, least_rows: int | None = None) -> tuple[list[dict[str, Any]], bool]:
    """Rows whose JSON fits `size` bytes: last rows are dropped down to `least_rows`, then cells are cut, longest first.

    With `least_rows` None no row is dropped. The second value says whether anything was dropped.
    """
    sizes = [len(dumps(item)) for item in items]
    keep = len(items)
    if least_rows is not None:
        while keep > least_rows and sum(sizes[:keep]) > size:
            keep -= 1
    kept = items[:keep]
    limit = size
    while kept and sum(len(dumps(item)) for item in kept) > size and limit > SHORTEST:
        limit = max(SHORTEST, limit // 2)
        kept = [_cut_row(item, limit) for item in kept]
    return kept, keep < len(items)


def _cut_row(item: dict[str, Any], limit: int) -> dict[str, Any]:
    row, truncated = {}, list(item["truncated_cells"])
    for name, value in item["row"].items():
        if name in truncated and isinstance(value, str):
            row[name] = value.encode("utf-8", "ignore")[:limit].decode("utf-8", "ignore")
            continue
        row[name], short = cut(value, limit)
        if short:
            truncated.append(name)
    return {**item, "row": row, "truncated_cells": truncated}


def page_answer(
    features: Features, items: list[dict[str, Any]], total: int, partial: bool, notices: Sequence[str]
) -> dict[str, Any]:
    """What /rows, /filter and /search answer; `notices` is ours and only there where there is something to say."""
    answer = {
        "features": listed(features),
        "rows": items,
        "num_rows_total": total,
        "num_rows_per_page": 100,
        "partial": partial,
    }
    return {**answer, "notices": list(notices)} if notices else answer
