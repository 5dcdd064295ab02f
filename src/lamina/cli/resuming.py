"""Taking up a run that was stopped: a note beside its file says what it was made from, and only that goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .formats import input_fits, read_table
from .output import Output, Record, filled, json_line, rows_of

if TYPE_CHECKING:
    from .tasks import Asked


def describe_run(
    task: str, model: str | None, options: Mapping[str, Any], texts: Sequence[str], files: Sequence[Path]
) -> Record:
    """All that rows follow from. Files are read through once for their digests, some seconds for a gigabyte."""
    return {
        "task": task,
        "model": model,
        "files of the model": _stamps(model_files(model)),
        "options": json.loads(json.dumps(options, default=str)),
        "texts": _digest(json.dumps(texts).encode()),
        "files": [_file_digest(file) for file in files],
    }


def model_files(model: str | None) -> list[Path]:
    """The files of a model's folder and of those in it, such as 1_Pooling; none for a name on the Hub."""
    folder = Path(model) if model else None
    found = [*folder.glob("*"), *folder.glob("*/*")] if folder and folder.is_dir() else []
    return sorted(path for path in found if path.is_file())


def _stamps(files: Sequence[Path]) -> list[list[Any]]:
    """Names, sizes and times."""
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _file_digest(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as opened:
            while part := opened.read(2**20):
                digest.update(part)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    return digest.hexdigest()


def skip_finished(output: Output, asked: Iterator[Asked], record: Record) -> tuple[Iterable[Asked], int]:
    """The rows that a stopped run has left to do, if any, and how many of the finished ones have an error.

    Raises InputError, and changes nothing, where those that are there were made from something else: by the note, and
    by what each row says of its input. Without a note a file is taken for a whole one, which nothing may be left of.
    """
    advice = "--overwrite begins anew, or name another --output"
    if filled(output.journal) and output.note.exists():
        _check(output, record, advice)
    wrong = 0
    for row, end in rows_of(output.journal) if output.seen else ():
        given = next(asked, None)
        if given is None or json.loads(json_line({"input": given.row}))["input"] != row["input"]:
            there = "there is no such input" if given is None else f"the input {given.place} is another"
            raise InputError(f"{output.shown}, row {output.written + 1}: {there}; {advice}")
        output.written, output.whole = output.written + 1, end
        wrong += "error" in row
    left = next(asked, None)
    if output.seen and not output.note.exists() and (left is not None or output.whole < output.seen):
        raise InputError(
            f"{output.shown} is not whole, and {output.note}, which says what such a file is made from, is not there; "
            + advice
        )
    return (() if left is None else chain([left], asked)), wrong


def check_whole(output: Output, asked: Iterator[Asked]) -> int:
    """How many rows of a whole table have an error; InputError where they were made from other inputs than these."""
    wrong = 0
    for number, (found, given) in enumerate(zip_longest(read_table(output.path), asked), 1):
        row = None if given is None else json.loads(json_line({"input": given.row}))["input"]
        if found is None or given is None or not (found.error or input_fits(found.value, row)):
            place = "there is no such input" if given is None else f"the input {given.place} is not that of this row"
            raise InputError(
                f"{output.shown}, row {number}: {place}; --overwrite begins anew, or name another --output"
            )
        wrong += isinstance(found.value, dict) and found.value.get("error") not in (None, "")
    return wrong


def _check(output: Output, record: Record, advice: str) -> None:
    """Refuses rows that were made from something else."""
    try:
        known = json.loads(output.note.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise InputError(
            f"{output.note}, which says what {output.shown} was made from, cannot be read; {advice}"
        ) from None
    for name, value in record.items():
        if not isinstance(known, dict) or known.get(name) != value:
            raise InputError(f"{output.shown} was begun with other {name}; {advice}")
