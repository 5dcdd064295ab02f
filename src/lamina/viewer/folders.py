"""Which files below a folder may be read: regular ones that lie in it, or in the Hub cache whose snapshot it is."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .dataset import DataFile, Failure
from .errors import SourceError
from .naming import beside_the_data, foreign, format_of

MOST_FILES = 100_000
CARD = "README.md"


@dataclass(frozen=True)
class Listing:
    """What a folder holds: data, files beside it, and what is left out."""

    root: Path
    data: tuple[DataFile, ...]
    others: tuple[DataFile, ...]
    failures: tuple[Failure, ...]


class LeftOut(Exception):
    """A file that may not or cannot be read; the message says why."""


def data_file(root: Path, path: Path) -> DataFile:
    """One file below `root`, or LeftOut. A link counts by where it leads, and may not lead out."""
    try:
        real = Path(os.path.realpath(path, strict=True))
        found = real.stat()
    except (OSError, ValueError) as problem:
        raise LeftOut(f"cannot be opened: {getattr(problem, 'strerror', None) or problem}") from None
    home = Path(os.path.realpath(root))
    if not real.is_relative_to(home) and not _cached(real, home):
        raise LeftOut("is a link that leads out of the folder, and is not followed")
    if not stat.S_ISREG(found.st_mode):
        raise LeftOut("is not a regular file")
    if not os.access(real, os.R_OK):
        raise LeftOut("may not be read: permission denied")
    name = path.relative_to(root).as_posix()
    return DataFile(real, name, format_of(name) or "", found.st_size, found.st_mtime_ns)


def listing(root: Path) -> Listing:
    """Everything below a folder but hidden files; links to folders are not followed."""
    data: list[DataFile] = []
    others: list[DataFile] = []
    failures: list[Failure] = []
    for path in _walk(root, failures):
        name = path.relative_to(root).as_posix()
        try:
            name.encode()
            if foreign(name):
                raise LeftOut("is compressed in a way that is not read here: unpack it, or use gzip or zstandard")
            file = data_file(root, path)
        except UnicodeEncodeError:
            failures.append(Failure(ascii(name), "has a name that is not UTF-8"))
            continue
        except LeftOut as why:
            if format_of(name) or foreign(name) or path.is_symlink():
                failures.append(Failure(name, f"{name} {why}"))
            continue
        (data if file.format and not beside_the_data(name) else others).append(file)
    return Listing(root, tuple(data), tuple(others), tuple(failures))


def _walk(root: Path, failures: list[Failure]) -> Iterator[Path]:
    count = 0

    def unreadable(problem: OSError) -> None:
        place = Path(problem.filename or root)
        name = place.relative_to(root).as_posix() if place.is_relative_to(root) else place.name
        failures.append(Failure(name, f"{name} cannot be listed: {problem.strerror}"))

    for folder, folders, names in os.walk(root, onerror=unreadable):
        for link in [name for name in folders if os.path.islink(os.path.join(folder, name))]:
            place = Path(folder, link).relative_to(root).as_posix()
            failures.append(Failure(place, f"{place} is a link to a folder, and is not followed"))
        folders[:] = sorted(name for name in folders if not _hidden(name) and not os.path.islink(f"{folder}/{name}"))
        for name in sorted(names):
            if _hidden(name):
                continue
            count += 1
            if count > MOST_FILES:
                raise SourceError(f"{root} holds more than {MOST_FILES:,} files: pass a folder below it")
            yield Path(folder, name)


def _hidden(name: str) -> bool:
    return name.startswith((".", "__"))


def _cached(real: Path, home: Path) -> bool:
    """Whether a file is a blob of the Hub cache's repository that the folder is a snapshot of."""
    for parent in (home, *home.parents):
        if parent.name == "snapshots":
            repository = parent.parent
            shared = real.parent.parent == repository.parent / "blobs"
            return repository.name.startswith("datasets--") and (real.parent == repository / "blobs" or shared)
    return False
