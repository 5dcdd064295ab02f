"""A disk that fails, or a process that dies, at a chosen operation on files: half of what was to be written is."""

from __future__ import annotations

import builtins
import gc
import io
import os
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

CALLS = ("fsync", "rename", "replace", "mkdir", "sendfile")  # of the module os
REMOVALS = ("unlink", "rmdir")  # which a process may die at; where they fail, something is left over, and no harm done


class File:
    """An open file whose writes count."""

    def __init__(self, file: Any, touch: Callable[[Callable[[], Any], Callable[[], Any]], Any]):
        self.file, self.touch = file, touch

    def write(self, data: Any) -> Any:
        return self.touch(lambda: self.file.write(data), lambda: self.file.write(data[: len(data) // 2]))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> File:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.file.close()


class Disk:
    """Counts writes, flushes, renames and new folders; the one with number `failing` calls `fault`."""

    def __init__(self, failing: int, fault: Callable[[], Any], flushing: bool = True, removing: bool = False):
        """Without `flushing` nothing is waited for: enough where a process dies and the machine does not.

        With `removing` what takes files away counts too.
        """
        self.failing, self.fault, self.flushing, self.removing, self.count = failing, fault, flushing, removing, 0

    def touch(self, whole: Callable[[], Any], half: Callable[[], Any] = lambda: None) -> Any:
        self.count += 1
        if self.count == self.failing:
            half()
            self.fault()
        return whole()

    @contextmanager
    def mounted(self) -> Iterator[Disk]:
        """What is written inside goes to this disk."""
        plain = io.open
        before = {
            name: getattr(os, name) for name in (*CALLS, *(REMOVALS if self.removing else ())) if hasattr(os, name)
        }

        def opened(path: Any, mode: str = "r", *arguments: Any, **more: Any) -> Any:
            file = plain(path, mode, *arguments, **more)
            return File(file, self.touch) if set(mode) & set("wax+") else file

        def counted(name: str) -> Callable[..., Any]:
            call = before[name] if self.flushing or name != "fsync" else lambda handle: None
            return lambda *arguments, **more: self.touch(lambda: call(*arguments, **more))

        calls = {name: counted(name) for name in before}
        with patch.object(builtins, "open", opened), patch.object(io, "open", opened), patch.multiple(os, **calls):
            yield self


def forked(work: Callable[[], Any]) -> int:
    """The number of a child that does `work` and leaves with 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads: the child uses none
        child = os.fork()
    if child:
        return child
    code = 1
    try:
        gc.freeze()  # what libraries with threads left behind cannot be collected where these threads are not
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(child: int) -> int:
    """What became of a child: its code, or the negative number of the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
