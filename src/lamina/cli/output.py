"""Where answers go: standard output, or a file that a stopped run can be taken up from.

Rows of .jsonl are added to the file itself, those of all other formats to a journal beside it, from which the file is
made when all are there. While a run lasts, a note beside the file says what it is made from.
"""

from __future__ import annotations

import glob
import json
import math
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime, time
from fnmatch import fnmatch
from pathlib import Path
from typing import IO, Any, NoReturn

import typer

from ..errors import InputError
from ..files.atomic import write_text
from .formats import WRITERS, make_file

OPTION = "--output"
write_bytes = os.write
Record = dict[str, Any]  # what rows are made from
START = b'{"input"'  # of every row


def json_line(row: dict[str, Any]) -> str:
    """A row of the output as JSON. NaN of the input is null there; ValueError where the answer holds one."""
    try:
        return json.dumps(row, ensure_ascii=False, default=plain, allow_nan=False)
    except ValueError:
        return json.dumps(
            {**row, "input": without_nan(row["input"])}, ensure_ascii=False, default=plain, allow_nan=False
        )


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


class Standard:
    """Standard output, or a pipe or device that was named."""

    def __init__(self, path: Path | None = None):
        self.path = path
        self.written = 0
        self._stream: IO[str] | None = None

    def begin(self, record: Record) -> None:
        """Open what was named."""
        if self.path is not None:
            self._stream = self.path.open("w", encoding="utf-8")

    def write(self, line: str) -> None:
        """Write one line at once."""
        try:
            print(line, file=self._stream or sys.stdout, flush=True)
        except BrokenPipeError:
            raise
        except OSError as error:
            if self._stream is None:
                drop_standard_output()
            raise InputError(f"{self.path or 'standard output'} cannot be written: {error.strerror}") from None
        self.written += 1

    def finish(self) -> None:
        """Nothing is left to do."""

    def close(self) -> None:
        """Close what was named."""
        if self._stream is not None:
            with suppress(OSError):  # of a device that is full, as was said before
                self._stream.close()


class Output:
    """A file of answers. Nothing on disk changes before `begin`, and the file is whole after `finish`.

    `overwrite` gives up what a stopped run has left; a file that is there keeps its rows until there are new ones.
    """

    def __init__(self, path: Path, shown: Path, overwrite: bool = False):
        self.path, self.shown = path, shown
        self.note = path.with_name(f".{path.name}.run")  # what the rows are made from
        self.aside = path.with_name(f".{path.name}.rows")
        lined = WRITERS[path.suffix.lower()] is None
        self.direct = lined and not self.aside.exists() and not (overwrite and filled(path))
        self.journal = path if self.direct else self.aside  # where rows are added, as JSON lines
        self.seen = self.journal.stat().st_size if self.journal.exists() else 0
        self.whole = 0  # bytes of its whole rows
        self.written = 0  # these rows
        self._handle: int | None = None

    @property
    def finished(self) -> bool:
        """Whether the file was made by a run that was not stopped."""
        return filled(self.path) and not self.note.exists() and not self.aside.exists()

    def begin(self, record: Record) -> None:
        """Make the journal ready: empty with a note, or cut after its whole rows."""
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
            flags |= getattr(os, "O_NOFOLLOW", 0)  # whoever may write to the folder could lead us elsewhere
            self._handle = os.open(self.journal, flags, 0o666)
            lock(self._handle, self.shown)
            if os.fstat(self._handle).st_size != self.seen:
                raise InputError(f"{self.shown} has changed since this run began: another one has written it")
            os.ftruncate(self._handle, self.whole)
        except OSError as error:
            self._fail(error)
        if not self.whole:  # rows never stand beside the note of another run
            write_text(self.note, json.dumps(record), InputError)

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
                make_file(self.journal, self.path)
            for path in (self.aside, self.note):
                path.unlink(missing_ok=True)
        except OSError as error:
            self._fail(error)

    def close(self) -> None:
        """Give the file back."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _fail(self, error: OSError) -> NoReturn:
        kept = f"; the {self.written} before are kept: go on with --resume" if self.written else ""
        raise InputError(f"{self.shown} cannot be written: {error.strerror or error}{kept}") from None


def filled(path: Path) -> bool:
    """Whether a file is there that holds something."""
    return path.is_file() and path.stat().st_size > 0


def drop_standard_output() -> None:
    """Let what is left for standard output go nowhere, since nobody takes it."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def lock(handle: int, path: Path) -> None:
    """Refuse a file that another run is writing; the system frees it when that ends, however it ends."""
    try:
        import fcntl
    except ImportError:
        return  # Windows
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"{path}: another run is writing it") from None
    except OSError:
        return  # a file system without locks


def find_output(path: Path | None, inputs: Sequence[Path], resume: bool, overwrite: bool) -> Output | Standard:
    """Where the answers go, checked and untouched; a usage error where they may not go there."""
    if path is None:
        if resume or overwrite:
            option = "--resume" if resume else "--overwrite"
            raise typer.BadParameter("it needs the file that it is about: give --output", param_hint=option)
        return Standard()
    if resume and overwrite:
        raise typer.BadParameter("--resume goes on with the file that --overwrite gives up", param_hint="--resume")
    real = Path(os.path.realpath(path))
    if real.exists() and not stat.S_ISREG(real.stat().st_mode) and not real.is_dir():
        return Standard(real)
    _check_place(path, real)
    _check_inputs(path, real, inputs)
    output = Output(real, path, overwrite)
    if (filled(real) or filled(output.aside)) and not resume and not overwrite:
        stopped = "" if output.finished else " with rows of a stopped run"
        raise typer.BadParameter(
            f"{path} is there already{stopped}: --resume goes on with it, --overwrite begins anew", param_hint=OPTION
        )
    return output


def _check_place(path: Path, real: Path) -> None:
    if real.suffix.lower() not in WRITERS:
        raise typer.BadParameter(
            f"{path}: its ending says the format, and is not one of {', '.join(WRITERS)}", param_hint=OPTION
        )
    reason = None
    if real.is_dir():
        reason = "it is a folder"
    elif not real.parent.is_dir():
        reason = f"there is no folder {real.parent}"
    elif not os.access(real.parent, os.W_OK | os.X_OK) or (real.exists() and not os.access(real, os.W_OK)):
        reason = "permission denied"
    if reason:
        raise typer.BadParameter(f"cannot be written: {reason}", param_hint=OPTION)
    if real.suffix.lower() == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise typer.BadParameter(
                f"{path}: writing it needs pyarrow; install it with `pip install pyarrow`", param_hint=OPTION
            ) from None


def _check_inputs(path: Path, real: Path, inputs: Sequence[Path]) -> None:
    """Refuse to write over what is read, by whatever name or link; or into a folder that is read as a whole."""
    for each in inputs:
        same = os.path.realpath(each) == str(real) or (real.exists() and each.exists() and os.path.samefile(real, each))
        if same:
            raise typer.BadParameter(f"{path} is the input {each}: name another file", param_hint=OPTION)
        if glob.has_magic(str(each)) and fnmatch(str(real), os.path.abspath(each)):
            raise typer.BadParameter(f"{path} is one of {each}, which is read: name another file", param_hint=OPTION)
        if each.is_dir() and real.is_relative_to(os.path.realpath(each)):
            raise typer.BadParameter(f"{path} lies in {each}, which is read: name another place", param_hint=OPTION)


def rows_of(journal: Path) -> Iterator[tuple[dict[str, Any], int]]:
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
