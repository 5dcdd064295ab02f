"""What Ray Serve is told, without Ray; and one replica on a real Ray where it is installed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from types import SimpleNamespace
from typing import Any

import pytest

from lamina.errors import ServingError
from lamina.scale import ray_serve
from lamina.scale.ray_serve import Scaling
from tests.serving.running import own_process


def test_a_fixed_number_of_replicas() -> None:
    options = Scaling.parse("3", cpus=2, drain=5).options()
    assert options["num_replicas"] == 3
    assert "autoscaling_config" not in options
    assert options["ray_actor_options"] == {"num_cpus": 2, "num_gpus": 0.0}
    assert options["graceful_shutdown_timeout_s"] == 5


def test_as_many_as_the_load_needs() -> None:
    options = Scaling.parse(" 1-8 ", ongoing=16).options()
    assert "num_replicas" not in options
    assert options["autoscaling_config"] == {"min_replicas": 1, "max_replicas": 8, "target_ongoing_requests": 16}
    assert options["max_ongoing_requests"] == 16


def test_queues_are_bounded_by_default() -> None:
    options = Scaling().options()
    assert 0 < options["max_ongoing_requests"] < 10_000
    assert 0 < options["max_queued_requests"] < 10_000


@pytest.mark.parametrize("replicas", ["", "0", "-1", "8-1", "0-2", "two", "1-", "1-2-3", "9999999"])
def test_a_number_that_makes_no_sense_is_one_error(replicas: str) -> None:
    with pytest.raises(ServingError, match="replicas"):
        Scaling.parse(replicas)


@pytest.mark.parametrize(
    "wrong", [{"ongoing": 0}, {"waiting": -1}, {"busy": 0}, {"drain": 0}, {"cpus": 0}, {"gpus": -1}]
)
def test_a_replica_that_could_do_nothing_is_one_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(ServingError):
        Scaling(**wrong)


def test_without_ray_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    for call in (
        lambda: ray_serve.deployment(dict, Scaling()),
        lambda: ray_serve.run(dict, Scaling(), "127.0.0.1", 0),
    ):
        with pytest.raises(ServingError, match=r"lamina\[serve,ray\]"):
            call()


class FakeServe:
    """Ray Serve's three calls, kept."""

    def __init__(self) -> None:
        self.told: dict[str, Any] = {}

    def ingress(self, build: Any) -> Any:
        self.told["built"] = build()
        return lambda: "replica"

    def deployment(self, replica: Any, **options: Any) -> Any:
        self.told |= {"replica": replica, **options}
        return SimpleNamespace(bind=lambda: "application")


def test_refusals_are_429_and_every_replica_builds_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeServe()
    monkeypatch.setattr(ray_serve, "_ray_serve", lambda: (fake, lambda seconds: {"status": 429, "after": seconds}))
    assert ray_serve.deployment(lambda: "an app", Scaling(retry_after=2)) == "application"
    assert fake.told["built"] == "an app"
    assert fake.told["replica"] == "replica"
    assert fake.told["backpressure_config"] == {"status": 429, "after": 2}
    assert fake.told["max_ongoing_requests"] == Scaling().ongoing


def test_the_module_is_read_without_ray() -> None:
    code = "import sys, lamina.scale.ray_serve; print('ray' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install 'lamina[ray]'")
def test_a_replica_on_a_real_ray() -> None:
    # Under a short path: Ray's sockets lie below it.
    with (
        tempfile.TemporaryDirectory(prefix="ray") as folder,
        own_process("--on", "ray", "--threads", "1", RAY_TMPDIR=folder) as running,
    ):
        status, found = running.post("/", {"inputs": "I have waited for this my whole life."})
        assert status == 200
        assert found[0][0]["label"] == "POSITIVE"
        assert running.get("/health")[0] == 200
        assert running.end(patience=60) == 0
