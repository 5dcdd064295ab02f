"""From the first signal to the last byte: a server that refuses new work, ends what it has begun, and exits with 0."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn

from .settings import ServeSettings
from .state import Serving

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE = 0.2  # seconds between the last answer and the closing of connections


class Server(uvicorn.Server):
    """uvicorn with an end of our own: the first signal drains, the second stops at once."""

    def __init__(self, config: uvicorn.Config, serving: Serving):
        super().__init__(config)
        self.serving = serving
        self._draining: asyncio.Task[None] | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take signals for as long as the server runs, and swallow them: it was stopped because it was asked to."""
        before = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.serving.draining:
            logging.getLogger("uvicorn.error").setLevel(
                logging.CRITICAL
            )  # of each request that is cut off: it is meant
            self.force_exit = self.should_exit = True
            return
        self.serving.draining = True
        loop = self.config_loop
        if loop is None:
            self.should_exit = True
            return
        loop.call_soon_threadsafe(self._begin_to_drain)

    config_loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: Any = None) -> None:
        """Remember the loop, on which signals are answered."""
        self.config_loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def _begin_to_drain(self) -> None:
        self._draining = asyncio.ensure_future(self._drain())

    async def _drain(self) -> None:
        """Wait for work in flight, no longer than the limit, then let uvicorn close."""
        serving = self.serving
        end = asyncio.get_running_loop().time() + serving.settings.limits.drain
        logger.info("stopping: %s requests are in flight", serving.active)
        while serving.active and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.02)
        if serving.active:
            logger.warning("stopping with %s requests unfinished", serving.active)
        else:
            await asyncio.sleep(GRACE)
        self.should_exit = True


def make_server(app: Any, settings: ServeSettings) -> Server:
    """A server of the application, not started yet; `await server.serve()` runs it until a signal."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,  # ours has no query in it
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
        lifespan="on",
        ws="none",
    )
    return Server(config, app.state.serving)


def set_up_logging(level: int = logging.INFO) -> None:
    """Lines on standard error. What pipelines log may quote inputs, so that only their errors are shown."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("lamina.serving").setLevel(level)
    for name in ("lamina.pipelines", "lamina.generation", "lamina.tokenizers"):
        logging.getLogger(name).setLevel(logging.ERROR)
