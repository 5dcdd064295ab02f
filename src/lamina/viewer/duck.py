"""A DuckDB that can read the files it was opened for and do nothing else."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from .errors import Cancelled, SourceError, TooBig, UnreadableData
from .settings import Settings
from .stop import Stop

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


def identifier(name: str) -> str:
    """A column's name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL."""
    return "'" + text.replace("'", "''") + "'"


class Database:
    """One in-memory DuckDB, locked before the first query: no writing, no network, no file but those named."""

    def __init__(self, paths: Iterable[Path], settings: Settings) -> None:
        try:
            import duckdb
        except ImportError:
            raise SourceError("the viewer needs DuckDB and pyarrow: pip install 'lamina[view]'") from None
        settings.cache.mkdir(parents=True, exist_ok=True)
        self._lock = Lock()
        self._closed = False
        self._spill = Path(tempfile.mkdtemp(prefix="spill-", dir=settings.cache))
        self._connection = duckdb.connect(
            ":memory:",
            config={
                "memory_limit": f"{settings.memory}B",
                "threads": settings.threads,
                "temp_directory": str(self._spill),
                "max_temp_directory_size": f"{settings.spill}B",
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "allow_community_extensions": False,
                "python_enable_replacements": False,
            },
        )
        allowed = ", ".join(literal(str(path)) for path in paths)
        self._connection.execute("SET GLOBAL TimeZone = 'UTC'")
        self._connection.execute("SET parquet_metadata_cache = true")  # footers, for as long as a file is unchanged
        self._connection.execute(f"SET allowed_paths = [{allowed}]")
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET lock_configuration = true")

    @contextmanager
    def query(self, stop: Stop, tables: Iterable[tuple[str, pa.Table]] = ()) -> Iterator[Query]:
        """A cursor of its own, so that stopping it stops nobody else; `tables` are visible to it by name."""
        with self._lock:  # a connection refuses two calls at once
            if self._closed:
                raise Cancelled("the viewer is closing")
            cursor = self._connection.cursor()
        try:
            for name, table in tables:
                cursor.register(name, table)
            with stop.interrupting(cursor.interrupt), _explained(stop):
                yield Query(cursor, stop)
        finally:
            cursor.close()

    def close(self) -> None:
        """Close the database and remove what it spilled."""
        with self._lock:
            self._closed = True
            self._connection.close()
        shutil.rmtree(self._spill, ignore_errors=True)


class Query:
    """SQL on one cursor, checked against its Stop before every statement."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, stop: Stop) -> None:
        self.cursor = cursor
        self.stop = stop

    def execute(self, sql: str, values: Sequence[Any] = ()) -> duckdb.DuckDBPyConnection:
        """Run one statement with `values` bound to its question marks."""
        self.stop.check()
        return self.cursor.execute(sql, list(values)) if values else self.cursor.execute(sql)

    def table(self, sql: str, values: Sequence[Any] = ()) -> pa.Table:
        """The whole result of a SELECT."""
        return self._relation(sql, values).to_arrow_table()

    def reader(self, sql: str, rows: int) -> pa.RecordBatchReader:
        """The result of a SELECT while it is computed, in batches of so many rows."""
        return self._relation(sql, ()).to_arrow_reader(rows)

    def _relation(self, sql: str, values: Sequence[Any]) -> duckdb.DuckDBPyRelation:
        self.stop.check()
        return self.cursor.sql(sql, params=list(values)) if values else self.cursor.sql(sql)

    def row(self, sql: str, values: Sequence[Any] = ()) -> tuple[Any, ...]:
        """The one row of a result."""
        found: list[tuple[Any, ...]] = self.execute(sql, values).fetchall()
        return found[0]

    def describe(self, source: str) -> dict[str, str]:
        """Column -> type of a relation, without reading its rows."""
        return {name: kind for name, kind, *_ in self.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}


@contextmanager
def _explained(stop: Stop) -> Iterator[None]:
    """DuckDB's errors as ours."""
    import duckdb
    import pyarrow as pa

    try:
        yield
    except duckdb.InterruptException:
        stop.check()
        raise Cancelled("the query was interrupted") from None
    except duckdb.OutOfMemoryException as problem:
        raise TooBig(f"the query needs more memory than the viewer may use: {first_line(problem)}") from None
    except (duckdb.Error, pa.ArrowException) as problem:
        stop.check()  # an interrupted reader may fail as if its data were broken
        raise UnreadableData(f"the data cannot be read: {first_line(problem)}") from None


def first_line(problem: BaseException) -> str:
    """What DuckDB says, without its advice on options that cannot be set here."""
    text = str(problem).strip().partition("\n")[0]
    return text.partition(": ")[2] or text
