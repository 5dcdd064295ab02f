"""Rows of training data that remember which file and row they came from, so that every complaint can say so."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..errors import DataError

logger = logging.getLogger("lamina")

Row = dict[str, Any]
WIDEST_FIELD = 1 << 24  # characters; the csv module's own limit of 131,072 is less than a long document


class Table(Sequence[Row]):
    """Rows under column names, the number of each in its file, and the file's fingerprint."""

    def __init__(self, name: str, rows: Sequence[Row], numbers: Sequence[int] | None = None, fingerprint: str = ""):
        self.name, self.rows, self.numbers = name, rows, numbers
        self.fingerprint = fingerprint or fingerprint_rows(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    def __iter__(self) -> Iterator[Row]:
        return (self.rows[index] for index in range(len(self.rows)))

    def place(self, index: int) -> str:
        """Where a row came from, for messages."""
        return f"{self.name}, row {self.numbers[index] if self.numbers else index + 1}"

    def refuse(self, index: int, complaint: str) -> NoReturn:
        """Raise the DataError that names the row."""
        raise DataError(f"{self.place(index)}: {complaint}")

    def column(self, name: str) -> list[Any]:
        """All values of a column; DataError with the names that there are where it, or a row's value, is missing."""
        values = []
        for index, row in enumerate(self):
            if name not in row or row[name] is None:
                self.refuse(index, f"no value in the column {name!r}; there are {', '.join(map(repr, row))}")
            values.append(row[name])
        return values

    def texts(self, name: str) -> list[str]:
        """All values of a column of text."""
        values = self.column(name)
        for index, value in enumerate(values):
            if not isinstance(value, str):
                self.refuse(index, f"{name!r} must be text, not {value!r:.60}")
        return values

    def columns(self) -> list[str]:
        """The names of the first row's columns."""
        return list(self.rows[0]) if len(self.rows) else []

    def first_of(self, names: Sequence[str]) -> str:
        """The first of these names that is a column; DataError with the columns that there are."""
        columns = self.columns()
        for name in names:
            if name in columns:
                return name
        wanted, there = " or ".join(map(repr, names)), ", ".join(map(repr, columns))
        raise DataError(f"{self.place(0)}: no column {wanted}; there are {there}")

    def mapped(self, change: Callable[[int, Row], Row]) -> Table:
        """A table of the same rows, changed one by one; `change` takes the index and the row."""
        rows = [change(index, row) for index, row in enumerate(self)]
        return Table(self.name, rows, self.numbers, self.fingerprint)


def open_table(source: Any) -> Table:
    """The rows of a file, or of any object with `__len__` and `__getitem__` that gives dictionaries."""
    if isinstance(source, Table):
        return source
    if isinstance(source, str | Path):
        return read_table(Path(source))
    return Table("the data", rows_of_object(source))


def rows_of_object(source: Any, named: bool = True) -> list[Row]:
    """Every row of an object; `named` puts names for classes where it knows them, as columns of `datasets` do."""
    if isinstance(source, Mapping):
        parts = ", ".join(map(repr, list(source)[:8]))
        raise DataError(f"the data is a {type(source).__name__} with the parts {parts}: choose one of them")
    if not hasattr(source, "__len__") or not hasattr(source, "__getitem__"):
        raise DataError(f"training data is a file or an object with __len__ and __getitem__, not {source!r:.60}")
    rows: list[Row] = []
    for index in range(len(source)):
        try:
            row = source[index]
        except (KeyError, IndexError, TypeError) as error:
            raise DataError(
                f"the data gives no row {index} ({type(error).__name__}: {error}); data[0] must be a dict of columns"
            ) from None
        if not isinstance(row, Mapping):
            raise DataError(f"row {index + 1} of the data is a {type(row).__name__}; rows are dictionaries")
        rows.append(dict(row))
    if not rows:
        raise DataError("the data holds no rows")
    names = class_names(source) if named else {}
    return [{name: spelled(value, names.get(name)) for name, value in row.items()} for row in rows] if names else rows


def class_names(source: Any) -> dict[str, Sequence[str]]:
    """The names behind the numbers of a column, where a `datasets.Dataset` says so."""
    features = getattr(source, "features", None)
    found: dict[str, Sequence[str]] = {}
    for column, feature in features.items() if isinstance(features, Mapping) else ():
        names = getattr(getattr(feature, "feature", feature), "names", None)
        if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
            found[str(column)] = names
    return found


def spelled(value: Any, names: Sequence[str] | None) -> Any:
    """A class, or a list of them, by name; a number outside the names, such as the -1 of a test part, as it is."""
    if not names:
        return value
    if isinstance(value, list):
        return [spelled(each, names) for each in value]
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value


def read_table(path: Path) -> Table:
    """The rows of a .csv, .tsv, .json, .jsonl, .parquet or plain text file (one `text` a line)."""
    kind = path.suffix.lower()
    data = read_bytes(path)
    if kind == ".parquet":
        rows, numbers = read_parquet(path), None
    elif kind in (".jsonl", ".ndjson"):
        rows, numbers = read_json_lines(path, data)
    elif kind == ".json":
        rows, numbers = read_json_rows(path, data), None
    elif kind in (".csv", ".tsv"):
        rows, numbers = read_delimited(path, data, "," if kind == ".csv" else "\t")
    else:
        rows, numbers = read_lines(path, data)
    if not rows:
        raise DataError(f"{path}: holds no rows")
    return Table(str(path), rows, numbers, fingerprint(data))


def read_bytes(path: Path) -> bytes:
    """A file's content; DataError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def decoded(path: Path, data: bytes) -> str:
    """The text of a file; DataError with the line where it is not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, row {line}: not UTF-8 ({error.reason}); convert it first") from None


def read_lines(path: Path, data: bytes) -> tuple[list[Row], list[int]]:
    """One `text` a line, empty lines left out."""
    kept = [(number, line) for number, line in enumerate(decoded(path, data).split("\n"), 1) if line.strip()]
    return [{"text": line.rstrip("\r")} for _, line in kept], [number for number, _ in kept]


def read_json_lines(path: Path, data: bytes) -> tuple[list[Row], list[int]]:
    """One object a line."""
    rows, numbers = [], []
    for number, line in enumerate(decoded(path, data).split("\n"), 1):
        if not line.strip():
            continue
        value = parsed(line, f"{path}, row {number}")
        if not isinstance(value, dict):
            raise DataError(f"{path}, row {number}: must be an object with columns, not {line.strip():.60}")
        rows.append(value)
        numbers.append(number)
    return rows, numbers


def read_json_value(path: Path, data: bytes) -> Any:
    """The one value of a .json file."""
    return parsed(decoded(path, data), str(path))


def parsed(text: str, place: str) -> Any:
    """A JSON value; DataError with the place where it is none."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = f", row {error.lineno}" if error.lineno > 1 else ""
        raise DataError(f"{place}{line}: not JSON ({error.msg})") from None
    except ValueError as error:  # a number of thousands of digits
        raise DataError(f"{place}: cannot be read as JSON ({error})") from None
    except RecursionError:
        raise DataError(f"{place}: is nested too deeply for a data file") from None


def read_json_rows(path: Path, data: bytes) -> list[Row]:
    """A list of objects, alone or under `data`; or an object of columns."""
    value = read_json_value(path, data)
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        value = value["data"]
    if isinstance(value, dict) and value and all(isinstance(column, list) for column in value.values()):
        lengths = {name: len(column) for name, column in value.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"{path}: the columns differ in length: {lengths}")
        return [dict(zip(value, row, strict=True)) for row in zip(*value.values(), strict=True)]
    if not isinstance(value, list):
        raise DataError(f"{path}: must hold a list of objects, or an object of columns")
    for number, row in enumerate(value, 1):
        if not isinstance(row, dict):
            raise DataError(f"{path}, row {number}: must be an object with columns, not {row!r:.60}")
    return value


def read_parquet(path: Path) -> list[Row]:
    """The rows of a .parquet file, through pyarrow."""
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise DataError(f"{path}: reading .parquet needs pyarrow; install it with `pip install pyarrow`") from None
    try:
        rows: list[Row] = parquet.read_table(path).to_pylist()
    except (ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read as parquet ({str(error).splitlines()[0]})") from None
    return rows


def read_delimited(
    path: Path, data: bytes, delimiter: str, header: Sequence[str] | None = None, cut_short: bool = False
) -> tuple[list[Row], list[int]]:
    """Rows of a .csv or .tsv under the names of its first line, or under `header` where it has none.

    A .csv may quote its fields; in a .tsv a quotation mark is a letter like any other, as GLUE's files have it. Rows
    that have too few or too many columns are an error, or left out with a warning where a file is known to have some
    (`cut_short`).
    """
    quoted = delimiter == ","
    csv.field_size_limit(min(WIDEST_FIELD, sys.maxsize))
    lines = split_kept(path, data)
    reader = (
        csv.reader(lines, strict=True) if quoted else csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    )
    rows, numbers, whole = [], [], 0  # lines up to which rows are whole
    try:
        names = list(header) if header is not None else next(reader, [])
        whole = reader.line_num
        if len(set(names)) < len(names):
            raise DataError(f"{path}, row 1: a column's name comes twice: {', '.join(map(repr, names))}")
        for cells in reader:
            whole = reader.line_num
            if not cells:
                continue
            if len(cells) != len(names) and cut_short:
                logger.warning(
                    "%s, row %d: left out, it has %d columns of %d", path, reader.line_num, len(cells), len(names)
                )
                continue
            if len(cells) != len(names):
                named = f"the first row names {len(names)}" if header is None else f"there must be {len(names)}"
                raise DataError(f"{path}, row {reader.line_num}: has {len(cells)} columns, {named}")
            rows.append(dict(zip(names, cells, strict=True)))
            numbers.append(reader.line_num)
    except csv.Error as error:
        hint = "; is a quotation mark left open there?" if quoted else ""
        raise DataError(f"{path}, row {whole + 1}: cannot be read as a table ({error}){hint}") from None
    return rows, numbers


def split_kept(path: Path, data: bytes) -> list[str]:
    """Lines with their ends, broken at line feeds only: a quoted field may hold other marks that end a line."""
    return [line + "\n" for line in decoded(path, data).removesuffix("\n").split("\n")]


def fingerprint(data: bytes) -> str:
    """SHA-256 of a file's bytes."""
    return hashlib.sha256(data).hexdigest()


def fingerprint_rows(rows: Iterable[Row]) -> str:
    """SHA-256 of rows that came from no file."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True, default=str).encode())
    return digest.hexdigest()
