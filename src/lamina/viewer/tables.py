"""Opening a split in DuckDB: which columns it has, how many rows, and what must be left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import duckdb

from .dataset import DataFile, Features, Split
from .duck import Query, first_line, identifier, literal
from .engine import Table
from .errors import UnreadableData
from .features import class_names, in_metadata, of_schema
from .readers import open_read
from .remote import remote_footer
from .scans import ArrowScan, Groups, ParquetScan, Part, as_shown

if TYPE_CHECKING:
    import pyarrow as pa


def open_table(split: Split, query: Query) -> Table:
    """The split as a table. Raises UnreadableData where none of its files can be read."""
    if split.format == "parquet":
        return open_parquet(split, query)
    if split.format == "arrow":
        return open_arrow(split, query)
    return open_read(split, query)


def open_parquet(split: Split, query: Query) -> Table:
    """Only footers are read."""
    notices: list[str] = []
    opened = list(_footers(split, query, notices))
    described: dict[Any, dict[str, str]] = {}
    features: Features = {}
    types: dict[str, str] = {}
    kept: list[tuple[DataFile, Groups, dict[str, str]]] = []
    for file, schema, groups in opened:
        key = schema.remove_metadata()
        if key not in described:
            described[key] = query.describe(parquet(file))
        own = described[key]
        merged, clash = _widened(own, types)
        if clash:
            notices.append(f"{file.name} is left out: column {clash}")
            continue
        if kept and set(own) != set(types):
            notices.append(f"{file.name} has other columns than {kept[0][0].name}; where a file lacks one, it is empty")
        types = merged
        features = {**of_schema(schema), **features}
        kept.append((file, groups, own))
    if not kept:
        raise UnreadableData("; ".join(notices))
    features = _declared(split.features, features)
    parts, start = [], 0
    for file, groups, own in kept:
        parts.append(Part(literal(file.place), start, _expressions(types, own, features), groups))
        start = parts[-1].end
    memory = sum(size for part in parts for _, size in part.groups)
    counted = not any(name.casefold() == "file_row_number" for name in types)
    partial = len(kept) < len(split.files)
    scan = ParquetScan(parts, list(types), counted)
    return Table(split, features, _types(types, features), start, memory, partial, tuple(notices), scan)


def _footers(split: Split, query: Query, notices: list[str]) -> Iterator[tuple[DataFile, pa.Schema, Groups]]:
    """The files that can be read, with what their footers say."""
    for file in split.files:
        query.stop.check()
        try:
            yield file, *(remote_footer(file, query) if file.address else footer(file))
        except UnreadableData as problem:
            notices.append(str(problem))
        except duckdb.InterruptException:
            raise
        except duckdb.Error as problem:  # of a file elsewhere
            notices.append(f"{file.name} cannot be read: {first_line(problem)}")


def footer(file: DataFile) -> tuple[pa.Schema, Groups]:
    """Schema and row groups of a Parquet file, from its footer alone."""
    import pyarrow as pa
    from pyarrow import parquet as pq

    try:
        with pq.ParquetFile(file.path) as opened:
            groups = [opened.metadata.row_group(place) for place in range(opened.num_row_groups)]
            return opened.schema_arrow, tuple((group.num_rows, group.total_byte_size) for group in groups)
    except (pa.ArrowException, OSError, ValueError, MemoryError) as problem:
        reason = " ".join(str(problem).split())[:200]
        raise UnreadableData(f"{file.name} is not readable as Parquet: {reason}") from None


def parquet(file: DataFile) -> str:
    """A relation of one Parquet file."""
    return f"read_parquet({literal(file.place)}, hive_partitioning = false)"


def open_arrow(split: Split, query: Query) -> Table:
    """Files are mapped, not read; those whose schema differs from the first one's are left out."""
    import pyarrow as pa

    notices: list[str] = []
    tables: list[pa.Table] = []
    for file in split.files:
        query.stop.check()
        try:
            table = mapped(file)
        except UnreadableData as problem:
            notices.append(str(problem))
            continue
        if tables and table.schema.remove_metadata() != tables[0].schema.remove_metadata():
            notices.append(f"{file.name} is left out: its columns are not those of the files before")
            continue
        tables.append(table)
    if not tables:
        raise UnreadableData("; ".join(notices))
    schema = tables[0].schema
    whole = pa.concat_tables(table.replace_schema_metadata(None) for table in tables)
    features = _declared(split.features, {**of_schema(schema), **in_metadata(schema.metadata)})
    name = "arrow_" + split.fingerprint[:12]
    query.cursor.register(name, whole)
    types = query.describe(identifier(name))
    scan = ArrowScan(whole, name, _expressions(types, types, features))
    partial = len(tables) < len(split.files)
    return Table(split, features, _types(types, features), whole.num_rows, whole.nbytes, partial, tuple(notices), scan)


def mapped(file: DataFile) -> pa.Table:
    """An Arrow file of either form, stream or file, as a table that lies on disk."""
    import pyarrow as pa

    try:
        with pa.memory_map(str(file.path)) as source:
            try:
                return pa.ipc.open_stream(source).read_all()
            except pa.ArrowInvalid:
                source.seek(0)
                return pa.ipc.open_file(source).read_all()
    except (pa.ArrowException, OSError, ValueError) as problem:
        reason = " ".join(str(problem).split())[:200]
        raise UnreadableData(f"{file.name} is not readable as Arrow: {reason}") from None


INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
FLOATS = ("FLOAT", "DOUBLE")


def _common(one: str, other: str) -> str | None:
    """The type that holds values of both, None where there is none."""
    if one == other or other == '"NULL"':
        return one
    if one == '"NULL"':
        return other
    if one in INTEGERS and other in INTEGERS:
        return "HUGEINT" if "UBIGINT" in (one, other) else "BIGINT"
    return "DOUBLE" if {one, other} <= {*INTEGERS, *FLOATS} else None


def _widened(own: Mapping[str, str], known: Mapping[str, str]) -> tuple[dict[str, str], str | None]:
    """The types of all columns once a file is added, or what makes that impossible."""
    merged = dict(known)
    for name, kind in own.items():
        common = _common(known.get(name, kind), kind)
        if common is None:
            return {}, f"{name!r} is {kind} there, and {known[name]} in the files before"
        merged[name] = common
    return merged, None


def _declared(declared: Features | None, found: Features) -> Features:
    """The columns found, with the features that the data set declares for them."""
    return {name: (declared or {}).get(name, feature) for name, feature in found.items()}


def _expressions(types: Mapping[str, str], own: Mapping[str, str], features: Features) -> dict[str, str]:
    """Column -> SQL over one file's own columns: absent ones are empty, others are cast to the common type."""
    found = {}
    for name, kind in types.items():
        column = identifier(name)
        if name not in own:
            found[name] = f"CAST(NULL AS {kind})"
        else:
            cast = column if own[name] == kind else f"TRY_CAST({column} AS {kind})"
            found[name] = as_shown(cast, kind, features.get(name))
    return found


def _types(types: Mapping[str, str], features: Features) -> dict[str, str]:
    return {
        name: "BIGINT" if class_names(features.get(name)) and kind == "VARCHAR" else kind
        for name, kind in types.items()
    }
