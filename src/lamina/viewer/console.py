"""The SQL console: one SELECT at a time over the splits, as JSON for the page, as CSV or Parquet to keep."""

from __future__ import annotations

import io
import json
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from .cells import cut, dumps, not_finite, plain, python_values
from .dataset import Split
from .errors import InvalidParameter, ViewerError
from .features import class_names
from .page import PRIVATE, only_this_page
from .stop import Stop
from .streaming import streamed
from .viewer import Viewer, viewer_of

if TYPE_CHECKING:
    import pyarrow as pa

LONGEST_QUERY = 20_000  # characters; it must fit the address of a download
CELL = 100_000  # bytes of a cell on the page; downloads hold it whole
CURRENT = "data"  # the view of the split that is open


def answer(viewer: Viewer, sql: str, split: Split, stop: Stop) -> dict[str, Any]:
    """The first rows of a query, as many as the settings allow in number and bytes."""
    most, room = viewer.settings.console_rows, viewer.settings.response
    rows: list[list[Any]] = []
    truncated = False
    with viewer.engine.sql(sql, split, stop) as reader:
        columns = [{"name": field.name, "type": type_name(field.type)} for field in reader.schema]
        for row in (row for batch in reader for row in json_rows(batch.slice(0, most + 1))):
            stop.check()
            room -= len(dumps(row))
            truncated = len(rows) == most or room < 0
            if truncated:
                break
            rows.append(row)
    return {"columns": columns, "rows": rows, "truncated": truncated}


def json_rows(batch: pa.RecordBatch) -> Iterator[list[Any]]:
    """Rows as lists, for columns of one name are allowed here; long cells are cut and end in an ellipsis."""
    import pyarrow as pa

    columns = [python_values(pa.chunked_array([column])) for column in batch.columns]
    for place in range(batch.num_rows):
        row = []
        for column in columns:
            value, short = cut(column[place], CELL)
            row.append(f"{value} …" if short else not_finite(value) or value)
        yield row


def type_name(kind: pa.DataType) -> str:
    """A type as SQL names it, for the head of the answer."""
    import pyarrow as pa

    if pa.types.is_nested(kind):
        return "LIST" if pa.types.is_list(kind) or pa.types.is_large_list(kind) else "STRUCT"
    names = {
        "string": "VARCHAR",
        "large_string": "VARCHAR",
        "string_view": "VARCHAR",
        "bool": "BOOLEAN",
        "binary": "BLOB",
    }
    return names.get(str(kind), str(kind)).upper()


def csv_pieces(reader: pa.RecordBatchReader) -> Iterator[bytes]:
    """CSV, a piece per batch; what CSV has no form for, such as lists, is written as JSON."""
    import pyarrow as pa
    from pyarrow import csv

    sink = io.BytesIO()
    plain_ones = [has_csv_form(field.type) for field in reader.schema]
    names_types = zip(reader.schema.names, reader.schema.types, plain_ones, strict=True)
    flat = pa.schema([(name, kind if plain_one else pa.string()) for name, kind, plain_one in names_types])
    with csv.CSVWriter(sink, flat) as writer:
        for batch in reader:
            pairs = zip(batch.columns, plain_ones, strict=True)
            columns = [column if plain_one else texts(column) for column, plain_one in pairs]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=flat))
            yield taken(sink)
    yield taken(sink)


def has_csv_form(kind: pa.DataType) -> bool:
    """Whether Arrow's writer takes a type as it is."""
    import pyarrow as pa

    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    return bool(is_text or is_number or pa.types.is_date(kind) or pa.types.is_timestamp(kind))


def texts(column: pa.Array) -> pa.Array:
    """A column as texts: lists and structs as JSON, all else as it is said."""
    import pyarrow as pa

    found = []
    for value in python_values(pa.chunked_array([column])):
        nested = isinstance(value, list | dict)
        found.append(
            value if value is None or isinstance(value, str) else dumps(value).decode() if nested else str(plain(value))
        )
    return pa.array(found, pa.string())


def parquet_pieces(reader: pa.RecordBatchReader) -> Iterator[bytes]:
    """Parquet, a row group per batch or more; the footer comes last."""
    import pyarrow as pa
    from pyarrow import parquet

    sink = io.BytesIO()
    with parquet.ParquetWriter(Unseekable(sink), reader.schema) as writer:
        waiting: list[pa.RecordBatch] = []
        for batch in reader:
            waiting.append(batch)
            if sum(each.num_rows for each in waiting) >= 100_000:
                writer.write_table(pa.Table.from_batches(waiting))
                waiting = []
                yield taken(sink)
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting))
    yield taken(sink)


class Unseekable(io.RawIOBase):
    """A sink that is emptied while it is written: it says how far it is of all that went through it."""

    def __init__(self, sink: io.BytesIO) -> None:
        self._sink = sink
        self._written = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._written += self._sink.write(data)
        return len(data)

    def tell(self) -> int:
        """Bytes written so far, taken ones included."""
        return self._written


def taken(sink: io.BytesIO) -> bytes:
    """What was written since the last time."""
    piece = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return piece


WRITERS = {"csv": (csv_pieces, "text/csv"), "parquet": (parquet_pieces, "application/vnd.apache.parquet")}


def tables(viewer: Viewer, config: str | None, split: str | None, stop: Stop) -> dict[str, Any]:
    """The views a query can name, with their columns; a split that cannot be read says why."""
    current = viewer.dataset.split(config, split)
    found = []
    for each in sorted(viewer.dataset.config(config).splits.values(), key=lambda other: other is not current):
        name = CURRENT if each is current else f"{each.config}.{each.name}"
        entry: dict[str, Any] = {"name": name, "split": each.name, "columns": [], "num_rows": None}
        try:
            table = viewer.engine.open(each, stop)
        except ViewerError as problem:
            stop.check()
            entry["error"] = str(problem)
        else:
            entry["num_rows"] = table.num_rows
            entry["columns"] = [
                {"name": name, "type": kind, "names": class_names(table.features.get(name))}
                for name, kind in table.types.items()
            ]
        found.append(entry)
    return {"tables": found}


async def question(request: Request) -> tuple[str, str | None, str | None]:
    """Query, config and split of a request's JSON. Raises InvalidParameter."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > 8 * LONGEST_QUERY:
            raise InvalidParameter(f"the query is longer than {LONGEST_QUERY} characters")
    try:
        given = json.loads(body)
        sql, config, split = given["sql"], given.get("config"), given.get("split")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InvalidParameter('pass JSON such as {"sql": "SELECT 1", "config": "default", "split": "train"}') from None
    if not isinstance(sql, str) or not all(each is None or isinstance(each, str) for each in (config, split)):
        raise InvalidParameter("sql, config and split must be texts")
    return checked(sql), config, split


def checked(sql: str) -> str:
    """The query, if its length is one that can be answered. What it may do is the engine's to check."""
    if not sql.strip():
        raise InvalidParameter("the query is empty")
    if len(sql) > LONGEST_QUERY:
        raise InvalidParameter(f"the query is longer than {LONGEST_QUERY} characters")
    return sql


routes = APIRouter(include_in_schema=False, dependencies=[Depends(only_this_page)])


@routes.get("/view/tables")
async def view_tables(request: Request, config: str | None = None, split: str | None = None) -> Response:
    viewer = viewer_of(request)
    found = await viewer.runner.run(request, lambda stop: tables(viewer, config, split, stop), timeout=0)
    return Response(dumps(found), media_type="application/json", headers=PRIVATE)


@routes.post("/view/sql")
async def view_sql(request: Request) -> Response:
    """A query's first rows. Leaving cancels it."""
    sql, config, split = await question(request)
    viewer = viewer_of(request)
    place = viewer.dataset.split(config, split)
    found = await viewer.run(request, lambda stop: dumps(answer(viewer, sql, place, stop)))
    return Response(found, media_type="application/json", headers=PRIVATE)


@routes.get("/view/sql/download")
async def view_download(
    request: Request,
    sql: str,
    format: Literal["csv", "parquet"] = "csv",
    config: str | None = None,
    split: str | None = None,
) -> Response:
    """All of a query's rows as a file, written while they are found."""
    viewer = viewer_of(request)
    place = viewer.dataset.split(config, split)
    write, media_type = WRITERS[format]
    headers = {**PRIVATE, "Content-Disposition": f'attachment; filename="query.{format}"'}

    def produce(stop: Stop) -> Generator[bytes, None, None]:
        with viewer.engine.sql(checked(sql), place, stop) as reader:
            yield from write(reader)

    return await streamed(request, produce, media_type, headers, viewer.settings.timeout)
