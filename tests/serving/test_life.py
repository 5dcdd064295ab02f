"""From loading to the last answer: models that are late or broken, a server that is told to stop."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lamina import pipeline
from lamina.errors import HubError
from lamina.serving import Limits, Served, ServeSettings, create_app
from lamina.serving.answering import LITTLE
from lamina.serving.errors import Overloaded
from lamina.serving.lifecycle import Server, make_server

from .asgi import PATIENCE, Client, Exchange, run, started, until
from .fakes import FakePipeline, FakeServed, FakeStages, Gate

MANY = ["more than the model's own thread would read"] * (LITTLE + 1)


class Late(FakeServed):
    """A model that is loaded once it may be."""

    def __init__(self, id: str, error: Exception | None = None):
        super().__init__(id, FakeStages())
        self.may_load = threading.Event()
        self._error = error
        self._load = self._wait

    def _wait(self) -> Any:
        assert self.may_load.wait(PATIENCE)
        if self._error is not None:
            raise self._error
        return FakePipeline()


def test_requests_wait_for_their_model_and_ready_says_no() -> None:
    async def ask() -> tuple[Exchange, Exchange, Exchange]:
        late = Late("late")
        app = create_app(ServeSettings(), {"late": late})
        async with app.router.lifespan_context(app):
            client = Client(app)
            early = client.begin("/", {"inputs": "early"})
            before = await client.get("/ready")
            assert not early.task.done()
            late.may_load.set()
            return before, await early.end(), await client.get("/ready")

    before, early, after = run(ask())
    assert (before.status, before.json) == (503, {"ready": False, "draining": False, "loading": ["late"]})
    assert (early.status, early.json) == (200, [5])
    assert after.status == 200


def test_a_model_that_takes_too_long_is_no_503() -> None:
    async def ask(seconds: float) -> list[int]:
        late, limits = Late("late"), Limits(deadline=seconds, queue_requests=1, batch_inputs=1)
        app = create_app(ServeSettings(limits=limits), {"late": late})
        async with app.router.lifespan_context(app):
            client = Client(app)
            first = client.begin("/", {"inputs": "a"})
            await until(lambda: client.serving._early)
            second = await client.post("/", {"inputs": "b"})
            statuses = [(await first.end()).status, second.status]
            late.may_load.set()
            return statuses

    for seconds in (0.05, 0.5, 5, 50):
        first, second = run(ask(seconds))
        if second != 504:  # else the first was given up before the second came
            break
    assert [first, second] == [504, 429]


@pytest.mark.parametrize("error", [HubError("nowhere to be found"), ZeroDivisionError("a defect")])
def test_a_model_that_cannot_be_loaded_is_named_and_the_others_serve(error: Exception) -> None:
    async def ask() -> tuple[Exchange, Exchange, Exchange, Exchange, Exchange]:
        broken, sound = Late("broken", error), FakeServed("sound", FakeStages())
        broken.may_load.set()
        async with started(create_app(ServeSettings(), {"broken": broken, "sound": sound})) as client:
            return (
                await client.get("/health"),
                await client.get("/ready"),
                await client.post("/models/broken", {"inputs": "a"}),
                await client.post("/models/sound", {"inputs": "a"}),
                await client.post("/predict", {"inputs": "a"}),
            )

    health, ready, refused, answered, elsewhere = run(ask())
    assert health.json["status"] == "degraded"
    assert health.json["models"]["broken"]["state"] == "failed"
    assert str(error) in health.json["models"]["broken"]["error"]
    assert ready.status == answered.status == elsewhere.status == 200
    assert refused.status == 424
    assert "/health" in refused.json["error"]


def test_nothing_to_serve_is_unhealthy() -> None:
    async def ask() -> tuple[int, int]:
        broken = Late("broken", HubError("gone"))
        broken.may_load.set()
        async with started(create_app(ServeSettings(), {"broken": broken})) as client:
            return (await client.get("/health")).status, (await client.get("/ready")).status

    assert run(ask()) == (503, 503)


def test_health_asks_the_model_itself_after_a_failure(
    checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = pipeline(model=str(checkpoint("bert-moods")), device="cpu")
    sound = pipe.model.forward

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a broken device")

    async def ask() -> list[Any]:
        app = create_app(ServeSettings(), {"moods": Served.from_pipeline("moods", pipe)})
        async with started(app) as client:
            monkeypatch.setattr("lamina.inference.rows.read_packed", broken)
            monkeypatch.setattr(pipe.model, "forward", broken)
            failed = await client.post("/", {"inputs": "a"})
            during = await client.get("/health")
            monkeypatch.undo()
            assert pipe.model.forward == sound
            return [failed.status, during.status, (await client.get("/health")).json["status"]]

    assert run(ask()) == [424, 503, "ok"]


def test_stopping_refuses_new_work_and_ends_what_was_begun() -> None:
    async def stop() -> list[Any]:
        gate = Gate()
        settings = ServeSettings(limits=Limits(drain=10))
        app = create_app(settings, {"fake": FakeServed("fake", FakeStages(gate))})
        server = make_server(app, settings)
        async with started(app) as client:
            server.config_loop = asyncio.get_running_loop()
            begun = client.begin("/", {"inputs": "begun"})
            await until(gate.entered.is_set)
            server.handle_exit(15, None)
            ready, refused = await client.get("/ready"), await client.post("/", {"inputs": "new"})
            assert not server.should_exit
            gate.open.set()
            finished = await begun.end()
            await until(lambda: server.should_exit)
            return [ready, refused, finished]

    ready, refused, finished = run(stop())
    assert (ready.status, ready.json["draining"]) == (503, True)
    assert (refused.status, refused.json["error_type"]) == (429, "overloaded")
    assert refused.headers["connection"] == "close"
    assert "retry-after" in refused.headers
    assert (finished.status, finished.json) == (200, [5])


def test_stopping_waits_no_longer_than_it_may() -> None:
    async def stop() -> tuple[Server, Exchange]:
        gate = Gate()
        settings = ServeSettings(limits=Limits(drain=0.05))
        app = create_app(settings, {"fake": FakeServed("fake", FakeStages(gate))})
        server = make_server(app, settings)
        async with started(app) as client:
            server.config_loop = asyncio.get_running_loop()
            begun = client.begin("/", {"inputs": "begun"})
            await until(gate.entered.is_set)
            waiting = client.begin("/", {"inputs": "waiting"})
            await until(lambda: client.serving.admission.inputs == 2)
            server.handle_exit(15, None)
            await until(lambda: server.should_exit)
            gate.open.set()
            client.serving.stop()
            assert (await waiting.end()).status == 429
            return server, await begun.end()

    server, begun = run(stop())
    assert not server.force_exit
    assert begun.status in (200, 429)


def test_a_second_signal_stops_at_once_and_says_nothing_of_what_it_cuts_off(caplog: pytest.LogCaptureFixture) -> None:
    settings = ServeSettings()
    app = create_app(settings, {"fake": FakeServed("fake", FakeStages())})
    server = make_server(app, settings)
    with caplog.at_level(logging.INFO, logger="uvicorn.error"):  # and as it was afterwards
        server.handle_exit(2, None)
        assert server.serving.draining
        server.handle_exit(2, None)
        assert server.force_exit
        logging.getLogger("uvicorn.error").error("Exception in ASGI application")
    assert not caplog.records


def test_a_question_that_nobody_reads_before_the_end_is_refused() -> None:
    """The text threads are busy until the server has stopped: what waits for them hears of it at once."""

    async def stop() -> list[Exchange]:
        busy = threading.Event()
        app = create_app(ServeSettings(text_threads=1), {"fake": FakeServed("fake", FakeStages())})
        async with started(app) as client:
            client.serving.texts.submit(busy.wait, 10)
            asked = client.begin("/", {"inputs": MANY})
            taken_apart = asyncio.ensure_future(client.serving.read(lambda: 1))
            await until(lambda: client.serving.admission.inputs == len(MANY) + 1)
            client.serving.stop()
            busy.set()
            with pytest.raises(Overloaded, match="has shut down"):
                await taken_apart
            return [await asked.end()]

    (asked,) = run(stop())
    assert (asked.status, asked.json["error_type"]) == (429, "overloaded")


def test_a_lone_question_needs_no_text_thread() -> None:
    """While the model sleeps its own thread reads and finishes what is short, which saves two hand-overs."""

    async def ask() -> tuple[Exchange, list[Exchange]]:
        busy, gate = threading.Event(), Gate()
        app = create_app(ServeSettings(text_threads=1), {"fake": FakeServed("fake", FakeStages(gate))})
        async with started(app) as client:
            client.serving.texts.submit(busy.wait, 10)
            gate.open.set()
            alone = await client.post("/", {"inputs": "short"})
            others = [client.begin("/", {"inputs": inputs}) for inputs in (MANY, "a" * 5000)]
            await until(lambda: client.serving.admission.inputs == len(MANY) + 1)
            assert not any(other.task.done() for other in others)
            busy.set()
            return alone, [await other.end() for other in others]

    alone, others = run(ask())
    assert (alone.status, alone.json) == (200, [5])
    assert [other.json for other in others] == [[len(MANY[0])] * len(MANY), [5000]]


def test_a_question_that_comes_to_a_lane_after_the_end_is_refused() -> None:
    class Slow(FakeStages):
        """Reads for as long as it must."""

        def __init__(self) -> None:
            super().__init__()
            self.reading, self.may_end = threading.Event(), threading.Event()

        def prepare(self, items: Any, settings: Any) -> Any:
            self.reading.set()
            assert self.may_end.wait(PATIENCE)
            return super().prepare(items, settings)

    async def stop() -> Exchange:
        stages = Slow()
        app = create_app(ServeSettings(), {"fake": FakeServed("fake", stages)})
        async with started(app) as client:
            asked = client.begin("/", {"inputs": MANY})
            await until(stages.reading.is_set)
            client.serving.stop()
            stages.may_end.set()
            return await asked.end()

    assert run(stop()).status == 429
