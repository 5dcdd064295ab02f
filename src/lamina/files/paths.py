"""Which files of a model folder may be opened: plain names, regular files, links into the hub cache's blobs only."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from ..errors import CheckpointError, LaminaError

PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}", re.ASCII)
SHARD_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}\.(?:safetensors|bin)", re.ASCII)


def inside(folder: str | Path, name: str, error: type[LaminaError] = CheckpointError) -> Path:
    """The path of one file of a model folder.

    `name` is judged as text, since snapshots of the hub cache are links whose real path lies elsewhere; a link is
    followed only to inside the folder or to the blobs of the hub cache it is part of.
    """
    folder = Path(folder)
    if not PLAIN_NAME.fullmatch(name):
        raise error(f"{folder}: {name!r} is not a plain file name")
    path = folder / name
    try:
        real = Path(os.path.realpath(path, strict=True))
        mode = real.stat().st_mode
    except OSError as problem:
        raise error(f"{path} cannot be opened: {problem.strerror or problem}") from None
    if not stat.S_ISREG(mode):
        raise error(f"{path} is not a regular file")
    home = Path(os.path.realpath(folder))
    if path.is_symlink() and not real.is_relative_to(home) and not _cached(real, home):
        raise error(f"{path} is a link to {real}, outside its folder; links may lead into the hub cache's blobs only")
    return path


def present(folder: str | Path, name: str) -> bool:
    """Whether a file of that name stands in the folder, dangling links included: those deserve an error, not a miss."""
    return os.path.lexists(Path(folder) / name)


def _cached(real: Path, folder: Path) -> bool:
    """Whether a file is a blob of the repository whose snapshot the folder is, or of the store all of a cache share."""
    for parent in folder.parents:
        if parent.name == "snapshots":
            repository = parent.parent
            shared = repository.name.startswith("models--") and real.parent.parent == repository.parent / "blobs"
            return real.parent == repository / "blobs" or shared
    return False
