"""A DuckDB that can read the files it was opened for and do nothing else."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from .dataset import DataFile
from .errors import Cancelled, SourceError, TooBig, UnreadableData
from .settings import Settings
from .stop import Stop

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@contextmanager
def connected(config: dict[str, Any]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB in memory for as long as the block runs; it fetches no extensions. Raises SourceError without DuckDB."""
    connection = connect(config)
    try:
        yield connection
    finally:
        connection.close()


def connect(config: dict[str, Any]) -> duckdb.DuckDBPyConnection:
    """A DuckDB in memory that fetches no extensions. Raises SourceError where there is no DuckDB."""
    try:
        import duckdb
    except ImportError:
        raise SourceError("the viewer needs DuckDB and pyarrow: pip install 'lamina[view]'") from None
    own = dict.fromkeys(
        ("autoinstall_known_extensions", "autoload_known_extensions", "allow_community_extensions"), False
    )
    return duckdb.connect(":memory:", config={**own, **config})


def load_httpfs(connection: duckdb.DuckDBPyConnection) -> None:
    """The extension that reads remote files. DuckDB's package lacks it, and nothing is installed here unasked."""
    import duckdb

    try:
        connection.execute("LOAD httpfs")
    except duckdb.Error as problem:
        raise SourceError(
            f"files elsewhere need DuckDB's extension httpfs, which DuckDB {duckdb.__version__} does not have here: "
            "run python -c \"import duckdb; duckdb.sql('INSTALL httpfs')\" once, with a network, or download the file "
            f"({first_line(problem)})"
        ) from None
    connection.execute("SET allow_persistent_secrets = false")  # they are files, and none but the data is read


class Database:
    """One in-memory DuckDB, locked before the first query: no writing, no network, no file but those named."""

    def __init__(self, files: Iterable[DataFile], settings: Settings) -> None:
        known = list(files)
        settings.cache.mkdir(parents=True, exist_ok=True)
        self._lock = Lock()
        self._closed = False
        self._spill = Path(tempfile.mkdtemp(prefix="spill-", dir=settings.cache))
        self._connection = connect(
            {
                "memory_limit": f"{settings.memory}B",
                "threads": settings.threads,
                "temp_directory": str(self._spill),
                "max_temp_directory_size": f"{settings.spill}B",
                "python_enable_replacements": False,
            }
        )
        if any(file.address for file in known):
            load_httpfs(self._connection)
            self._introduce(settings)
        allowed = ", ".join(literal(file.place) for file in known)
        self._connection.execute("SET GLOBAL TimeZone = 'UTC'")
        self._connection.execute("SET parquet_metadata_cache = true")  # footers, for as long as a file is unchanged
        self._connection.execute(f"SET allowed_paths = [{allowed}]")
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET lock_configuration = true")

    def _introduce(self, settings: Settings) -> None:
        """Tell the Hub, and nobody else, who asks."""
        if settings.token:
            self._connection.execute(
                f"CREATE SECRET hub (TYPE http, BEARER_TOKEN {literal(settings.token)}, "
                f"SCOPE {literal(settings.endpoint.rstrip('/') + '/')})"
            )

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

    def shape(self, source: str) -> tuple[dict[str, str], pa.Schema]:
        """Column -> type of a relation, and the same as Arrow has it, without reading its rows."""
        relation = self._relation(f"SELECT * FROM {source} LIMIT 0", ())
        schema = relation.to_arrow_table().schema
        return dict(zip(relation.columns, map(str, relation.types), strict=True)), schema

    def describe(self, source: str) -> dict[str, str]:
        """Column -> type of a relation, without reading its rows."""
        return {name: kind for name, kind, *_ in self.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}


@contextmanager
def _explained(stop: Stop) -> Iterator[None]:
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
