"""The model thread: one thread on which every model of the process is computed, a piece at a time, in turns."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from .errors import BackendFailed, no_new_work, work_dropped

logger = logging.getLogger(__name__)

# Seconds that the event loop may keep the interpreter while the model thread wants it back after a kernel; Python's own
# 5 ms would be lost after every one of a pass.
SWITCH = 0.0005

Result = TypeVar("Result")
Tell = Callable[[], None]


class Lane(Protocol):
    """One source of work. `ready` and `turn` are called on the model thread only."""

    def ready(self) -> bool:
        """Whether there is something to compute."""

    def brief(self) -> bool:
        """Whether the next turn is short enough to be taken between two tokens of somebody else's text."""

    def turn(self) -> None:
        """Compute one piece: a batch, or a token of every sequence. Failures are told to whoever waits, not raised."""

    def abandon(self, error: Exception) -> None:
        """Give all waiting work up."""


class Engine:
    """Computes as long as there is work and sleeps otherwise; no timer ever holds work back.

    Lanes take turns, so that a long text being written for one client does not keep another from an answer.
    """

    def __init__(self) -> None:
        self._lanes: list[Lane] = []
        self._calls: deque[_Call] = deque()
        self._steps: deque[Callable[[], None]] = deque()
        self._asleep = False
        self._signal = threading.Condition()
        self.stopping = False
        self.over = False  # all waiting work was given up, and none is taken
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._outbox: list[Tell] = []

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to work; what is done is told on `loop`."""
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH))
        self._loop, self.stopping, self.over = loop, False, False
        self._thread = threading.Thread(target=self._work, name="lamina-model", daemon=True)
        self._thread.start()

    def stop(self, seconds: float = 10.0) -> None:
        """End after the piece at hand; waiting work is given up."""
        with self._signal:
            self.stopping = True
            self._signal.notify()
        if self._thread is not None:
            self._thread.join(seconds)

    @property
    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def add(self, lane: Lane) -> None:
        """Give `lane` turns from now on."""
        with self._signal:
            self._lanes.append(lane)
            self._signal.notify()

    def wake(self) -> None:
        """There is new work in a lane; callable from any thread."""
        with self._signal:
            self._signal.notify()

    def offer(self, step: Callable[[], None]) -> bool:
        """Have the model thread take a step at once if it sleeps, which saves a hand-over; False where it does not.

        The step is taken even while the engine stops, and must not raise.
        """
        with self._signal:
            if not self._asleep or self._steps or self.stopping:
                return False
            self._steps.append(step)
            self._signal.notify()
            return True

    @property
    def idle(self) -> bool:
        """Whether nothing waits for the model thread; for lanes, from there."""
        return not self._calls and not any(lane.ready() for lane in self._lanes)

    def tell(self, message: Tell) -> None:
        """Run `message` on the event loop once the piece at hand is done; for lanes, from the model thread."""
        self._outbox.append(message)

    async def call(self, function: Callable[..., Result], *args: Any) -> Result:
        """What `function(*args)` gives, called on the model thread between two pieces."""
        call = _Call(function, args, asyncio.get_running_loop().create_future())
        with self._signal:
            if self.stopping or not self.alive:
                raise no_new_work()
            self._calls.append(call)
            self._signal.notify()
        result: Result = await call.future
        return result

    def between_tokens(self, busy: Lane) -> None:
        """Give the other lanes a short turn while `busy` is in the middle of a long piece of its own."""
        self._run_calls()
        for lane in list(self._lanes):
            if lane is not busy and lane.brief():
                self._turn(lane)
        self._flush()

    def _work(self) -> None:
        while True:
            with self._signal:
                self._asleep = True
                self._signal.wait_for(self._has_work)
                self._asleep = False
                if self.stopping:
                    break
            self._take_steps()
            self._run_calls()
            lanes = list(self._lanes)
            for lane in lanes:
                if lane.ready() and not self.stopping:
                    self._turn(lane)
            self._flush()
        self._give_up()

    def _has_work(self) -> bool:
        return self.stopping or bool(self._steps) or not self.idle

    def _take_steps(self) -> None:
        while self._steps:
            self._steps.popleft()()

    def _turn(self, lane: Lane) -> None:
        try:
            lane.turn()
        except BaseException as error:  # a defect: those who wait must hear of it, and the thread must live on
            log_failure("a batch could not be computed", error)
            lane.abandon(BackendFailed("the model thread failed; the log says where"))

    def _run_calls(self) -> None:
        while self._calls and not self.stopping:
            self._run(self._calls.popleft())

    def _run(self, call: _Call) -> None:
        if call.future.cancelled():
            return
        try:
            result = call.function(*call.args)
        except BaseException as error:  # as above; a BaseException, like a panic of Rust's, would stay in no future
            failure = error if isinstance(error, Exception) else BackendFailed(type(error).__name__)
            self.tell(lambda: call.fail(failure))
        else:
            self.tell(lambda: call.finish(result))

    def _flush(self) -> None:
        """Tell the event loop everything at once: waking it costs more than the message."""
        if not self._outbox or self._loop is None:
            return
        messages, self._outbox = self._outbox, []
        try:
            self._loop.call_soon_threadsafe(_run_all, messages)
        except RuntimeError:  # the loop is closed: nobody is left to tell
            logger.debug("%s results came after the end of the event loop", len(messages))

    def _give_up(self) -> None:
        error = work_dropped()
        self.over = True  # before the lanes are given up: who puts work into one afterwards sees it
        for lane in self._lanes:
            lane.abandon(error)
        self._take_steps()
        for call in self._calls:
            self.tell(lambda call=call: call.fail(error))  # type: ignore[misc]
        self._flush()


class _Call:
    """A function to be called on the model thread."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], future: asyncio.Future[Any]):
        self.function, self.args, self.future = function, args, future

    def finish(self, result: Any) -> None:
        if not self.future.done():
            self.future.set_result(result)

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


def _run_all(messages: list[Tell]) -> None:
    for message in messages:
        message()


def log_failure(what: str, error: BaseException) -> None:
    """Log where an error came from. Its message stays out, since it may quote what a client sent."""
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s: %s\n%s", what, type(error).__name__, where)
