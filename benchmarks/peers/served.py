"""A server in a process of its own, asked by closed-loop clients: what they get each second, and how long they wait."""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..load import Answer, Server, ask, in_turns, percentile
from ..worker import Work, end_with_parent, group_seconds

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 180  # seconds from starting a server to its first answer
COMPARED = 16  # answers that are held beside the first contender's
BODIES: dict[str, Callable[[str], Any]] = {  # what each server calls a text
    "inputs": lambda text: {"inputs": text},
    "input": lambda text: {"input": [text], "model": "served"},
}
VECTORS: dict[str, Callable[[Any], list[float]]] = {  # where the vector is in what each server answers
    "inputs": lambda found: found[0] if isinstance(found[0], list) else found,
    "input": lambda found: found["data"][0]["embedding"],
}


def embed(
    case: dict[str, Any], python: str, command: list[str], path: str = "/", body: str = "inputs", clients: int = 1
) -> Work:
    """All of `case["texts"]`, one a request, by as many clients as wait for each other's turn.

    "{folder}", "{port}" and "{threads}" in the command are filled in; it runs under the interpreter `python`.
    """
    if not Path(python).exists():
        raise ImportError(f"{python} is not there: run `make bench`")
    server = Server("127.0.0.1", free_port())
    process = start(case, [python, *command], server)
    requests = [server.post(path, BODIES[body](text)) for text in case["texts"]]
    asyncio.run(first_answer(process, server, requests[0]))
    spent = {"seconds": 0.0}

    def run() -> list[Answer]:
        before = group_seconds() - own()
        answers = asyncio.run(in_turns(server, requests, clients))
        spent["seconds"] = group_seconds() - own() - before
        refused = [answer for answer in answers if answer.status != 200]
        if refused:
            raise RuntimeError(f"{len(refused)} of {len(answers)} refused, first {refused[0].status}")
        return answers

    def figures(answers: list[Answer]) -> dict[str, float]:
        waits = [1000 * answer.seconds for answer in answers]
        return {
            "p50 ms": statistics.median(waits),
            "p99 ms": percentile(waits, 0.99),
            "CPU ms": 1000 * spent["seconds"] / len(answers),
        }

    def vectors(answers: list[Answer]) -> dict[str, Any]:
        return {"vectors": [VECTORS[body](answer.json()) for answer in answers[:COMPARED]]}

    return Work(run, vectors, figures)


def own() -> float:
    """CPU seconds of the clients, which are this process."""
    times = os.times()
    return times.user + times.system


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        port: int = opened.getsockname()[1]
    return port


def start(case: dict[str, Any], command: list[str], server: Server) -> subprocess.Popen[bytes]:
    """The server; it ends with this process, or with its group."""
    filled = {"{folder}": case["folder"], "{port}": str(server.port), "{threads}": str(case["threads"])}
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, str(case["threads"])), "HF_HUB_OFFLINE": "1"}
    environment["DO_NOT_TRACK"] = "1"  # one of the servers reports to its makers otherwise
    return subprocess.Popen(
        [filled.get(part, part) for part in command],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        preexec_fn=end_with_parent,
    )


async def first_answer(process: subprocess.Popen[bytes], server: Server, request: bytes) -> None:
    """Wait until the server answers; raises ImportError where it never does, as for an engine that is not there."""
    until, last = time.perf_counter() + PATIENCE, "no answer"
    while time.perf_counter() < until:
        if process.poll() is not None:
            raise ImportError(f"the server ended with {process.returncode} before it answered: {last}")
        try:
            answer = await ask(server, request)
        except (OSError, EOFError) as error:
            last = str(error)
        else:
            if answer.status == 200:
                return
            last = f"{answer.status}: {answer.body[:200]!r}"
        await asyncio.sleep(0.2)
    raise ImportError(f"the server never answered: {last}")
