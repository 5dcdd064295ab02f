"""The built-in engine: DuckDB over local files where they lie."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from .dataset import Dataset, Split
from .duck import Database, Query, first_line, identifier
from .engine import Page, Table
from .errors import InvalidParameter, UnreadableData
from .held import HeldGroups
from .scans import ParquetScan, Scan, selected
from .settings import Settings
from .stop import Stop
from .tables import open_table
from .where import Condition, Order

HEAD = 1000  # rows that are sorted out first: the pages people look at cost no full sort
REMEMBERED = 256 << 20  # bytes of row numbers that filters have found


class DuckEngine:
    """Reads the files of one data set, and no others. Thread-safe: every query has a cursor of its own."""

    def __init__(self, dataset: Dataset, settings: Settings) -> None:
        self._dataset = dataset
        self._database = Database(dataset.files, settings)
        self._tables: dict[str, Table] = {}
        self._locks: dict[tuple[str, str], Lock] = {}
        self._lock = Lock()
        self._found: OrderedDict[tuple[object, ...], pa.ChunkedArray] = OrderedDict()
        self._held = HeldGroups(settings.held)

    def open(self, split: Split, stop: Stop) -> Table:
        """The split as a table; opened once, by whoever comes first."""
        _unchanged(split)
        with self._lock:
            lock = self._locks.setdefault((split.config, split.name), Lock())
        while not lock.acquire(timeout=0.1):
            stop.check()
        try:
            key = split.fingerprint
            if key not in self._tables:
                with self._database.query(stop) as query:
                    self._tables[key] = open_table(split, query)
            return self._tables[key]
        finally:
            lock.release()

    def rows(self, table: Table, offset: int, length: int, stop: Stop, cell: int | None = None) -> Page:
        offset = min(offset, table.num_rows)
        length = min(length, table.num_rows - offset)
        scan, ids = self._scan(table), range(offset, offset + length)
        with self._database.query(stop, scan.tables) as query:
            held, left = self._from_held(query, table, ids)
            if left or not held:
                rows = scan.page(query, _columns(table, cell), offset, length)
            else:
                rows = pa.concat_tables(held).select(list(table.types))
        return Page(ids[: rows.num_rows], rows, table.num_rows)

    def select(
        self,
        table: Table,
        where: Condition | None,
        order: Sequence[Order],
        offset: int,
        length: int,
        stop: Stop,
        cell: int | None = None,
        among: Sequence[int] | None = None,
    ) -> Page:
        """A page of what a condition leaves. The numbers of all its rows are found in one pass, and remembered."""
        if where is None and not order and among is None:
            return self.rows(table, offset, length, stop, cell)
        end = offset + length
        if among is not None:
            found = pa.chunked_array([list(among)], pa.int64())
            if where is not None or order:
                found = _both(self._numbers(table, where, order, stop), found, bool(order))
            total = len(found)
        else:
            head = HEAD if order and end <= HEAD else None
            found = self._numbers(table, where, order, stop, head)
            total = len(found) if head is None else self._count(table, where, stop)
        ids = [int(number) for number in found.slice(min(offset, len(found)), length).to_pylist()]
        return Page(ids, self.take(table, ids, stop, cell), total)

    def _count(self, table: Table, where: Condition | None, stop: Stop) -> int:
        return table.num_rows if where is None else len(self._numbers(table, where, (), stop))

    def take(self, table: Table, ids: Sequence[int], stop: Stop, cell: int | None = None) -> pa.Table:
        """Rows in the order of their numbers given."""
        scan, names = self._scan(table), list(table.types)
        with self._database.query(stop, scan.tables) as query:
            held, left = self._from_held(query, table, ids)
            pieces = [each.select([*names, each.column_names[-1]]) for each in held]
            if left or not pieces:
                pieces.append(scan.some(query, _columns(table, cell), left))
        found = pa.concat_tables(pieces)
        places = pc.index_in(pa.array(list(ids), pa.int64()), found.column(len(names)).cast(pa.int64()))
        return found.take(places).remove_column(len(names))

    def _from_held(self, query: Query, table: Table, ids: Sequence[int]) -> tuple[list[pa.Table], list[int]]:
        """Rows that are held decoded, with their numbers last, and the numbers of the others."""
        scan = self._scan(table)
        if not isinstance(scan, ParquetScan):
            return [], list(ids)
        return self._held.some(query, scan, table.split.fingerprint, ids)

    def batches(
        self, table: Table, expressions: Mapping[str, str], stop: Stop, rows: int = 2048
    ) -> Iterator[pa.RecordBatch]:
        """Expressions over all rows, in order, a batch at a time."""
        with self._database.query(stop, self._scan(table).tables) as query:
            for batch in query.reader(f"SELECT {selected(expressions)} FROM {self._scan(table).source}", rows):
                stop.check()
                yield batch

    def aggregate(self, table: Table, expressions: Sequence[str], stop: Stop, head: int | None = None) -> Sequence[Any]:
        """SQL aggregates over all rows, in one pass, or over the first ones."""
        scan = self._scan(table)
        source = scan.source if head is None else scan.head(head)
        with self._database.query(stop, scan.tables) as query:
            return query.row(f"SELECT {', '.join(expressions)} FROM {source}")

    @contextmanager
    def sql(self, text: str, split: Split, stop: Stop) -> Iterator[pa.RecordBatchReader]:
        """One SELECT of a person's own, read as it is computed."""
        table = self.open(split, stop)
        tables = {name: rows for each in self._tables.values() for name, rows in self._scan(each).tables}
        with self._database.query(stop, tables.items()) as query, _as_invalid(""):
            _only_select(query, text)
            for each in [*self._tables.values(), table]:
                names = ["data"] if each is table else []
                for name in [*names, f"{each.split.config}.{each.split.name}"]:
                    query.execute(f"CREATE OR REPLACE TEMP VIEW {identifier(name)} AS {self._scan(each).source[1:-1]}")
            yield query.reader(text, 2048)

    def close(self) -> None:
        self._database.close()

    def _scan(self, table: Table) -> Scan:
        scan: Scan = table.scan
        return scan

    def _numbers(
        self,
        table: Table,
        where: Condition | None,
        order: Sequence[Order],
        stop: Stop,
        head: int | None = None,
    ) -> pa.ChunkedArray:
        """Numbers of the rows that a condition leaves, sorted; with `head`, of the first so many."""
        scan = self._scan(table)
        wanted = (where.sql, where.values) if where else None
        key = (table.split.fingerprint, wanted, tuple(order), head)
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
                return self._found[key]
        limit = f" LIMIT {head}" if head is not None else ""
        kept = f" WHERE {where.sql}" if where else ""
        keys = ", ".join([*(each.sql for each in order), scan.number])
        with self._database.query(stop, scan.tables) as query, _as_invalid("Parameter 'where' is invalid: "):
            numbers = query.table(
                f"SELECT {scan.number} FROM {scan.numbered}{kept} ORDER BY {keys}{limit}", where.values if where else ()
            ).column(0)
        with self._lock:
            self._found[key] = numbers
            while sum(each.nbytes for each in self._found.values()) > REMEMBERED and len(self._found) > 1:
                self._found.popitem(last=False)
        return numbers


ASKED_WRONG = (
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ConversionException,
    duckdb.InvalidInputException,
    duckdb.NotImplementedException,
    duckdb.OutOfRangeException,
    duckdb.ParserException,
    duckdb.PermissionException,
    duckdb.SyntaxException,
    duckdb.TypeMismatchException,
)


@contextmanager
def _as_invalid(start: str) -> Iterator[None]:
    """What DuckDB refuses of a filter or query: types that do not fit, a text that is not a date, other files."""
    try:
        yield
    except ASKED_WRONG as problem:
        raise InvalidParameter(start + (first_line(problem) if start else str(problem).strip())) from None


def _unchanged(split: Split) -> None:
    """Refuse a split whose files are no longer those that were listed: row numbers and indexes would not fit them."""
    for file in split.files:
        if file.address:
            continue
        try:
            found = file.path.stat()
        except OSError as problem:
            raise UnreadableData(f"{file.name} cannot be opened any more: {problem.strerror}") from None
        if (found.st_size, found.st_mtime_ns) != (file.size, file.modified):
            raise UnreadableData(f"{file.name} has changed since the viewer was started: start it again to see it")


def _both(numbers: pa.ChunkedArray, other: pa.ChunkedArray, ordered: bool) -> pa.ChunkedArray:
    """What two lists of row numbers share, in the order of the first where that one is meant, else of the second."""
    numbers = numbers.cast(pa.int64())
    kept, judge = (numbers, other) if ordered else (other, numbers)
    return kept.filter(pc.is_in(kept, value_set=judge.combine_chunks()))


def _only_select(query: Query, text: str) -> None:
    """Refuse everything but one SELECT: a locked DuckDB may still write to the files it may read."""
    try:
        statements = query.cursor.extract_statements(text)
    except duckdb.Error as problem:
        raise InvalidParameter(str(problem).strip()) from None
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise InvalidParameter("pass one SELECT statement: data can only be read here")


def _columns(table: Table, cell: int | None) -> Mapping[str, str]:
    """Column -> expression that shows it: long texts are cut in the engine, so that no page fills the memory."""
    found = {}
    for name, kind in table.types.items():
        column = identifier(name)
        if cell is not None and kind == "VARCHAR":
            column = f"CASE WHEN strlen({column}) > {cell} THEN left({column}, {cell}) ELSE {column} END"
        found[name] = column
    return found
