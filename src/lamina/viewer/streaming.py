"""Answers that are sent while they are made: in a thread that stops when the reader leaves."""

from __future__ import annotations

import asyncio
import queue
import time
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import closing
from threading import Thread
from typing import Any

from starlette.requests import Request
from starlette.responses import StreamingResponse

from .errors import Cancelled, OutOfTime
from .stop import Stop

AHEAD = 8  # pieces made before the reader takes them; more would fill the memory of whoever reads slowly
LOOK = 0.05  # seconds between looks at the clock and the reader
PATIENCE = 600.0  # seconds that a piece waits for a reader who may have left unseen

Producer = Callable[[Stop], Generator[bytes, None, None]]


class Pieces:
    """What a producer yields in a thread of its own, through a short queue."""

    def __init__(self, produce: Producer) -> None:
        self.stop = Stop()
        self._pieces: queue.Queue[bytes | BaseException | None] = queue.Queue(AHEAD)
        self._thread = Thread(target=self._work, args=(produce,), name="viewer-stream", daemon=True)
        self._thread.start()

    def _work(self, produce: Producer) -> None:
        last: BaseException | None = None
        try:
            with closing(produce(self.stop)) as found:
                for piece in found:
                    self._put(piece)
        except BaseException as error:
            last = error
        if not self.stop.stopped:
            self._put(last)

    def _put(self, piece: bytes | BaseException | None) -> None:
        given_up = time.monotonic() + PATIENCE
        while not self.stop.stopped:
            try:
                self._pieces.put(piece, timeout=LOOK)
                return
            except queue.Full:
                if time.monotonic() > given_up:
                    self.stop.now(Cancelled("nobody reads the answer"))
        self.stop.check()

    async def next(self, request: Request | None = None, timeout: float = 0) -> bytes | None:
        """The next piece, None at the end; raises what the producer raised.

        With a `request`, Cancelled if it is left meanwhile; with a `timeout` of so many seconds, OutOfTime after it.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            try:
                piece = self._pieces.get_nowait()
            except queue.Empty:
                await asyncio.sleep(LOOK / 5)
            else:
                if isinstance(piece, BaseException):
                    raise piece
                return piece
            if timeout and loop.time() - began > timeout:
                await self.end(OutOfTime(f"nothing was found within {timeout:g} seconds"))
                raise OutOfTime(f"the query took longer than {timeout:g} seconds and was interrupted")
            if request is not None and await request.is_disconnected():
                await self.end()
                raise Cancelled("the client has left")

    async def end(self, reason: Any = None) -> None:
        """Stop the producer; told again until it has ended, as a query that starts just now may miss one call."""
        while self._thread.is_alive():
            self.stop.now(reason or Cancelled("the client has left"))
            await asyncio.sleep(LOOK / 5)


async def streamed(
    request: Request, produce: Producer, media_type: str, headers: dict[str, str], timeout: float = 0
) -> StreamingResponse:
    """Send what `produce` yields. What goes wrong before the first piece is raised, and can still be said as JSON."""
    pieces = Pieces(produce)
    first = await pieces.next(request, timeout)

    async def body() -> AsyncIterator[bytes]:
        try:
            piece = first
            while piece is not None:
                yield piece
                piece = await pieces.next()
        finally:
            # Shielded: leaving cancels this generator, and the query must end all the same.
            await asyncio.shield(pieces.end())

    return StreamingResponse(body(), media_type=media_type, headers=headers)
