"""Locks on files and folders that end with the process that holds them, however it ends."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_handles: set[int] = set()


def take(path: Path, flags: int = os.O_RDONLY) -> int | None:
    """A handle that keeps `path` from everybody else until `release`; None where somebody has it, or removed it.

    Raises OSError where the file cannot be opened, or the file system has no locks.
    """
    try:
        import fcntl  # here, since Windows has none, and reading needs none
    except ImportError:
        raise OSError(errno.ENOLCK, "this system has no locks") from None
    handle = os.open(path, flags | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours = os.path.samestat(os.fstat(handle), os.stat(path))
    except (BlockingIOError, FileNotFoundError):
        ours = False
    except BaseException:
        os.close(handle)
        raise
    if not ours:
        os.close(handle)
        return None
    _handles.add(handle)
    return handle


def release(handle: int) -> None:
    """Let others have it."""
    _handles.discard(handle)
    os.close(handle)


def _let_go() -> None:
    """A forked child, such as a worker that reads data, would hold its parent's locks beyond the parent's death."""
    for handle in _handles:
        os.close(handle)
    _handles.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
