"""Ending work that runs in another thread: because its deadline has passed, or because the one who asked has left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Lock

from .errors import Cancelled, ViewerError


class Stop:
    """Passed to everything that may take long; `now` may be called from any thread, any number of times."""

    def __init__(self) -> None:
        self._event = Event()
        self._lock = Lock()
        self._interrupts: list[Callable[[], None]] = []
        self._reason: ViewerError = Cancelled("the request was cancelled")

    def now(self, reason: ViewerError | None = None) -> None:
        """Stop what runs. A query that starts just now may miss one call, so callers repeat it until the work ends."""
        with self._lock:
            if reason is not None and not self._event.is_set():
                self._reason = reason
            self._event.set()
            for interrupt in self._interrupts:
                interrupt()

    @property
    def stopped(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        if self._event.is_set():
            raise self._reason

    @contextmanager
    def interrupting(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """Call `interrupt` whenever told to stop while the block runs."""
        self.check()
        with self._lock:
            self._interrupts.append(interrupt)
        try:
            yield
        finally:
            with self._lock:
                self._interrupts.remove(interrupt)
