"""Blocking work away from the event loop, with a deadline, and ended when the one who asked has left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from starlette.requests import Request

from .errors import Cancelled, OutOfTime
from .jobs import end_all
from .stop import Stop

Result = TypeVar("Result")
LOOK = 0.05  # seconds between looks at the client and the clock
WORKERS = 8


class Runner:
    """A few threads for queries. Work gets a Stop and must heed it."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._running: dict[Future[Any], Stop] = {}
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="viewer")

    async def run(self, request: Request, work: Callable[[Stop], Result], timeout: float | None = None) -> Result:
        """What `work` returns; OutOfTime after `timeout` seconds (0: no deadline), Cancelled if the client leaves."""
        timeout = self._timeout if timeout is None else timeout
        loop = asyncio.get_running_loop()
        stop = Stop()
        future = self._pool.submit(work, stop)
        self._running[future] = stop
        future.add_done_callback(lambda done: self._running.pop(done, None))
        task = asyncio.wrap_future(future)
        deadline = loop.time() + timeout if timeout else None
        try:
            while not (await asyncio.wait({task}, timeout=LOOK))[0]:
                if deadline is not None and loop.time() > deadline:
                    stop.now(OutOfTime(f"the query took longer than {timeout:g} seconds and was interrupted"))
                elif await request.is_disconnected():
                    stop.now(Cancelled("the client has left"))
                elif stop.stopped:
                    stop.now()
            return task.result()
        except asyncio.CancelledError:
            stop.now(Cancelled("the server is stopping"))
            raise

    def close(self) -> None:
        """Forget work that has not begun, and stop what has."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        end_all([(stop, future) for future, stop in list(self._running.items())])
