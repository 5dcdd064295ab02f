"""The model thread: turns, calls from outside, and an end that leaves nobody waiting."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from lamina.serving.engine import Engine
from lamina.serving.errors import BackendFailed, Overloaded

from .asgi import PATIENCE, run
from .fakes import Panic


class Lane:
    """Work that is counted."""

    def __init__(self, engine: Engine, turns: int, order: list[str], name: str):
        self.engine, self.left, self.order, self.name = engine, turns, order, name
        self.abandoned: Exception | None = None
        self.broken: type[BaseException] | None = None

    def ready(self) -> bool:
        return self.left > 0

    def brief(self) -> bool:
        return self.ready()

    def turn(self) -> None:
        self.left -= 1
        self.order.append(self.name)
        if self.broken is not None:
            raise self.broken(self.name.upper())

    def abandon(self, error: Exception) -> None:
        self.left, self.abandoned = 0, error


def test_lanes_take_turns() -> None:
    async def work() -> list[str]:
        engine, order = Engine(), list[str]()
        lanes = [Lane(engine, 3, order, name) for name in "ab"]
        for lane in lanes:
            engine.add(lane)
        engine.start(asyncio.get_running_loop())
        while any(lane.left for lane in lanes):
            await asyncio.sleep(0.001)
        engine.stop()
        assert not engine.alive
        return order

    assert run(work()) == list("ababab")


def panic() -> None:
    raise Panic


def test_a_call_runs_on_the_model_thread_and_its_failure_comes_back() -> None:
    async def work() -> tuple[str, str]:
        engine = Engine()
        engine.start(asyncio.get_running_loop())
        name = await engine.call(lambda: threading.current_thread().name)
        with pytest.raises(BackendFailed):
            await engine.call(panic)
        with pytest.raises(ZeroDivisionError) as caught:
            await engine.call(lambda: 1 // 0)
        engine.stop()
        with pytest.raises(Overloaded):
            await engine.call(lambda: 1)
        return name, str(caught.value)

    assert run(work()) == ("lamina-model", "integer division or modulo by zero")


@pytest.mark.parametrize("error", [ValueError, Panic])
def test_a_defect_in_one_lane_is_told_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    async def work() -> tuple[Lane, Lane]:
        engine, order = Engine(), list[str]()
        broken, sound = Lane(engine, 5, order, "broken"), Lane(engine, 5, order, "sound")
        broken.broken = error
        engine.add(broken)
        engine.add(sound)
        engine.start(asyncio.get_running_loop())
        while sound.left:
            await asyncio.sleep(0.001)
        assert engine.alive
        engine.stop()
        return broken, sound

    broken, _ = run(work())
    assert broken.abandoned is not None
    assert error.__name__ in caplog.text
    assert "BROKEN" not in caplog.text, "a message may quote what a client sent"


def test_stopping_gives_up_what_waits() -> None:
    async def work() -> tuple[Any, Lane]:
        engine = Engine()
        held, entered = threading.Event(), threading.Event()

        def hold() -> None:
            entered.set()
            held.wait(PATIENCE)

        engine.start(asyncio.get_running_loop())
        first = asyncio.ensure_future(engine.call(hold))
        while not entered.is_set():
            await asyncio.sleep(0.001)
        second = asyncio.ensure_future(engine.call(lambda: 1))
        await asyncio.sleep(0)
        lane = Lane(engine, 1, [], "late")
        engine.add(lane)
        stopping = asyncio.get_running_loop().run_in_executor(None, engine.stop)
        while not engine.stopping:
            await asyncio.sleep(0.001)
        held.set()
        await stopping
        await first
        with pytest.raises(Overloaded):
            await second
        return second, lane

    _, lane = run(work())
    assert isinstance(lane.abandoned, Overloaded)


def test_steps_are_taken_where_the_thread_sleeps_and_nowhere_else() -> None:
    async def work() -> list[str]:
        engine, order = Engine(), list[str]()
        assert not engine.offer(lambda: None), "nobody is there to take it"
        engine.start(asyncio.get_running_loop())
        entered, held = threading.Event(), threading.Event()

        def hold() -> None:
            order.append(threading.current_thread().name)
            entered.set()
            held.wait(PATIENCE)

        while not engine.offer(hold):  # it wakes up first
            await asyncio.sleep(0.001)
        while not entered.is_set():
            assert not engine.offer(lambda: order.append("two at once"))
            await asyncio.sleep(0.001)
        assert not engine.offer(lambda: order.append("taken while it works"))
        held.set()
        engine.stop()
        assert not engine.offer(lambda: order.append("taken after the end"))
        return order

    assert run(work()) == ["lamina-model"]
