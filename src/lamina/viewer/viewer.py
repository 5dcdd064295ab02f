"""One open data set: what the routes share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from starlette.requests import Request

from .dataset import Dataset, Split
from .engine import Engine, Table
from .errors import NotFound
from .jobs import Job, Jobs
from .running import Runner
from .search import Index, build
from .settings import Settings
from .statistics import compute
from .stop import Stop

Result = TypeVar("Result")


class Viewer:
    """A data set, the engine that reads it, and the threads that the engine runs in."""

    def __init__(self, dataset: Dataset, engine: Engine, settings: Settings) -> None:
        self.dataset = dataset
        self.engine = engine
        self.settings = settings
        self.runner = Runner(settings.timeout)
        self._jobs = Jobs()

    def split(self, dataset: str | None, config: str | None, split: str | None) -> Split:
        """The split that a request means; what it leaves out is the default."""
        self.named(dataset)
        return self.dataset.split(config, split)

    def named(self, dataset: str | None) -> None:
        """Refuse a data set that is not the open one; an owner before its name is ignored."""
        own = self.dataset.name
        if dataset is None or dataset in (own, str(self.dataset.root)):
            return
        if dataset.rpartition("/")[2] != own.rpartition("/")[2]:
            raise NotFound(f"data set {dataset!r} is not open here, {own!r} is")

    async def opened(self, request: Request, split: Split) -> Table:
        """The split, opened; the first time this takes as long as it takes."""
        return await self.runner.run(request, lambda stop: self.engine.open(split, stop), timeout=0)

    async def run(self, request: Request, work: Callable[[Stop], Result]) -> Result:
        """Work on the engine, with the deadline of a query."""
        return await self.runner.run(request, work)

    def statistics(self, table: Table, again: bool = False) -> Job:
        """The statistics of a split: computed in the background once, kept in the cache."""
        key = ("statistics", table.split.fingerprint)
        cache = self.settings.cache
        return self._jobs.start(
            key, lambda stop, progress: compute(self.engine, table, cache, stop, progress), again=again
        )

    async def index(self, request: Request, table: Table) -> Index:
        """The search index of a split: built once, kept in the cache; who asks first waits for it."""
        key = ("search", table.split.fingerprint)
        cache, threads = self.settings.cache, self.settings.threads
        job = self._jobs.start(
            key, lambda stop, progress: build(self.engine, table, cache, stop, progress, threads), again=True
        )
        found: Index = await self._jobs.wait(job, request)
        return found

    def close(self) -> None:
        self._jobs.close()
        self.runner.close()
        self.engine.close()


def viewer_of(request: Request) -> Viewer:
    """The viewer of the app that a request came to."""
    found: Viewer = request.app.state.viewer
    return found
