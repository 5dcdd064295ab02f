"""Responses: JSON with numbers written fast, refusals in the shape each client knows, events one by one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .errors import Refusal
from .waiting import disconnected

KEEPALIVE = 15.0  # seconds of silence before a comment tells proxies that the stream lives
OPENAI_TYPES = {
    401: "authentication_error",
    404: "not_found_error",
    413: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
}


def encode(content: Any) -> bytes:
    """JSON. Half a surrogate pair is not a character, but JSON can hold it: it is escaped as it came."""
    try:
        return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    except TypeError:
        return json.dumps(content, ensure_ascii=True, allow_nan=False).encode("ascii")


class Json(Response):
    """JSON; arrays of numbers are written as they lie in memory."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The bytes of `content`; numbers that JSON does not know become null."""
        return encode(content)


def speaks_openai(path: str) -> bool:
    """Whether an address belongs to the routes whose errors are objects."""
    return "/v1/" in path or path.endswith("/v1")


def refusal_body(refusal: Refusal, openai: bool) -> dict[str, Any]:
    """What a refusal says: an object under /v1, text everywhere else."""
    if not openai:
        return {"error": str(refusal), "error_type": refusal.kind}
    kind = OPENAI_TYPES.get(refusal.status, "server_error")
    code = "model_not_found" if refusal.status == 404 else refusal.kind
    return {"error": {"message": str(refusal), "type": kind, "param": None, "code": code}}


def refuse(refusal: Refusal, path: str) -> Json:
    """The response that a refusal becomes."""
    headers = {}
    if refusal.retry_after is not None:
        headers["retry-after"] = str(refusal.retry_after)
    if refusal.status == 401:
        headers["www-authenticate"] = "Bearer"
    return Json(refusal_body(refusal, speaks_openai(path)), refusal.status, headers)


def event(data: Any) -> bytes:
    return b"data:" + encode(data) + b"\n\n"


DONE = b"data: [DONE]\n\n"


class EventStream(Response):
    """Server-sent events as `events` yields them; a client that leaves closes `events`, at whatever it waits for.

    A refusal raised on the way becomes the last event, with an error in the shape that the address calls for.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        path: str,
        closed: Callable[[], None],
        headers: Mapping[str, str] | None = None,
    ):
        self._events, self._path, self._closed = events, path, closed
        self.status_code, self.background = 200, None
        usual = {"cache-control": "no-store", "x-accel-buffering": "no"}
        self.body = b""
        self.init_headers({**usual, **(headers or {})})
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events until they end or the client leaves."""
        gone = asyncio.ensure_future(disconnected(receive))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await self._send_events(gone, send)
            if not gone.done():
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            self._closed()

    async def _send_events(self, gone: asyncio.Future[None], send: Send) -> None:
        pending: asyncio.Future[bytes] | None = None
        try:
            while not gone.done():
                pending = pending or asyncio.ensure_future(_next(self._events))
                waiting: set[asyncio.Future[Any]] = {pending, gone}
                await asyncio.wait(waiting, timeout=KEEPALIVE, return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    return
                chunk = pending.result() if pending.done() else b": keepalive\n\n"
                if pending.done():
                    pending = None
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except _Ended:
            return
        except Refusal as refusal:
            body = event(refusal_body(refusal, speaks_openai(self._path)))
            await send({"type": "http.response.body", "body": body, "more_body": True})
        finally:
            if pending is not None:
                pending.cancel()
                await asyncio.gather(pending, return_exceptions=True)
            await self._events.aclose()


class _Ended(Exception):
    """The events are over; StopAsyncIteration itself cannot pass through a task."""


async def _next(events: AsyncGenerator[bytes, None]) -> bytes:
    try:
        return await events.__anext__()
    except StopAsyncIteration:
        raise _Ended from None
