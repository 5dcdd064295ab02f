"""The clients of benchmarks/load.py against a server of ten lines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from benchmarks.load import Answer, Server, ask, at_rate, in_turns, percentile

Client = Callable[[Server], Awaitable[list[Answer]]]


async def against(client: Client, chunked: bool = False, wait: float = 0.0) -> tuple[list[Answer], int, int]:
    """The answers, how many connections the server saw, and how many requests it worked on at once."""
    seen = {"connections": 0, "now": 0, "most": 0}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen["connections"] += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                size = next(int(line.split(":")[1]) for line in head.splitlines() if line.startswith("Content-Length"))
                body = await reader.readexactly(size)
                seen["now"] += 1
                seen["most"] = max(seen["most"], seen["now"])
                await asyncio.sleep(wait)
                seen["now"] -= 1
                said = f"Transfer-Encoding: chunked\r\n\r\n{size:x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
                plain = f"Content-Length: {size}\r\n\r\n".encode() + body
                writer.write(b"HTTP/1.1 200 OK\r\n" + (said if chunked else plain))
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        answers = await client(Server("127.0.0.1", listening.sockets[0].getsockname()[1]))
    return answers, seen["connections"], seen["most"]


def posts(server: Server, count: int) -> list[bytes]:
    return [server.post("/", {"number": number}) for number in range(count)]


@pytest.mark.parametrize("chunked", [False, True])
def test_clients_in_turns_keep_their_connection_and_the_order(chunked: bool) -> None:
    answers, connections, most = asyncio.run(
        against(lambda server: in_turns(server, posts(server, 20), 4), chunked, wait=0.002)
    )
    assert [answer.json()["number"] for answer in answers] == list(range(20))
    assert (connections, most) == (4, 4)
    assert all(answer.status == 200 and answer.seconds >= 0.002 for answer in answers)


def test_a_rate_is_kept_whether_or_not_answers_come() -> None:
    async def timed(server: Server) -> list[Answer]:
        began = asyncio.get_running_loop().time()
        answers = await at_rate(server, posts(server, 20), 200)
        assert 0.09 < asyncio.get_running_loop().time() - began < 2
        return answers

    answers, connections, most = asyncio.run(against(timed, wait=0.05))
    assert [answer.json()["number"] for answer in answers] == list(range(20))
    assert most > 4
    assert connections >= most


def test_nobody_there_is_an_error_and_no_hang() -> None:
    with pytest.raises(OSError):
        asyncio.run(ask(Server("127.0.0.1", 9), b"GET / HTTP/1.1\r\n\r\n"))


@pytest.mark.parametrize(("share", "value"), [(0.5, 2), (0.99, 4), (0.0, 1), (1.0, 4), (0.25, 1)])
def test_percentiles_are_values_that_occurred(share: float, value: float) -> None:
    assert percentile([4, 1, 3, 2], share) == value
