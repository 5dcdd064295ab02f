"""The gate that every request passes: its id, its key, the size of its body, and a line in the log when it is done."""

from __future__ import annotations

import hmac
import logging
import re
import time
import uuid
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .engine import log_failure
from .errors import Refusal, TooLarge, Unauthorized
from .replies import refuse
from .state import Serving

logger = logging.getLogger(__name__)

# What answers without a key: pages that ask for one, and what machines look at.
OPEN = ("/health", "/ping", "/ready", "/metrics", "/docs", "/openapi.json", "/favicon.ico")
OPEN_BELOW = ("/ui/", "/static/")
REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


class Gate:
    """Pure ASGI, since it stands in the way of every byte: a few microseconds, no task of its own."""

    def __init__(self, app: ASGIApp, serving: Serving):
        self.app, self.serving = app, serving
        key = serving.settings.api_key
        self._key = None if key is None else key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["method"] == "HEAD":  # as GET; the server in front of us sends the head alone
            scope = {**scope, "method": "GET"}
        passage = Passage(self.serving, scope, receive, send)
        self.serving.active += 1
        try:
            refusal = self._refusal(scope, passage)
            if refusal is not None:
                await refuse(refusal, scope["path"])(scope, receive, passage.send)
            else:
                await self._pass(scope, passage)
        finally:
            self.serving.active -= 1
            passage.close()

    async def _pass(self, scope: Scope, passage: Passage) -> None:
        try:
            await self.app(scope, passage.receive, passage.send)
        except Exception as error:  # a defect of ours: logged without what was sent, told without what is inside
            log_failure("a request could not be answered", error)
            if not passage.status:
                failure = refuse(Refusal("the server failed; the log says where"), scope["path"])
                await failure(scope, passage.receive, passage.send)

    def _refusal(self, scope: Scope, passage: Passage) -> Refusal | None:
        if self._key is not None and not self._may_enter(scope, passage.headers):
            return Unauthorized("the API key is missing or wrong; send it as Authorization: Bearer KEY")
        try:
            length = int(passage.headers.get(b"content-length", b"0"))
        except ValueError:
            length = 0
        if length > passage.most:
            return passage.too_large()
        return None

    def _may_enter(self, scope: Scope, headers: dict[bytes, bytes]) -> bool:
        path, method = scope["path"], scope["method"]
        if method == "OPTIONS" or path in OPEN or path.startswith(OPEN_BELOW):
            return True
        if path == "/" and method == "GET":
            return True
        scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer":
            key = headers.get(b"x-api-key", b"")
        assert self._key is not None
        return hmac.compare_digest(key.strip(), self._key)  # takes as long for a wrong key as for a right one


class Passage:
    """One request on its way through: counts the bytes of its body, and remembers how it was answered."""

    def __init__(self, serving: Serving, scope: Scope, receive: Receive, send: Send):
        self._serving, self._scope, self._receive, self._send = serving, scope, receive, send
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.most = serving.settings.limits.body_bytes
        self._started = time.perf_counter()
        self._read = 0
        self.status = 0
        given = self.headers.get(b"x-request-id", b"")
        self.id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex.encode()
        scope.setdefault("state", {})["request_id"] = self.id.decode()

    def too_large(self) -> TooLarge:
        """The refusal of a body that is too large."""
        return TooLarge(f"the body is larger than {self.most} bytes; send less at once")

    async def receive(self) -> Message:
        """The next part of the body; raises TooLarge once there was too much of it."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._read += len(message.get("body", b""))
            if self._read > self.most:
                raise self.too_large()
        return message

    async def send(self, message: Message) -> None:
        """Send on, with the request's id."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self.id)]
            if self._serving.draining:
                message["headers"].append((b"connection", b"close"))
        await self._send(message)

    def close(self) -> None:
        """Count it, and write one line: never what was sent, nor the query, which pages keep inputs in."""
        seconds = time.perf_counter() - self._started
        route: Any = self._scope.get("route")
        path = getattr(route, "path", "unknown")
        self._serving.metrics.request(path, self.status or 499, seconds)
        if logger.isEnabledFor(logging.INFO):
            address = (self._scope.get("client") or ("-",))[0]
            logger.info(
                '%s "%s %s" %s %.1f ms %s', address, self._scope["method"], _plain(self._scope["path"]),
                self.status or 499, seconds * 1000, self.id.decode(),
            )  # fmt: skip


def _plain(path: str) -> str:
    """A path that cannot break out of its line in the log."""
    return "".join(letter if letter.isprintable() and letter not in '"\\' else "?" for letter in path[:200])
