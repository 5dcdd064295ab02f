"""A disk that fails, or a process that dies, at a chosen operation on files: half of what was to be written is."""

from __future__ import annotations

import builtins
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

CALLS = ("fsync", "rename", "replace", "mkdir")  # of the module os


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

    def __init__(self, failing: int, fault: Callable[[], Any], flushing: bool = True):
        """Without `flushing` nothing is waited for: enough where a process dies and the machine does not."""
        self.failing, self.fault, self.flushing, self.count = failing, fault, flushing, 0

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
        before = {name: getattr(os, name) for name in CALLS}

        def opened(path: Any, mode: str = "r", *arguments: Any, **more: Any) -> Any:
            file = plain(path, mode, *arguments, **more)
            return File(file, self.touch) if set(mode) & set("wax+") else file

        def counted(name: str) -> Callable[..., Any]:
            call = before[name] if self.flushing or name != "fsync" else lambda handle: None
            return lambda *arguments, **more: self.touch(lambda: call(*arguments, **more))

        calls = {name: counted(name) for name in CALLS}
        with patch.object(builtins, "open", opened), patch.object(io, "open", opened), patch.multiple(os, **calls):
            yield self
