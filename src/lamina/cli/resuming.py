"""Taking up a run that was stopped: a note beside its file says what it was made from, and only that goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from ..errors import InputError

Record = dict[str, Any]


def describe_run(
    task: str, model: str | None, options: Mapping[str, Any], texts: Sequence[str], files: Sequence[Path]
) -> Record:
    """All that rows follow from. Files are read through once for their digests, some seconds for a gigabyte."""
    return {
        "task": task,
        "model": model,
        "files of the model": _stamps(Path(model)) if model else [],
        "options": json.loads(json.dumps(options, default=str)),
        "texts": _digest(json.dumps(texts).encode()),
        "files": [_file_digest(file) for file in files],
    }


def _stamps(folder: Path) -> list[list[Any]]:
    """Names, sizes and times of the files in a model's folder; none for a name on the Hub."""
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files if file.is_file()]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _file_digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as opened:
        while part := opened.read(2**20):
            digest.update(part)
    return digest.hexdigest()


def prepare(output: Path, resume: bool, record: Record) -> int:
    """Make `output` ready for rows: empty, or to go on after the whole rows that a stopped run has left, so many.

    With `resume`, raises InputError where these are of another task, model, option or input, and changes nothing; a
    last line that was cut off is taken away.
    """
    rows, whole = _whole_rows(output) if resume and output.is_file() else (0, 0)
    if rows:
        _check(output, record)
    try:
        with output.open("r+b" if rows else "wb") as opened:
            if output.is_file():  # and no pipe or terminal
                opened.truncate(whole)
        # Rows never stand beside the note of another run, whenever this one is stopped: the note comes second.
        if not rows and output.is_file():
            partial = _note(output).with_suffix(".partial")
            partial.write_text(json.dumps(record), encoding="utf-8")
            partial.replace(_note(output))
    except OSError as error:
        raise typer.BadParameter(f"cannot be written: {error.strerror}", param_hint="--output") from None
    return rows


def _whole_rows(output: Path) -> tuple[int, int]:
    """Whole rows, and their bytes."""
    rows = whole = 0
    with output.open("rb") as opened:
        for line in opened:
            if not line.endswith(b"\n"):
                break
            if not line.startswith(b'{"input"'):
                raise InputError(f"{output}, line {rows + 1}: no row of lamina run; name another --output")
            rows, whole = rows + 1, whole + len(line)
    return rows, whole


def _check(output: Path, record: Record) -> None:
    """Refuses rows that were made from something else."""
    advice = "leave --resume out to begin anew, or name another --output"
    try:
        known = json.loads(_note(output).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(f"{_note(output)}, which says what {output} was made from, cannot be read; {advice}") from None
    for name, value in record.items():
        if not isinstance(known, dict) or known.get(name) != value:
            raise InputError(f"{output} was begun with other {name}; {advice}")


def _note(output: Path) -> Path:
    """Where it is kept what `output` is made from."""
    return output.with_name(f".{output.name}.run")
