"""Writing files so that a crash or a full disk leaves what was there before: aside, flushed to disk, then renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import LaminaError
from .shown import cause

PREFIX = ".saving-"
ABANDONED = 3600.0  # seconds after which a left-over of a killed save is removed


@contextmanager
def staged(folder: str | Path, error: type[LaminaError]) -> Iterator[Callable[[str], Path]]:
    """A function that gives the path to write a new file at; on leaving, each is renamed into `folder`, in that order.

    Where anything fails before the renames, `folder` keeps its old files untouched. `error` is raised in place of
    OSError, such as a full disk.
    """
    folder = Path(folder)
    staging: Path | None = None
    names: list[str] = []

    def new(name: str) -> Path:
        assert staging is not None
        names.append(name)
        return staging / name

    state = "What was there before is unchanged"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        staging = Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder))
        yield new
        for name in names:
            _flush(staging / name)
        for name in names:
            (staging / name).replace(folder / name)
            state = "Some of its files may be new and some old"
        _flush(folder)
    except OSError as problem:
        if isinstance(problem, LaminaError):
            raise
        raise error(f"{folder} cannot be written: {cause(problem)}. {state}") from problem
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)


def write_text(path: str | Path, text: str, error: type[LaminaError]) -> None:
    """Replace one text file as a whole or not at all."""
    path = Path(path)
    with staged(path.parent, error) as new:
        new(path.name).write_text(text, encoding="utf-8", newline="\n")


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_abandoned(folder: Path) -> None:
    for leftover in folder.glob(PREFIX + "*"):
        if leftover.is_dir() and not leftover.is_symlink() and time.time() - leftover.stat().st_mtime > ABANDONED:
            shutil.rmtree(leftover, ignore_errors=True)
