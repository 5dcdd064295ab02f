"""Clients of an HTTP server: some ask again as soon as they are answered, some at a rate whatever comes.

Plain sockets: a client library would need more of the two cores than some of the servers.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What came back; `seconds` from the request's first byte to the answer's last."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Server:
    """Where to ask."""

    host: str
    port: int

    def post(self, path: str, payload: Any, headers: Mapping[str, str] | None = None) -> bytes:
        """A whole request, ready to be sent again and again."""
        body = json.dumps(payload).encode()
        given = {"Content-Type": "application/json", "Content-Length": len(body), **(headers or {})}
        return self._head("POST", path, given) + body

    def get(self, path: str) -> bytes:
        return self._head("GET", path, {})

    def _head(self, method: str, path: str, headers: Mapping[str, Any]) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Connection:
    """One connection that stays open from request to request."""

    def __init__(self, server: Server):
        self.server = server
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def send(self, request: bytes) -> None:
        """The request alone, for clients that leave before the answer."""
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection(self.server.host, self.server.port)
        self.writer.write(request)
        await self.writer.drain()

    async def ask(self, request: bytes) -> Answer:
        """Raises OSError or EOFError where the connection is refused or ends before the answer does."""
        began = time.perf_counter()
        await self.send(request)
        assert self.reader
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.split(":", 1) for line in head[1:] if line)
        headers = {name.lower(): value.strip() for name, value in pairs}
        body = await self._body(headers)
        if headers.get("connection") == "close":
            await self.close()
        return Answer(int(head[0].split()[1]), headers, body, time.perf_counter() - began)

    async def _body(self, headers: Mapping[str, str]) -> bytes:
        assert self.reader
        if headers.get("transfer-encoding") != "chunked":
            return await self.reader.readexactly(int(headers.get("content-length", 0)))
        parts = []
        while size := int((await self.reader.readline()).split(b";")[0], 16):
            parts.append(await self.reader.readexactly(size))
            await self.reader.readline()
        await self.reader.readline()
        return b"".join(parts)

    async def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
            with suppress(OSError):
                await self.writer.wait_closed()
        self.reader = self.writer = None


async def ask(server: Server, request: bytes) -> Answer:
    """One request on a connection of its own."""
    connection = Connection(server)
    try:
        return await connection.ask(request)
    finally:
        await connection.close()


async def in_turns(server: Server, requests: Sequence[bytes], clients: int) -> list[Answer]:
    """All requests by `clients`, each sending its next one once it has its answer; in order of sending."""
    waiting: Iterator[tuple[int, bytes]] = enumerate(requests)
    answers: dict[int, Answer] = {}

    async def client() -> None:
        connection = Connection(server)
        try:
            for number, request in waiting:
                answers[number] = await connection.ask(request)
        finally:
            await connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return [answers[number] for number in range(len(requests))]


async def at_rate(server: Server, requests: Sequence[bytes], rate: float) -> list[Answer]:
    """`rate` requests a second, answered or not; in order of sending."""
    idle: list[Connection] = []
    began = time.perf_counter()

    async def one(number: int, request: bytes) -> Answer:
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        connection = idle.pop() if idle else Connection(server)
        answer = await connection.ask(request)
        idle.append(connection)
        return answer

    try:
        return list(await asyncio.gather(*(one(number, request) for number, request in enumerate(requests))))
    finally:
        for connection in idle:
            await connection.close()


def percentile(values: Sequence[float], share: float) -> float:
    """The least value that `share` of all values do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
