"""Files in the viewer's cache: written whole or not at all, named after what they were computed from, pruned by age."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..files.atomic import staged
from .errors import ViewerError


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A path to write at, renamed to `path` where the block ends without an error. Raises ViewerError."""
    with suppress(OSError):  # which `staged` tells of
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with staged(path.parent, ViewerError) as new:
        yield new(path.name)


def prune(folder: Path, size: int) -> None:
    """Remove the files used longest ago until the rest takes up at most `size` bytes."""
    found = []
    for entry in os.scandir(folder) if folder.is_dir() else ():
        if entry.is_file(follow_symlinks=False):
            state = entry.stat(follow_symlinks=False)
            found.append((state.st_mtime, state.st_size, Path(entry.path)))
    kept = 0
    for _, bytes_, path in sorted(found, reverse=True):
        kept += bytes_
        if kept > size:
            path.unlink(missing_ok=True)


def touch(path: Path) -> None:
    """Note that a file was used just now."""
    try:
        os.utime(path)
    except OSError:
        return
