"""Rows of training data that remember which file and row they came from, so that every complaint can say so."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..errors import DataError
from ..files.formats import find_files
from ..files.shown import shown
from ..files.tables import open_lines, open_rows

logger = logging.getLogger("lamina")

Row = dict[str, Any]


class ColumnError(DataError):
    """A row has nothing of use in a column; `column` is its name, which another option may choose."""

    def __init__(self, message: str, column: str = ""):
        super().__init__(message)
        self.column = column


class Table(Sequence[Row]):
    """Rows under column names, the number of each in its file, and the file's fingerprint.

    `files` names the file of each row where there are several.
    """

    def __init__(
        self,
        name: str,
        rows: Sequence[Row],
        numbers: Sequence[int] | None = None,
        fingerprint: str = "",
        files: Sequence[str] | None = None,
    ):
        self.name, self.rows, self.numbers, self.files = name, rows, numbers, files
        self.fingerprint = fingerprint or fingerprint_rows(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    def __iter__(self) -> Iterator[Row]:
        return (self.rows[index] for index in range(len(self.rows)))

    def place(self, index: int) -> str:
        """Where a row came from, for messages."""
        name = self.files[index] if self.files else self.name
        return f"{name}, row {self.numbers[index] if self.numbers else index + 1}"

    def refuse(self, index: int, complaint: str, column: str | None = None) -> NoReturn:
        """Raise the DataError that names the row; a ColumnError where it is `column` that is missing."""
        message = f"{self.place(index)}: {complaint}"
        raise DataError(message) if column is None else ColumnError(message, column)

    def column(self, name: str) -> list[Any]:
        """All values of a column; DataError with the names that there are where it, or a row's value, is missing."""
        values = []
        for index, row in enumerate(self):
            if name not in row or row[name] is None:
                there = ", ".join(map(shown, row))
                self.refuse(index, f"no value in the column {name!r}; there are {there}", name)
            values.append(row[name])
        return values

    def texts(self, name: str) -> list[str]:
        """All values of a column of text."""
        values = self.column(name)
        for index, value in enumerate(values):
            if not isinstance(value, str):
                self.refuse(index, f"{name!r} must be text, not {shown(value, 60)}")
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
        return Table(self.name, rows, self.numbers, self.fingerprint, self.files)


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
        raise DataError(f"training data is a file or an object with __len__ and __getitem__, not {shown(source, 60)}")
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


def read_table(source: Path) -> Table:
    """The rows of a file, of all files in a folder, or of those a pattern names; a line of text is a row's `text`."""
    files, left_out = find_files(source, error=DataError)
    for file in left_out:
        logger.warning("%s is left out: it is not data", file)
    tables = [read_file(file) for file in files]
    return tables[0] if len(tables) == 1 else joined(str(source), tables)


def read_file(path: Path, header: Sequence[str] | None = None, cut_short: bool = False) -> Table:
    """The rows of one file; DataError with the first that cannot be read.

    `header` names the columns of a file that does not. With `cut_short` rows of too few or too many columns are left
    out with a warning, since the file is known to have some.
    """
    rows: list[Row] = []
    numbers: list[int] = []
    found = open_rows(path, header=header)
    for number, value, wrong in found:
        if wrong and cut_short and isinstance(value, list):
            width = len(found.columns or ())
            logger.warning("%s, row %d: left out, it has %d columns of %d", path, number, len(value), width)
        elif wrong:
            raise DataError(f"{path}, row {number}: {wrong}")
        elif not isinstance(value, str) or value.strip():  # empty lines hold no example
            rows.append(value if isinstance(value, dict) else {"text": value})
            numbers.append(number)
    if not rows:
        raise DataError(f"{path}: holds no rows")
    return Table(str(path), rows, numbers, file_fingerprint(path))


def joined(name: str, tables: Sequence[Table]) -> Table:
    """The rows of several files as one table; each keeps its place."""
    rows = [row for table in tables for row in table]
    files = [table.name for table in tables for _ in table]
    numbers = [number for table in tables for number in table.numbers or ()]
    return Table(name, rows, numbers, fingerprint("".join(table.fingerprint for table in tables).encode()), files)


def file_fingerprint(*paths: Path) -> str:
    """SHA-256 of the bytes of files, a null between them."""
    digest = hashlib.sha256()
    try:
        for number, path in enumerate(paths):
            digest.update(b"\0" * (number > 0))
            with path.open("rb") as opened:
                while part := opened.read(1 << 20):
                    digest.update(part)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    return digest.hexdigest()


def text_lines(path: Path) -> list[str]:
    """All lines of a text file without their ends; DataError with the first that cannot be read."""
    lines = []
    for number, text, wrong in open_lines(path):
        if wrong:
            raise DataError(f"{path}, row {number}: {wrong}")
        lines.append(text.rstrip("\r\n"))
    return lines


def fingerprint(data: bytes) -> str:
    """SHA-256 of a file's bytes."""
    return hashlib.sha256(data).hexdigest()


def fingerprint_rows(rows: Iterable[Row]) -> str:
    """SHA-256 of rows that came from no file."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True, default=str).encode())
    return digest.hexdigest()
