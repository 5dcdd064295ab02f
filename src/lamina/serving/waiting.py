"""Waiting for an answer as long as it makes sense: while the client is there, and until its deadline."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from starlette.requests import Request
from starlette.types import Receive

from .admission import Permit
from .errors import ClientGone, DeadlinePassed, Invalid
from .state import Serving

SOON = 0.05  # seconds in which an answer is worth more than the knowledge that its client has left


async def unless_gone(future: asyncio.Future[Any], receive: Receive, deadline: float, permit: Permit) -> Any:
    """The result of `future`, as long as the client is there and the deadline has not passed."""
    left = max(deadline - (time.perf_counter() - permit.entered), 0.001)
    await asyncio.wait({future}, timeout=min(left, SOON))
    if future.done():
        return future.result()
    gone = asyncio.ensure_future(disconnected(receive))
    try:
        waiting: set[asyncio.Future[Any]] = {future, gone}
        done, _ = await asyncio.wait(waiting, timeout=max(left - SOON, 0), return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
    if future in done:
        return future.result()
    permit.cancelled = True
    if gone in done:
        raise ClientGone("the client has left")
    raise DeadlinePassed(f"no answer within {deadline:g} s; ask for less at once, or try again later")


async def disconnected(receive: Receive) -> None:
    """Return once the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


def deadline_of(serving: Serving, request: Request) -> float:
    """Seconds that this request may take: the server's, or fewer where the client says so in x-request-timeout."""
    most = serving.settings.limits.deadline
    try:
        asked = float(request.headers.get("x-request-timeout", most))
    except ValueError:
        raise Invalid("x-request-timeout must be a number of seconds") from None
    if not asked > 0:
        raise Invalid("x-request-timeout must be a number of seconds above zero")
    return min(asked, most)
