"""How the rows of each kind of file are reached in SQL: all of them numbered, some by place, some by number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from .duck import Query, identifier, literal
from .features import class_names

if TYPE_CHECKING:
    import pyarrow as pa


class Scan(Protocol):
    """The rows of a split, as relations that SQL can select from."""

    number: str  # the quoted name of the column that numbers the rows, one that the split does not have
    source: str  # all rows, without numbers
    numbered: str  # all rows, with numbers

    @property
    def tables(self) -> Sequence[tuple[str, pa.Table]]:
        """Arrow tables that the relations name."""
        ...

    def head(self, rows: int) -> str:
        """The first so many rows as a relation, read without what follows them."""
        ...

    def page(self, query: Query, select: Mapping[str, str], offset: int, length: int) -> pa.Table:
        """Rows offset to offset + length of the columns' expressions."""
        ...

    def some(self, query: Query, select: Mapping[str, str], ids: Sequence[int]) -> pa.Table:
        """The rows of these numbers, in any order, with their numbers as the last column."""
        ...


def selected(expressions: Mapping[str, str]) -> str:
    """A SELECT list: column -> expression."""
    return ", ".join(f"{expression} AS {identifier(name)}" for name, expression in expressions.items())


def unused(names: Sequence[str], wanted: str) -> str:
    """A column name that none of `names` is, however SQL folds case."""
    taken = {name.casefold() for name in names}
    while wanted in taken:
        wanted += "_"
    return wanted


def as_shown(column: str, kind: str, feature: Any) -> str:
    """A column's expression where its feature asks for another form: class names become numbers, maps pairs."""
    names = class_names(feature)
    if names and kind == "VARCHAR":
        listed = ", ".join(literal(name) for name in names)
        return f"list_position([{listed}], {column}) - 1"
    return f"map_entries({column})" if kind.startswith("MAP(") else column


Groups = Sequence[tuple[int, int]]  # rows and uncompressed bytes of each row group of a file


@dataclass(frozen=True)
class Part:
    """One Parquet file: its place among the rows, and what of the columns it has, as expressions over its own."""

    path: str  # as a SQL literal
    start: int
    columns: Mapping[str, str]
    groups: Groups

    @property
    def end(self) -> int:
        """The number of the first row that is not in the file."""
        return self.start + sum(rows for rows, _ in self.groups)


@dataclass(frozen=True)
class Group:
    """One row group: the rows `start` to `end` of the split, which are stored together, and their bytes in memory."""

    start: int
    end: int
    size: int


class ParquetScan:
    """Parquet: rows are found through the footers, so that a page costs the same wherever it lies."""

    tables: Sequence[tuple[str, pa.Table]] = ()

    def __init__(self, parts: Sequence[Part], names: Sequence[str], counted: bool) -> None:
        self.parts = parts
        self.names = list(names)
        self.groups = list(_groups(parts))
        self.number = identifier(unused(names, "__row"))
        self._counted = counted  # DuckDB numbers the rows of a file, unless a column of the file has that name
        self.source = self._union(self._plain(part) for part in parts)
        self.numbered = self._union(self._numbers(part) for part in parts)

    @staticmethod
    def _union(selections: Iterator[str]) -> str:
        return "(" + " UNION ALL ".join(f"SELECT {each}" for each in selections) + ")"

    @staticmethod
    def _plain(part: Part) -> str:
        return f"{selected(part.columns)} FROM read_parquet({part.path}, hive_partitioning = false)"

    def _numbers(self, part: Part) -> str:
        place = "file_row_number" if self._counted else "row_number() OVER () - 1"
        counting = ", file_row_number = true" if self._counted else ""
        scanned = f"read_parquet({part.path}{counting}, hive_partitioning = false)"
        return f"{selected(part.columns)}, {place} + {part.start} AS {self.number} FROM {scanned}"

    def head(self, rows: int) -> str:
        """The first rows of the first files."""
        return f"({self._between(0, rows) or f'SELECT * FROM {self.source}'})"

    def page(self, query: Query, select: Mapping[str, str], offset: int, length: int) -> pa.Table:
        """Only the files and row groups that the page touches are read."""
        rows = self._between(offset, offset + length)
        if not rows:
            return query.table(f"SELECT {selected(select)} FROM {self.source} LIMIT 0")
        return query.table(f"SELECT {selected(select)} FROM ({rows}) ORDER BY {self.number}")

    def group(self, query: Query, group: Group) -> pa.Table:
        """All columns of a row group, in order, with the numbers of its rows as the last column."""
        return query.table(f"SELECT * FROM ({self._between(group.start, group.end)}) ORDER BY {self.number}")

    def _between(self, start: int, end: int) -> str:
        """The rows `start` to `end` with their numbers, as a query; empty where there are none."""
        inside = [part for part in self.parts if part.start < end and start < part.end] if start < end else []
        bounds = f"{self.number} BETWEEN {start} AND {end - 1}"
        return " UNION ALL ".join(f"SELECT * FROM (SELECT {self._numbers(part)}) WHERE {bounds}" for part in inside)

    def some(self, query: Query, select: Mapping[str, str], ids: Sequence[int]) -> pa.Table:
        """Each file is asked for its own rows only."""
        pieces = []
        for part in self.parts:
            own = [number for number in ids if part.start <= number < part.end]
            if own:
                listed = ", ".join(map(str, own))
                bounds = f"{self.number} BETWEEN {min(own)} AND {max(own)} AND {self.number} IN ({listed})"
                pieces.append(f"SELECT * FROM (SELECT {self._numbers(part)}) WHERE {bounds}")
        rows = " UNION ALL ".join(pieces) or f"SELECT * FROM {self.numbered} LIMIT 0"
        return query.table(f"SELECT {selected(select)}, {self.number} FROM ({rows})")


def _groups(parts: Sequence[Part]) -> Iterator[Group]:
    """The row groups of all files, by the numbers of their rows."""
    start = 0
    for rows, size in (group for part in parts for group in part.groups):
        yield Group(start, start + rows, size)
        start += rows


class ReaderScan:
    """CSV, JSON and text: read from the start, and no further than needed."""

    tables: Sequence[tuple[str, pa.Table]] = ()

    def __init__(self, reader: str, columns: Mapping[str, str]) -> None:
        self.number = identifier(unused(list(columns), "__row"))
        self.source = f"(SELECT {selected(columns)} FROM {reader})"
        self.numbered = f"(SELECT {selected(columns)}, row_number() OVER () - 1 AS {self.number} FROM {reader})"

    def head(self, rows: int) -> str:
        return f"(SELECT * FROM {self.source} LIMIT {rows})"

    def page(self, query: Query, select: Mapping[str, str], offset: int, length: int) -> pa.Table:
        """The reader stops after the page's last row."""
        return query.table(f"SELECT {selected(select)} FROM {self.source} LIMIT {length} OFFSET {offset}")

    def some(self, query: Query, select: Mapping[str, str], ids: Sequence[int]) -> pa.Table:
        """The reader stops after the last row asked for."""
        listed = ", ".join(map(str, ids)) or "-1"
        head = f"SELECT * FROM {self.numbered} LIMIT {max(ids, default=-1) + 1}"
        return query.table(f"SELECT {selected(select)}, {self.number} FROM ({head}) WHERE {self.number} IN ({listed})")


class ArrowScan:
    """Arrow files, mapped into memory: any row is reached at once."""

    def __init__(self, table: pa.Table, name: str, columns: Mapping[str, str]) -> None:
        self.number = identifier(unused(list(columns), "__row"))
        self._table = table
        self._name = name
        self._rows = f"{name}_rows"
        self._columns = columns
        self.source = f"(SELECT {selected(columns)} FROM {identifier(name)})"
        self.numbered = (
            f"(SELECT {selected(columns)}, row_number() OVER () - 1 AS {self.number} FROM {identifier(name)})"
        )

    @property
    def tables(self) -> Sequence[tuple[str, pa.Table]]:
        """The mapped table; nothing of it is copied."""
        return [(self._name, self._table)]

    def head(self, rows: int) -> str:
        return f"(SELECT * FROM {self.source} LIMIT {rows})"

    def page(self, query: Query, select: Mapping[str, str], offset: int, length: int) -> pa.Table:
        """A slice of the table, through the same expressions as all else."""
        return self._through(query, self._table.slice(offset, length), selected(select))

    def some(self, query: Query, select: Mapping[str, str], ids: Sequence[int]) -> pa.Table:
        import pyarrow as pa

        numbers = pa.array(list(ids), pa.int64())
        rows = pa.concat_tables([self._table.slice(number, 1) for number in ids] or [self._table.slice(0, 0)])
        taken = self._through(query, rows, selected(select))
        return taken.append_column(self.number[1:-1].replace('""', '"'), numbers)

    def _through(self, query: Query, rows: pa.Table, select: str) -> pa.Table:
        query.cursor.register(self._rows, rows)
        columns = selected(self._columns)
        return query.table(f"SELECT {select} FROM (SELECT {columns} FROM {identifier(self._rows)})")
