"""Long work in the background, such as statistics and search indexes: one of a kind at a time, with its progress."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from starlette.requests import Request

from .errors import Cancelled, ViewerError
from .stop import Stop

LOOK = 0.05  # seconds between looks at a job that is waited for
WORKERS = 2
PATIENCE = 5.0  # seconds that closing waits for work to stop


@dataclass
class Progress:
    """How far a job is. Written by the job, read by anybody."""

    total: int = 0
    done: int = 0
    label: str = ""
    found: list[Any] = field(default_factory=list)  # what is ready already


@dataclass(frozen=True)
class Job:
    progress: Progress
    stop: Stop
    future: Future[Any]

    @property
    def state(self) -> str:
        if not self.future.done():
            return "running"
        return "failed" if self.future.cancelled() or self.future.exception() else "done"

    @property
    def error(self) -> ViewerError | None:
        if self.state != "failed":
            return None
        why = Cancelled("the viewer is closing") if self.future.cancelled() else self.future.exception()
        return why if isinstance(why, ViewerError) else ViewerError(f"Unexpected error: {type(why).__name__}")

    async def settled(self, seconds: float) -> None:
        """Wait for the end, so long at most."""
        given_up = time.monotonic() + seconds
        while not self.future.done() and time.monotonic() < given_up:
            await asyncio.sleep(LOOK / 5)


class Jobs:
    """Starts each job once, by key; a failed one is started again when asked for again."""

    def __init__(self) -> None:
        self._jobs: dict[tuple[str, str], Job] = {}
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="viewer-job")

    def start(self, key: tuple[str, str], work: Callable[[Stop, Progress], Any], again: bool = False) -> Job:
        """The job of this key; `again` starts it anew if it has failed."""
        with self._lock:
            job = self._jobs.get(key)
            if job is None or (again and job.state == "failed"):
                progress, stop = Progress(), Stop()
                job = Job(progress, stop, self._pool.submit(work, stop, progress))
                self._jobs[key] = job
            return job

    async def wait(self, job: Job, request: Request) -> Any:
        """The job's result. If the client leaves first, the job goes on for the next one."""
        while not job.future.done():
            if await request.is_disconnected():
                raise Cancelled("the client has left")
            await asyncio.sleep(LOOK)
        if job.error is not None:
            raise job.error
        return job.future.result()

    def close(self) -> None:
        """Stop what runs, and wait until it has stopped."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        end_all([(job.stop, job.future) for job in self._jobs.values()])


def end_all(running: Iterable[tuple[Stop, Future[Any]]]) -> None:
    """Tell work to stop until it has, or for a few seconds: a query that starts just now may miss one call."""
    left = [(stop, future) for stop, future in running if not future.done()]
    began = time.monotonic()
    while left and time.monotonic() - began < PATIENCE:
        for stop, _ in left:
            stop.now(Cancelled("the viewer is closing"))
        wait([future for _, future in left], timeout=LOOK)
        left = [(stop, future) for stop, future in left if not future.done()]
