"""Writing files so that a crash or a full disk leaves the old ones or the new ones, never some of each.

All of a save is written into a hidden folder beside its goal and flushed to the disk. One rename then declares it
whole, and its files are moved to their places one by one. A process that dies before that rename leaves what was there
before; one that dies after it leaves a whole save, which whoever next opens the folder or saves to it finishes moving.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType

from ..errors import CheckpointError, LaminaError
from .paths import local_path
from .shown import cause, shown

PREFIX = ".saving-"
WHOLE = PREFIX + "whole"  # a save that lacks nothing but to be moved
ABANDONED = 3600.0  # seconds after which a left-over goes where locks cannot tell whether somebody still writes it

_handles: set[int] = set()  # of locks that this process holds


class Save:
    """The files of one save: call it with a file's name for the path to write at."""

    def __init__(self, staging: Path, error: type[LaminaError]):
        self.staging, self.error = staging, error
        self.names: dict[str, None] = {}
        self.dropped: dict[str, None] = {}

    def __call__(self, name: str) -> Path:
        if Path(name).name != name or name in ("", ".."):
            raise self.error(f"{shown(name)} is not a plain file name")
        self.names[name] = None
        return self.staging / name

    def drop(self, name: str) -> None:
        """Remove the file of this name, if there is one, as the new ones come."""
        self.dropped[name] = None


_running: ContextVar[Mapping[str, Save]] = ContextVar(
    "saves that are running, by their folder", default=MappingProxyType({})
)


@contextmanager
def staged(folder: str | Path, error: type[LaminaError]) -> Iterator[Save]:
    """A function that gives the path to write a new file at; on leaving, all of them come into `folder`, or none.

    One that is opened while another is open for the same folder adds to it, so that several parts are saved as one.
    `error` is raised in place of OSError, such as a full disk.
    """
    folder = local_path(folder, error)
    key = os.path.realpath(folder)
    state = "What was there before is unchanged"
    staging, handle, made = None, None, not folder.exists()
    try:
        outer = _running.get().get(key)
        if outer is not None:
            yield outer
            return
        folder.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        staging, handle = _own_folder(folder)
        save = Save(staging, error)
        token = _running.set({**_running.get(), key: save})
        try:
            yield save
        finally:
            _running.reset(token)
        _complete(save, folder)
        _declare(save, folder)
        state = "The new files are whole, and those not yet in place come there when the folder is next used"
        _settle(folder)
    except OSError as problem:
        if isinstance(problem, LaminaError):
            raise
        raise error(f"{folder} cannot be written: {cause(problem)}. {state}") from problem
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
        if handle is not None:
            release(handle)
        if made:
            with suppress(OSError):  # it has files in it, unless nothing came of the save
                folder.rmdir()


def write_text(path: str | Path, text: str, error: type[LaminaError]) -> None:
    path = local_path(path, error)
    with staged(path.parent, error) as new:
        new(path.name).write_text(text, encoding="utf-8", newline="\n")


def left_over(path: Path) -> bool:
    """Whether a file of a folder is what a save that was killed left there; the next one removes it."""
    return path.name.startswith(PREFIX)


def rename(path: Path, name: Path) -> None:
    os.rename(path, name)
    flush(path.parent)


def finish(folder: Path, error: type[LaminaError] = CheckpointError) -> None:
    """Move the files of a save to their places whose process died when it had written all and moved some.

    Called before a folder is read, since until then some of its files are new and some old.
    """
    if os.path.lexists(folder / WHOLE):
        try:
            _move(folder)
        except OSError as problem:
            raise error(
                f"{folder} holds a save that was cut off while its files were moved, and {WHOLE} cannot be moved on "
                f"({problem.strerror or problem}): open the folder once with the right to write to it"
            ) from problem


@contextmanager
def staged_folder(final: Path, aside: Path, own: Collection[str] | None = None) -> Iterator[None]:
    """Fill the new folder `aside`, which has the name `final` once all of it is on the disk. Raises OSError.

    Of a folder that has this name already, the files `own` go; None stands for all of them. Others are kept.
    """
    made = False
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        aside.mkdir()
        made = True
        yield
        for path in sorted(aside.rglob("*")):
            flush(path)
        flush(aside)
        older = aside.with_name(f"{aside.name}-older")
        if final.exists():
            os.rename(final, older)
        try:
            os.rename(aside, final)
        except OSError:
            if older.exists():
                os.rename(older, final)
            raise
        succeed(older, final, own)
        flush(final.parent)
    finally:
        if made and aside.exists():
            shutil.rmtree(aside, ignore_errors=True)


def succeed(older: Path, final: Path, own: Collection[str] | None) -> None:
    """Remove the folder `older` that `final` stands in for, or give it its name back where there is no `final`.

    Files that are not among its `own` move over, unless there is a newer one of the same name.
    """
    if not older.is_dir() or older.is_symlink():
        return
    if not final.exists():
        os.rename(older, final)
        return
    for path in sorted(older.rglob("*")):
        name = str(path.relative_to(older))
        if own is not None and name not in own and not path.is_dir() and not (final / name).exists():
            (final / name).parent.mkdir(parents=True, exist_ok=True)
            os.rename(path, final / name)
    shutil.rmtree(older, ignore_errors=True)


def remove_folder(folder: Path, aside: Path) -> None:
    """Remove a folder: at once by its name, which `aside` replaces, then its files. Raises OSError."""
    os.rename(folder, aside)
    shutil.rmtree(aside, ignore_errors=True)


def flush(path: Path) -> None:
    """See that a file or the names in a folder are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _own_folder(folder: Path) -> tuple[Path, int | None]:
    """A new folder to write into, with the lock that tells others that somebody does, where there are locks."""
    while True:
        staging = Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder))
        try:
            handle = take(staging)
        except OSError:
            return staging, None
        if handle is not None:  # else another save took it for abandoned in between
            return staging, handle


def _remove_abandoned(folder: Path) -> None:
    for leftover in folder.glob(PREFIX + "*"):
        if leftover.name == WHOLE or not leftover.is_dir() or leftover.is_symlink():
            continue
        try:
            handle = take(leftover)
        except OSError:
            with suppress(OSError):
                if time.time() - leftover.stat().st_mtime > ABANDONED:
                    shutil.rmtree(leftover, ignore_errors=True)
            continue
        if handle is not None:
            shutil.rmtree(leftover, ignore_errors=True)
            release(handle)


def _complete(save: Save, folder: Path) -> None:
    """All that moving needs to know is in the staging folder: what goes stands there as a folder of that name."""
    for name in save.names:
        if (folder / name).is_dir():
            raise IsADirectoryError(errno.EISDIR, f"{name} is a folder")
        flush(save.staging / name)
    for name in save.dropped:
        if name not in save.names and (folder / name).is_file():
            (save.staging / name).mkdir()
    flush(save.staging)


def _declare(save: Save, folder: Path) -> None:
    """Make a save count: from here on its files are those of the folder, whatever happens."""
    _move(folder)  # what a process that died left of its own
    parts = os.listdir(save.staging)
    if len(parts) == 1 and parts == list(save.names):  # a single file, in place by one rename
        os.replace(save.staging / parts[0], folder / parts[0])
        return
    while True:
        try:
            os.replace(save.staging, folder / WHOLE)
            break
        except OSError as problem:
            if problem.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        _move(folder)  # another process is at it


def _settle(folder: Path) -> None:
    """Move what was declared; once more where that fails, since half of it moved is worse than a late error."""
    try:
        flush(folder)
        _move(folder)
        flush(folder)
    except OSError:
        with suppress(OSError):
            _move(folder)
        raise


def _move(folder: Path) -> None:
    """Move what a whole save holds to its place; several processes may do so at once, and any of them may die."""
    whole = folder / WHOLE
    if not whole.is_dir() or whole.is_symlink():
        return
    with os.scandir(whole) as found:
        entries = sorted(found, key=lambda entry: (entry.is_dir(follow_symlinks=False), entry.name))
    for entry in entries:
        with suppress(FileNotFoundError):  # another process was here
            if entry.is_dir(follow_symlinks=False):
                (folder / entry.name).unlink(missing_ok=True)
                os.rmdir(entry.path)
            else:
                os.replace(entry.path, folder / entry.name)
    with suppress(FileNotFoundError):
        whole.rmdir()


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
    _handles.discard(handle)
    os.close(handle)


def _let_go() -> None:
    """A forked child, such as a worker that reads data, would hold its parent's locks beyond the parent's death."""
    for handle in _handles:
        os.close(handle)
    _handles.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
