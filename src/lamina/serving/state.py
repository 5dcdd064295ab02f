"""What a running server holds: its models, the model thread with a lane for each, permits and metrics."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ..errors import LaminaError
from ..inference.batching import abreast, token_budget
from .admission import Admission
from .batcher import Batcher
from .continuous import Writer
from .engine import Engine
from .errors import Invalid, NotFound, Overloaded, Refusal, no_new_work, work_dropped
from .metrics import Metrics
from .models import Served
from .settings import ServeSettings

Result = TypeVar("Result")


class Serving:
    """One server. Made before the event loop runs; `start` and `stop` belong to it."""

    def __init__(self, settings: ServeSettings, models: Mapping[str, Served]):
        self.settings = settings
        self.models = dict(models)
        self.metrics = Metrics()
        self.admission = Admission(settings.limits)
        self.engine = Engine()
        self.texts = self._new_pool()
        self.draining = False  # no new work is taken
        self.created = int(time.time())
        self._early = 0  # requests that wait for a model to be loaded
        self.active = 0  # requests being answered, streams to their last byte
        self._batchers: dict[str, Batcher] = {}
        self._writers: dict[str, Writer] = {}
        self._lock = threading.Lock()
        self.metrics.watch("lamina_queue_requests", "Inputs waiting or being computed.", lambda: self.admission.inputs)
        self.metrics.watch("lamina_queue_tokens", "Their tokens.", lambda: self.admission.tokens)
        self.metrics.watch("lamina_requests_active", "Requests being answered.", lambda: self.active)
        self.metrics.watch("lamina_ready", "Whether new work is taken.", lambda: float(self.ready))
        for served in self.models.values():
            served.engine = self.engine

    @property
    def default(self) -> Served:
        """The model that answers where none is named: the first."""
        return next(iter(self.models.values()))

    def find(self, id: str) -> Served:
        """The model called `id`; raises NotFound, since only those named at the start are ever served."""
        if id not in self.models:
            raise NotFound(f"there is no model {id[:200]!r} here; there are {', '.join(self.models)}")
        return self.models[id]

    @property
    def ready(self) -> bool:
        """Whether new work is taken: every model has been tried, one at least is there, and nothing stops it."""
        states = [served.state for served in self.models.values()]
        return not self.draining and self.engine.alive and "loading" not in states and "ready" in states

    def start(self) -> None:
        """Begin to work and to load the models, in the background; called on the event loop, also after a stop."""
        if self.draining:
            self.draining, self.texts = False, self._new_pool()
        self.engine.start(asyncio.get_running_loop())
        threading.Thread(target=self._load, name="lamina-loading", daemon=True).start()

    def _new_pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.settings.text_threads, thread_name_prefix="lamina-text")

    def stop(self) -> None:
        self.draining = True
        self.engine.stop()
        self.texts.shutdown(wait=False, cancel_futures=True)

    def _load(self) -> None:
        for served in self.models.values():
            served.load()

    def batcher(self, served: Served) -> Batcher:
        """The lane of a model's rows."""
        with self._lock:
            if served.id not in self._batchers:
                tokens, learn, wide = self._batch_tokens(served), self.admission.learn, abreast(served.pipeline.model)
                lane = Batcher(self.engine, self.metrics, served.id, tokens, learn, wide)
                self.engine.add(lane)
                self._batchers[served.id] = lane
            return self._batchers[served.id]

    def writer(self, served: Served) -> Writer:
        """The lane of a model's texts."""
        with self._lock:
            if served.id not in self._writers:
                limits, model, tokens = self.settings.limits, served.pipeline.model, self._batch_tokens(served)
                learn = self.admission.learn
                lane = Writer(self.engine, self.metrics, served.id, model, limits.sequences, tokens, learn)
                self.engine.add(lane)
                self._writers[served.id] = lane
            return self._writers[served.id]

    def _batch_tokens(self, served: Served) -> int:
        return self.settings.limits.batch_tokens or token_budget(served.pipeline.device.type)

    def suspect(self, served: Served) -> bool:
        """Whether the last thing that the model was asked to do failed for no fault of the input."""
        lanes: list[Any] = [lanes.get(served.id) for lanes in (self._batchers, self._writers)]
        return any(lane is not None and lane.suspect for lane in lanes)

    def clear_suspicion(self, served: Served) -> None:
        """After a pass that was fine."""
        for lanes in (self._batchers, self._writers):
            if served.id in lanes:
                lanes[served.id].suspect = False

    async def loaded(self, served: Served) -> Served:
        """`served` once it is there; requests that come too early wait, as many as the queue has places."""
        if served.state == "loading":
            if self._early >= self.settings.limits.queue_requests:
                raise Overloaded(f"the model {served.id} is being loaded, and many wait for it", retry_after=10)
            self._early += 1
            try:
                await served.wait(self.settings.limits.deadline)
            finally:
                self._early -= 1
        await served.wait(0)
        return served

    async def read(self, function: Callable[[], Result], inputs: int = 1, characters: int = 0) -> Result:
        """What `function()` makes of so many inputs, on a text thread; raises Invalid where they make no sense."""
        if self.draining:
            raise no_new_work()
        permit = self.admission.enter(inputs, characters)
        try:
            return await self.on_text_thread(function)
        finally:
            permit.leave()

    async def on_text_thread(self, function: Callable[[], Result]) -> Result:
        """What `function()` gives, off the event loop; raises Invalid for what makes no sense."""
        try:
            step = self.texts.submit(function)
        except RuntimeError:  # the pool is closed
            raise work_dropped() from None
        try:
            return await asyncio.wrap_future(step)
        except Refusal:
            raise
        except asyncio.CancelledError:
            if self.draining:  # the pool was closed before its turn came
                raise work_dropped() from None
            raise
        except LaminaError as error:
            raise Invalid(str(error)) from None

    async def first(self, able: Callable[[Served], bool], what: str) -> Served:
        """The first model for which `able` is true, for addresses that name none; raises NotFound."""
        for served in self.models.values():
            if served.state == "failed" and len(self.models) > 1:
                continue
            if able(await self.loaded(served)):
                return served
        raise NotFound(f"no model here {what}")
