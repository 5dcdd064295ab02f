"""The file that answers go to, and that a stopped run can be taken up from.

Rows of .jsonl are added to the file itself, those of all other formats to a journal beside it, from which the file is
made when all are there. While a run lasts, a note beside the file says what it is made from.
"""

from __future__ import annotations

import csv
import errno
import glob
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, time
from fnmatch import fnmatch
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import typer

from ..errors import InputError
from ..files.atomic import release, rename, staged, take, write_text
from ..files.tables import open_rows

OPTION = "--output"
write_bytes = os.write
Record = dict[str, Any]  # what rows are made from
Row = dict[str, Any]
Rows = Callable[[], Iterator[Row]]  # they are gone through several times
Writers = Mapping[str, Callable[[Rows, Path], None] | None]  # how a file is made, by its ending
START = b'{"input"'  # of every row
PARTS = ("input", "output", "error")
BATCH = 1000  # rows of Parquet at a time
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}  # of systems and disks that have none


def json_line(row: Row) -> str:
    """A row of the output as JSON. NaN of the input is null there; ValueError where the answer holds one."""

    row = {**row, "input": without_nan(row["input"])}
    return json.dumps(row, ensure_ascii=False, default=plain, allow_nan=False)


def plain(value: Any) -> Any:
    """What JSON can hold of a tensor, an array, one of their numbers, or a value of Parquet."""
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return value.tolist() if hasattr(value, "tolist") else str(value)


def without_nan(value: Any) -> Any:
    """A value of the input with null for numbers that JSON has not."""
    if isinstance(value, dict):
        return {name: without_nan(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Output:
    """A file of answers. Nothing on disk changes before `begin`, and the file is whole after `finish`.

    `overwrite` gives up what a stopped run has left; a file that is there keeps its rows until there are new ones.
    """

    def __init__(self, path: Path, shown: Path, overwrite: bool = False, writers: Writers | None = None):
        self.path, self.shown = path, shown
        self.make = (WRITERS if writers is None else writers)[path.suffix.lower()]
        self.note = path.with_name(f".{path.name}.run")  # what the rows are made from
        self.aside = path.with_name(f".{path.name}.rows")
        self.direct = self.make is None and not self.aside.exists() and not (overwrite and filled(path))
        self.journal = path if self.direct else self.aside  # where rows are added, as JSON lines
        self.seen = self.journal.stat().st_size if self.journal.exists() else 0
        self.whole = 0  # bytes of its whole rows
        self.written = 0  # these rows
        self._handle: int | None = None

    @property
    def finished(self) -> bool:
        """Whether the file was made by a run that was not stopped."""
        return filled(self.path) and not self.note.exists() and not self.aside.exists()

    def rows(self) -> Iterator[tuple[Row, int]]:
        """The rows that are there, and the bytes of the journal up to the end of each; all of them of a whole table."""
        if not self.direct and self.finished:
            return ((row.value if row.error is None else {}, 0) for row in open_rows(self.path, InputError))
        return rows_of(self.journal) if self.seen else iter(())

    def begin(self, record: Record) -> None:
        """Make the journal ready: empty with a note, or cut after its whole rows."""
        try:
            self._handle = self._locked()
            if os.fstat(self._handle).st_size != self.seen:
                raise InputError(f"{self.shown} has changed since this run began: another one has written it")
            os.ftruncate(self._handle, self.whole)
        except OSError as error:
            self._fail(error)
        if not self.whole:  # rows never stand beside the note of another run
            write_text(self.note, json.dumps(record), InputError)

    def _locked(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        flags |= getattr(os, "O_NOFOLLOW", 0)  # whoever may write to the folder could lead us elsewhere
        try:
            handle = take(self.journal, flags)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            return os.open(self.journal, flags, 0o666)
        if handle is None:
            raise InputError(f"{self.shown}: another run is writing it")
        return handle

    def write(self, line: str) -> None:
        """Add one row, whole or not at all."""
        assert self._handle is not None
        data = memoryview((line + "\n").encode())
        size = len(data)
        try:
            while data:
                data = data[write_bytes(self._handle, data) :]
        except OSError as error:
            with suppress(OSError):  # --resume leaves the part of a row out as well
                os.ftruncate(self._handle, self.whole)
            self._fail(error)
        self.whole += size
        self.written += 1

    def finish(self) -> None:
        """Flush the rows to disk, make the file of them, and take the note away."""
        assert self._handle is not None
        try:
            os.fsync(self._handle)
            if not self.direct:
                make_file(self.journal, self.path, self.make)
            for path in (self.aside, self.note):
                path.unlink(missing_ok=True)
        except OSError as error:
            self._fail(error)

    def close(self) -> None:
        if self._handle is not None:
            release(self._handle)
            self._handle = None

    def _fail(self, error: OSError) -> NoReturn:
        kept = f"; the {self.written} before are kept: go on with --resume" if self.written else ""
        raise InputError(f"{self.shown} cannot be written: {error.strerror or error}{kept}") from None


def filled(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def drop_standard_output() -> None:
    """Let what is left for standard output go nowhere, since nobody takes it."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def find_output(
    path: Path | None, inputs: Sequence[Path], resume: bool, overwrite: bool, writers: Writers | None = None
) -> Output | None:
    """The file that answers go to, checked and untouched; a usage error where they may not go there."""
    writers = WRITERS if writers is None else writers
    if path is None:
        if resume or overwrite:
            option = "--resume" if resume else "--overwrite"
            raise typer.BadParameter("it needs the file that it is about: give --output", param_hint=option)
        return None
    if resume and overwrite:
        raise typer.BadParameter("--resume goes on with the file that --overwrite gives up", param_hint="--resume")
    real = Path(os.path.realpath(path))
    if wrong := wrong_place(path, real, writers) or next(
        (said for each in inputs if (said := same_as(path, real, each))), None
    ):
        raise typer.BadParameter(wrong, param_hint=OPTION)
    output = Output(real, path, overwrite, writers)
    if (filled(real) or filled(output.aside)) and not resume and not overwrite:
        stopped = "" if output.finished else " with rows of a stopped run"
        raise typer.BadParameter(
            f"{path} is there already{stopped}: --resume goes on with it, --overwrite begins anew", param_hint=OPTION
        )
    return output


def wrong_place(path: Path, real: Path, writers: Writers) -> str | None:
    """What is wrong with a place for an output."""
    suffix = real.suffix.lower()
    if real.exists() and not real.is_file() and not real.is_dir():
        return f"{path} is a pipe or a device: leave it out, and redirect standard output"
    if suffix not in writers:
        return f"{path}: its ending says the format, and is not one of {', '.join(writers)}"
    if real.is_dir():
        return "cannot be written: it is a folder"
    if not real.parent.is_dir():
        return f"cannot be written: there is no folder {real.parent}"
    if not os.access(real.parent, os.W_OK | os.X_OK) or (real.exists() and not os.access(real, os.W_OK)):
        return "cannot be written: permission denied"
    if suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            return f"{path}: writing it needs pyarrow; install it with `pip install pyarrow`"
    return None


def same_as(path: Path, real: Path, each: Path) -> str | None:
    """What is wrong where an output would be written over the input `each`, by whatever name or link, or into it."""
    if os.path.realpath(each) == str(real) or (real.exists() and each.exists() and os.path.samefile(real, each)):
        return f"{path} is the input {each}: name another file"
    if glob.has_magic(str(each)) and fnmatch(str(real), os.path.abspath(each)):
        return f"{path} is one of {each}, which is read: name another file"
    if each.is_dir() and real.is_relative_to(os.path.realpath(each)):
        return f"{path} lies in {each}, which is read: name another place"
    return None


def rows_of(journal: Path) -> Iterator[tuple[Row, int]]:
    """The whole rows of a journal, and the bytes up to the end of each; InputError where it is not one."""
    end = 0
    with journal.open("rb") as opened:
        for number, line in enumerate(opened, 1):
            ended = line.endswith(b"\n")
            try:
                row = json.loads(line) if ended and line.startswith(START) else None
            except ValueError:
                row = None
            if not ended and START.startswith(line[: len(START)]):
                return  # a run was stopped while it wrote this row
            if not isinstance(row, dict):
                raise InputError(f"{journal}, line {number}: not a row of lamina run; name another --output")
            end += len(line)
            yield row, end


def make_file(journal: Path, path: Path, write: Callable[[Rows, Path], None] | None) -> None:
    """Write the rows of `journal` to `path` in the format of its ending: a new file, or the old one untouched."""
    if write is None:
        rename(journal, path)
        return
    with staged(path.parent, InputError) as new:
        write(lambda: (row for row, _ in rows_of(journal)), new(path.name))


def _write_json(rows: Rows, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as opened:
        opened.write("[")
        for number, row in enumerate(rows()):
            opened.write(("," if number else "") + "\n" + json.dumps(row, ensure_ascii=False))
        opened.write("\n]\n")


class Columns:
    """The columns that rows have as a table: those of the input and of the output, one level deep, and `error`.

    A part that is not an object in every row is one column.
    """

    def __init__(self, rows: Rows):
        self.flat = dict.fromkeys(PARTS, True)
        for row in rows():
            for part in row:
                if part != "input" or "error" not in row:  # else it is what could be read
                    self.flat[part] = self.flat[part] and isinstance(single(row[part]), dict)
        kinds: dict[str, set[type]] = {}
        for row in rows():
            for name, value in self.cells(row).items():
                exact = not isinstance(value, int) or -(2**53) <= value <= 2**53  # in any column of numbers
                kinds.setdefault(name, set()).add(type(value) if exact else str)
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


def single(value: Any) -> Any:
    """The one answer of a list that holds one."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _write_csv(rows: Rows, path: Path, delimiter: str = ",") -> None:
    """The names of a .tsv are quoted, which tells readers that its fields may be."""
    columns = Columns(rows)
    with path.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened, delimiter=delimiter, lineterminator="\n")
        quoted = csv.writer(opened, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL)
        (writer if delimiter == "," else quoted).writerow(columns.kinds)
        for row in rows():
            cells = columns.cells(row)
            writer.writerow([_text(cells.get(name)) for name in columns.kinds])


def _text(value: Any) -> str:
    """A cell: text as it is, nothing for null, JSON for all else."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def input_fits(row: Row, given: Any) -> bool:
    """Whether a row of a table, {} where it cannot be read, was made from the input `given`.

    In a CSV null and the empty text are alike.
    """
    cells = {name: value for name, value in row.items() if name.partition(".")[0] == "input"}
    flat = {f"input.{name}": value for name, value in given.items()} if isinstance(given, dict) else {}
    there = {name: value for name, value in cells.items() if value not in ("", None)}
    return not row or any(
        there.keys() <= wanted.keys()
        and all(_text(there.get(name)) == _text(value) or there.get(name) == value for name, value in wanted.items())
        for wanted in (flat, {"input": given})
    )


def parquet_schema(columns: Columns) -> Any:
    """Numbers as numbers where a column holds nothing else; text, and JSON of all else, as text."""
    import pyarrow

    def kind(found: set[type]) -> Any:
        if found == {bool}:
            return pyarrow.bool_()
        if found and found <= {int, float}:
            return pyarrow.float64() if float in found else pyarrow.int64()
        return pyarrow.string()

    return pyarrow.schema([(name, kind(kinds - {type(None)})) for name, kinds in columns.kinds.items()])


def write_cells(path: Path, schema: Any, cells: Iterator[Row]) -> None:
    """Rows of cells as Parquet, some at a time."""
    import pyarrow
    from pyarrow import parquet

    texts = {field.name for field in schema if field.type == pyarrow.string()}

    def held(row: Row) -> Row:
        return {name: _text(value) if name in texts and value is not None else value for name, value in row.items()}

    with parquet.ParquetWriter(path, schema) as writer:
        while part := [held(row) for row in islice(cells, BATCH)]:
            writer.write_table(pyarrow.Table.from_pylist(part, schema))


def _write_parquet(rows: Rows, path: Path) -> None:
    columns = Columns(rows)
    write_cells(path, parquet_schema(columns), map(columns.cells, rows()))


WRITERS: Writers = {
    ".jsonl": None,  # added to line by line
    ".ndjson": None,
    ".json": _write_json,
    ".csv": _write_csv,
    ".tsv": partial(_write_csv, delimiter="\t"),
    ".parquet": _write_parquet,
}
