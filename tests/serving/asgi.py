"""The application without a socket between: requests that can be left half-way, answers byte by byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

from fastapi import FastAPI

from lamina.serving.state import Serving

PATIENCE = 300.0  # seconds: what does not come does not come
Result = TypeVar("Result")


def run(test: Coroutine[Any, Any, Result]) -> Result:
    """The result of a coroutine, which may not take forever."""
    return asyncio.run(asyncio.wait_for(test, PATIENCE))


class Exchange:
    """One request and what came back so far."""

    def __init__(self, app: FastAPI, method: str, path: str, body: bytes, headers: Mapping[str, str]):
        sent = {"content-type": "application/json", "content-length": str(len(body)), **headers}
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items() if value],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        self._left = asyncio.Event()
        self._parts: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]
        self.status = 0
        self.headers: dict[str, str] = {}
        self.content = b""
        self.chunks: asyncio.Queue[bytes] = asyncio.Queue()
        self.task = asyncio.ensure_future(app(self._scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if self._parts:
            return self._parts.pop(0)
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        elif message.get("body"):
            self.content += message["body"]
            self.chunks.put_nowait(message["body"])

    def leave(self) -> None:
        """Close the connection from the client's side."""
        self._left.set()

    async def end(self) -> Exchange:
        """The same exchange, finished."""
        await self.task
        return self

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def events(self) -> list[Any]:
        """The data of all server-sent events, [DONE] as it is."""
        lines = [line.removeprefix("data:").strip() for line in self.content.decode().splitlines()]
        data = [line for line in lines if line and not line.startswith(":")]
        return [line if line == "[DONE]" else json.loads(line) for line in data]


class Client:
    """Asks an application."""

    def __init__(self, app: FastAPI):
        self.app = app

    @property
    def serving(self) -> Serving:
        serving: Serving = self.app.state.serving
        return serving

    def begin(self, path: str, payload: Any, **headers: str) -> Exchange:
        """A POST under way; header names are written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return Exchange(self.app, "POST", path, body, named)

    async def post(self, path: str, payload: Any, **headers: str) -> Exchange:
        return await self.begin(path, payload, **headers).end()

    async def get(self, path: str, **headers: str) -> Exchange:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await Exchange(self.app, "GET", path, b"", {"content-type": "", "content-length": "", **named}).end()


@asynccontextmanager
async def started(app: FastAPI) -> AsyncIterator[Client]:
    """A client of an application that has started, once its models are loaded or have failed."""
    async with app.router.lifespan_context(app):
        client = Client(app)
        while any(served.state == "loading" for served in client.serving.models.values()):
            await asyncio.sleep(0.005)
        yield client


@contextmanager
def kept(app: FastAPI) -> Iterator[tuple[Client, Callable[[Coroutine[Any, Any, Result]], Result]]]:
    """A client of an application that runs for several tests, and what waits for its answers."""
    loop = asyncio.new_event_loop()

    def wait(answer: Coroutine[Any, Any, Any]) -> Any:
        return loop.run_until_complete(asyncio.wait_for(answer, PATIENCE))

    running = started(app)
    try:
        yield wait(running.__aenter__()), wait
        wait(running.__aexit__(None, None, None))
    finally:
        loop.close()


async def until(condition: Any) -> None:
    """Return once `condition()` is true."""
    while not condition():
        await asyncio.sleep(0.002)
