"""An ASGI application as replicas on Ray Serve, each with its own models and its own batches.

Nothing here knows what is served: the caller hands in a function that builds the application, which every replica calls
for itself. Ray is imported where it is used, so that all else can be read, and tested, without it.
"""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ..errors import ServingError

NAME = "lamina"
REPLICAS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")


@dataclass(frozen=True)
class Scaling:
    """How many replicas there are and what each takes on; between `least` and `most`, Ray follows the load.

    `ongoing` requests are inside one replica, whose own queue says 429 to what it has no room for; `waiting` are held
    by Ray while every replica is full, and those above it get the same 429. `busy` is how many in a replica are usual.
    """

    least: int = 1
    most: int = 1
    ongoing: int = 512
    waiting: int = 512
    busy: int = 32
    cpus: float = 1.0  # of one replica, which computes with as many threads
    gpus: float = 0.0
    drain: float = 30.0  # seconds that a replica has to finish what it began
    retry_after: int = 1  # seconds that a refused client is told to wait

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most:
            raise ServingError(
                f"replicas: {self.least} to {self.most}; there must be at least one, and no fewer at most"
            )
        for name in ("ongoing", "waiting", "busy", "drain"):
            if getattr(self, name) <= 0:
                raise ServingError(f"{name} is {getattr(self, name)}; it must be more than zero")
        if self.cpus < 0 or self.gpus < 0 or self.cpus + self.gpus == 0:
            raise ServingError(f"a replica with {self.cpus:g} CPUs and {self.gpus:g} GPUs cannot compute anything")

    @classmethod
    def parse(cls, replicas: str, **others: Any) -> Scaling:
        """From "3", or "1-8" for as many of them as the load needs."""
        found = REPLICAS.fullmatch(replicas.strip())
        if found is None:
            raise ServingError(f"replicas {replicas!r}: give a number, or the least and the most of them as 1-8")
        return cls(int(found[1]), int(found[2] or found[1]), **others)

    def options(self) -> dict[str, Any]:
        """What Ray Serve's `deployment` is given, in plain values."""
        count: dict[str, Any] = {"num_replicas": self.least}
        if self.most > self.least:
            count = {
                "autoscaling_config": {
                    "min_replicas": self.least,
                    "max_replicas": self.most,
                    "target_ongoing_requests": min(self.busy, self.ongoing),
                }
            }
        return {
            "name": NAME,
            **count,
            "max_ongoing_requests": self.ongoing,
            "max_queued_requests": self.waiting,
            "graceful_shutdown_timeout_s": self.drain,
            "ray_actor_options": {"num_cpus": self.cpus, "num_gpus": self.gpus},
        }


def deployment(build: Callable[[], Any], scaling: Scaling) -> Any:
    """A Ray Serve application whose replicas answer with what `build` makes; `build` must be picklable."""
    serve, refuse = _ray_serve()

    def built() -> Any:
        return build()

    replica = serve.ingress(built)()
    return serve.deployment(replica, backpressure_config=refuse(scaling.retry_after), **scaling.options()).bind()


def run(build: Callable[[], Any], scaling: Scaling, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT, then let the replicas finish; joins the cluster of RAY_ADDRESS if Ray finds one.

    Raises ServingError where Ray is not installed. Must be called on the main thread.
    """
    serve, _ = _ray_serve()
    ray = import_module("ray")
    ray.init(ignore_reinit_error=True, include_dashboard=False)
    told = threading.Event()
    # After Ray has set its own, which would end this process without letting the replicas finish.
    before = {number: signal.signal(number, lambda *_: told.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        serve.start(http_options={"host": host, "port": port})
        serve.run(deployment(build, scaling), name=NAME, route_prefix="/")
        told.wait()
    finally:
        serve.shutdown()
        ray.shutdown()
        for number, handler in before.items():
            signal.signal(number, handler)


def _ray_serve() -> tuple[Any, Callable[[int], Any]]:
    """Ray Serve, and what makes its refusals 429: a 503 would have some clients ask again at once, without end."""
    try:
        serve, config = import_module("ray.serve"), import_module("ray.serve.config")
        refusals = config.BackpressureConfig
    except (ImportError, AttributeError) as error:
        raise ServingError(
            f"serving on Ray needs Ray, in a version that can answer 429 ({error}); run pip install 'lamina[serve,ray]'"
        ) from None
    return serve, lambda seconds: refusals(status_code=429, retry_after_s=seconds)
