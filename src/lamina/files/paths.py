"""Which files of a model folder may be opened: plain names, regular files, links into the hub cache's blobs only."""

from __future__ import annotations

import os
import re
import stat
from contextlib import nullcontext
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import CheckpointError, LaminaError
from .shown import cause, shown

PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}", re.ASCII)
SHARD_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}\.(?:safetensors|bin)", re.ASCII)
FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # a pipe without a writer would block


def local_path(value: Any, error: type[LaminaError]) -> Path:
    """A path that a caller gave, `~` expanded; `error` for anything else, and for what the system cannot look up."""
    if not isinstance(value, (str, os.PathLike)):
        raise error(f"{shown(value)} is neither a folder nor the name of a model: pass text or a path")
    try:
        path = Path(value).expanduser()
        path.is_dir()
        if "\0" in str(path):
            raise ValueError("it holds a null character")
    except (OSError, ValueError, TypeError, RuntimeError) as problem:
        raise error(f"{shown(value)} cannot be looked up: {cause(problem)}") from None
    return path


def inside(folder: str | Path, name: str, error: type[LaminaError] = CheckpointError) -> Path:
    """The path of one file of a model folder, or of one below it ("1_Pooling/config.json").

    `name` is judged as text, since snapshots of the hub cache are links whose real path lies elsewhere; a link is
    followed only to inside the folder or to the blobs of the hub cache it is part of.
    """
    folder = Path(folder)
    if not isinstance(name, str) or not all(PLAIN_NAME.fullmatch(part) for part in name.split("/")):
        raise error(f"{folder}: {shown(name)} is not a plain file name")
    path = folder / name
    try:
        real = Path(os.path.realpath(path, strict=True))
        mode = real.stat().st_mode
    except OSError as problem:
        leads = f"it is a link to {shown(os.readlink(path))}, " if path.is_symlink() else ""
        raise error(f"{path} cannot be opened: {leads}{cause(problem)}") from None
    if not stat.S_ISREG(mode):
        raise error(f"{path} is not a regular file")
    home = Path(os.path.realpath(folder))
    if not real.is_relative_to(home) and not _cached(real, home):
        raise error(f"{path} is a link to {real}, outside its folder; links may lead into the hub cache's blobs only")
    return path


def present(folder: str | Path, name: str) -> bool:
    """Whether a file of that name stands in the folder, dangling links included: those deserve an error, not a miss."""
    return os.path.lexists(Path(folder) / name)


def listed(folder: str | Path, error: type[LaminaError]) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError as problem:
        raise error(f"{folder} cannot be listed: {cause(problem)}") from problem


def open_regular(path: str | Path, error: type[LaminaError]) -> FileIO:
    """A regular file opened for reading; anything else is refused at once, whatever has taken its place meanwhile."""
    try:
        handle = os.open(path, FLAGS)
    except FileNotFoundError:
        raise error(f"{path} cannot be read: it is not a file") from None
    except (OSError, ValueError) as problem:
        raise error(f"{path} cannot be opened: {cause(problem)}") from problem
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise error(f"{path} cannot be read: it is not a file but a folder, a pipe or a device")
    return FileIO(handle, "rb")


def read_bytes(path: str | Path, most: int, error: type[LaminaError]) -> bytes:
    """What a regular file of at most `most` bytes holds."""
    with open_regular(path, error) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise error(f"{path} is {size:,} bytes; at most {most:,} are read from such a file")
        try:
            return file.read(size) or b""
        except OSError as problem:
            raise error(f"{path} cannot be read: {cause(problem)}") from problem


def read_text(path: str | Path, most: int, error: type[LaminaError]) -> str:
    try:
        return read_bytes(path, most, error).decode("utf-8")
    except UnicodeDecodeError as problem:
        raise error(f"{path} is not UTF-8 text: {cause(problem)}") from None


def bounded_text(source: str | Path | BinaryIO, name: str, most: int, error: type[LaminaError]) -> str:
    """All of a text in UTF-8, from a file or from a stream such as a pipe; no more than `most` bytes are ever held."""
    try:
        with open(source, "rb") if isinstance(source, (str, Path)) else nullcontext(source) as opened:
            data = opened.read(most + 1)
    except (OSError, ValueError) as problem:
        raise error(f"{name}: cannot be read ({cause(problem)})") from None
    if len(data) > most:
        raise error(f"{name}: more than {most:,} bytes, the most that is read of one text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise error(f"{name}: not UTF-8 ({problem.reason}); convert it first") from None


def _cached(real: Path, folder: Path) -> bool:
    """Whether a file is a blob of the repository whose snapshot the folder is, or of the store all of a cache share."""
    for parent in folder.parents:
        if parent.name == "snapshots":
            repository = parent.parent
            shared = repository.name.startswith("models--") and real.parent.parent == repository.parent / "blobs"
            return real.parent == repository / "blobs" or shared
    return False
