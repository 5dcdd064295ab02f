"""A real process is told to end: it finishes what it began, takes nothing new, and leaves with 0."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.load import Answer, Connection, Server, ask

from .running import OwnProcess, own_process

LONG = " ".join(["The old man said that prices rose in Berlin."] * 20)
TEXTS = 32  # that keep the server busy for a while
PATIENCE = 300.0  # seconds in which a machine with other things to do must have begun what it was asked


def work(server: Server, texts: int) -> bytes:
    return server.post("/models/minilm/embed", {"inputs": [LONG] * texts})


async def until_busy(server: Server) -> None:
    """Return once the server is at work on what was asked."""
    until = time.monotonic() + PATIENCE
    while b"lamina_queue_requests 0.0" in (await ask(server, server.get("/metrics"))).body:
        assert time.monotonic() < until, "the server does not begin"
        await asyncio.sleep(0.02)


async def until_told(server: Server) -> None:
    """Return once the server knows that it is to end."""
    until = time.monotonic() + PATIENCE
    while await status(Connection(server), server.get("/ready")) == 200:
        assert time.monotonic() < until, "the server does not hear the signal"
        await asyncio.sleep(0.02)


async def told_to_end(running: OwnProcess, texts: int) -> tuple[Answer, list[int | None]]:
    """What work in flight got after the signal, and what others were told meanwhile: a status, None for no answer."""
    server = running.address
    beside = Connection(server)
    assert (await beside.ask(server.get("/ready"))).status == 200
    first = asyncio.create_task(ask(server, work(server, texts)))
    await until_busy(server)
    assert not first.done(), "the work is too short to be ended in the middle of it"
    running.process.send_signal(signal.SIGTERM)
    await until_told(server)
    told = []
    for request in (server.get("/ready"), work(server, 1)):
        told += [await status(beside, request), await status(Connection(server), request)]
    return await first, told


async def status(connection: Connection, request: bytes) -> int | None:
    try:
        return (await connection.ask(request)).status
    except (OSError, EOFError):
        return None
    finally:
        await connection.close()


def test_what_was_begun_is_finished(checkpoint: Callable[[str], Path]) -> None:
    patient = ("--drain", "600", "--deadline", "600")  # however much else the machine does
    with own_process(f"minilm={checkpoint('minilm')}", *patient) as running:
        answer, told = asyncio.run(told_to_end(running, TEXTS))
        assert answer.status == 200
        assert len(answer.json()) == TEXTS
        assert set(told[:2]) <= {503, None}, "/ready says yes while the server ends"
        assert set(told[2:]) <= {429, 503, None}, "new work was taken while the server ends"
        assert running.process.wait(PATIENCE) == 0
        assert "Traceback" not in running.log.read_text()


def test_the_end_is_bounded(checkpoint: Callable[[str], Path]) -> None:
    with own_process(f"minilm={checkpoint('minilm')}", "--drain", "0.5") as running:
        server = running.address

        async def unfinished() -> None:
            many = [asyncio.create_task(status(Connection(server), work(server, 128))) for _ in range(3)]
            await until_busy(server)
            running.process.send_signal(signal.SIGTERM)
            await asyncio.gather(*many)

        asyncio.run(unfinished())
        assert running.process.wait(PATIENCE) == 0


def test_an_idle_server_leaves_at_once_with_clients_connected(checkpoint: Callable[[str], Path]) -> None:
    """On Ctrl-C, which is answered as SIGTERM is."""
    server = own_process(f"gpt2={checkpoint('gpt2')}", "--drain", "3600")
    with server as running, socket.create_connection(("127.0.0.1", running.port)):
        assert running.end(signal.SIGINT) == 0, "and not an hour later"
