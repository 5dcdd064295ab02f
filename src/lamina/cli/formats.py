"""The formats that answers are written in, made from a journal of JSON lines and put in place when whole."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files.atomic import rename, staged
from ..files.tables import open_rows

PARTS = ("input", "output", "error")
BATCH = 1000  # rows of Parquet at a time

Row = dict[str, Any]


def make_file(journal: Path, path: Path) -> None:
    """Write the rows of `journal` to `path` in the format of its ending: a new file, or the old one untouched."""
    write = WRITERS[path.suffix.lower()]
    if write is None:
        rename(journal, path)
        return
    with staged(path.parent, InputError) as new:
        write(journal, new(path.name))


def _rows(journal: Path) -> Iterator[Row]:
    with journal.open("rb") as opened:
        for line in opened:
            yield json.loads(line)


def _write_json(journal: Path, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as opened:
        opened.write("[")
        for number, row in enumerate(_rows(journal)):
            opened.write(("," if number else "") + "\n" + json.dumps(row, ensure_ascii=False))
        opened.write("\n]\n")


class Columns:
    """The columns that rows have as a table: those of the input and of the output, one level deep, and `error`.

    A part that is not an object in every row is one column.
    """

    def __init__(self, journal: Path):
        self.flat = {part: True for part in PARTS}
        for row in _rows(journal):
            for part in row:
                if part == "input" and "error" in row:
                    continue  # what could be read of it
                self.flat[part] = self.flat[part] and isinstance(single(row[part]), dict)
        kinds: dict[str, set[type]] = {}
        for row in _rows(journal):
            for name, value in self.cells(row).items():
                kinds.setdefault(name, set()).add(_kind(value))
        self.kinds = dict(sorted(kinds.items(), key=lambda item: PARTS.index(item[0].partition(".")[0])))

    def cells(self, row: Row) -> Row:
        """One row under the names of columns."""
        found: Row = {}
        for part, value in row.items():
            inner = single(value)
            if part != "error" and self.flat[part] and isinstance(inner, Mapping):
                found.update({f"{part}.{name}": each for name, each in inner.items()})
            else:
                found[part] = value
        return found


def _kind(value: Any) -> type:
    """The type of a cell; text for an integer that no column of numbers can hold exactly."""
    return str if isinstance(value, int) and not -(2**53) <= value <= 2**53 else type(value)


def single(value: Any) -> Any:
    """The one answer of a list that holds one."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _write_csv(journal: Path, path: Path) -> None:
    _write_delimited(journal, path, ",")


def _write_tsv(journal: Path, path: Path) -> None:
    _write_delimited(journal, path, "\t")


def _write_delimited(journal: Path, path: Path, delimiter: str) -> None:
    """The names of a .tsv are quoted, which tells readers that its fields may be."""
    columns = Columns(journal)
    names = list(columns.kinds)
    with path.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened, delimiter=delimiter, lineterminator="\n")
        quoted = csv.writer(opened, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)
        (writer if delimiter == "," else quoted).writerow(names)
        for row in _rows(journal):
            cells = columns.cells(row)
            writer.writerow([_text(cells.get(name)) for name in names])


def _text(value: Any) -> str:
    """A cell: text as it is, nothing for null, JSON for all else."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def read_table(path: Path) -> Iterator[Any]:
    """The rows of a file that was made here."""
    return iter(open_rows(path, InputError))


def input_fits(row: Row, given: Any) -> bool:
    """Whether a row of a table was made from the input `given`; null and the empty text are alike in a CSV."""
    cells = {name: value for name, value in row.items() if name.partition(".")[0] == "input"}
    flat = {f"input.{name}": value for name, value in given.items()} if isinstance(given, dict) else {}
    filled = {name: value for name, value in cells.items() if value not in ("", None)}
    return any(
        filled.keys() <= wanted.keys()
        and all(_text(filled.get(name)) == _text(value) or filled.get(name) == value for name, value in wanted.items())
        for wanted in (flat, {"input": given})
    )


def _write_parquet(journal: Path, path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    columns = Columns(journal)
    types = {name: _arrow_type(kinds - {type(None)}, pyarrow) for name, kinds in columns.kinds.items()}
    schema = pyarrow.schema(list(types.items()))
    with parquet.ParquetWriter(path, schema) as writer:
        held: list[Row] = []

        def put() -> None:
            writer.write_table(pyarrow.Table.from_pylist(held, schema))
            held.clear()

        for row in _rows(journal):
            cells = columns.cells(row)
            held.append({name: _cell(cells.get(name), types[name], pyarrow) for name in types})
            if len(held) == BATCH:
                put()
        put()


def _arrow_type(kinds: set[type], pyarrow: Any) -> Any:
    """Numbers as numbers where a column holds nothing else; text, and JSON of all else, as text."""
    if kinds == {bool}:
        return pyarrow.bool_()
    if kinds and kinds <= {int, float}:
        return pyarrow.float64() if float in kinds else pyarrow.int64()
    return pyarrow.string()


def _cell(value: Any, kind: Any, pyarrow: Any) -> Any:
    if value is None or kind != pyarrow.string():
        return value
    return _text(value)


WRITERS: Mapping[str, Callable[[Path, Path], None] | None] = {
    ".jsonl": None,  # added to line by line
    ".ndjson": None,
    ".json": _write_json,
    ".csv": _write_csv,
    ".tsv": _write_tsv,
    ".parquet": _write_parquet,
}
