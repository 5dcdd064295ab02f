"""Servers to test against: the app in a thread of this process, or `lamina serve` in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from benchmarks.load import Server

PATIENCE = 300.0  # seconds in which a server must be ready, answer or end, on a machine with much else to do


@dataclass(frozen=True)
class Running:
    """A server that answers at `url`."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def address(self) -> Server:
        """For clients of plain sockets."""
        return Server("127.0.0.1", self.port)

    def model(self, name: str, task: str | None = None) -> str:
        """Where a model answers, for its own task or another one."""
        return f"{self.url}/models/{name}" + (f"/pipeline/{task}" if task else "")

    def get(self, path: str) -> tuple[int, Any]:
        """Status and content of an answer."""
        return self._fetch(urllib.request.Request(self.url + path))

    def post(self, path: str, payload: Any) -> tuple[int, Any]:
        """The same for a request with a JSON body."""
        return self.send(path, json.dumps(payload).encode())

    def send(self, path: str, body: bytes) -> tuple[int, Any]:
        """The same for a body that may not be JSON at all."""
        return self._fetch(urllib.request.Request(self.url + path, body, {"Content-Type": "application/json"}))

    def _fetch(self, request: urllib.request.Request) -> tuple[int, Any]:
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, _content(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _content(error)

    def wait_until_ready(self, ended: Any = lambda: None) -> None:
        """Returns as soon as /ready says yes; fails where the server ended, or takes longer than it may."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            assert ended() is None, "the server ended before it was ready"
            try:
                if self.get("/ready")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"not ready after {PATIENCE} s")


def _content(answer: Any) -> Any:
    text = answer.read().decode()
    kind = answer.headers.get("Content-Type", "")
    return json.loads(text) if kind.startswith("application/json") else text


@contextmanager
def in_thread(app: ASGIApp) -> Iterator[Running]:
    """The app behind uvicorn in a thread, on a free port."""
    opened = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True)
    thread.start()
    running = Running(opened.getsockname()[1])
    try:
        running.wait_until_ready(lambda: None if thread.is_alive() else "ended")
        yield running
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        opened.close()
        assert not thread.is_alive(), "the server did not stop"


@dataclass(frozen=True)
class OwnProcess(Running):
    """`lamina serve` and what it wrote."""

    process: subprocess.Popen[bytes]
    log: Path

    def end(self, with_signal: signal.Signals = signal.SIGTERM, patience: float = PATIENCE) -> int:
        """The exit status after a signal; fails where it takes longer."""
        self.process.send_signal(with_signal)
        return self.process.wait(patience)

    @property
    def memory(self) -> float:
        """What the process holds now, in MB."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


@contextmanager
def own_process(*arguments: str, **environment: str) -> Iterator[OwnProcess]:
    """`lamina serve ARGUMENTS` on a free port; its log is shown where the test fails."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.NamedTemporaryFile(suffix=".log") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "lamina", "serve", *arguments, "--port", str(port)],
            env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        running = OwnProcess(port, process, Path(log.name))
        try:
            running.wait_until_ready(process.poll)
            yield running
        except BaseException:
            print(Path(log.name).read_text(errors="replace"))
            raise
        finally:
            process.kill()
            process.wait()
