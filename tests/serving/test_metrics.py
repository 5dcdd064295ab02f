"""What Prometheus reads, counted exactly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from lamina import pipeline
from lamina.serving import Limits, Served, ServeSettings, create_app

from .asgi import Client, Exchange, run, started, until
from .fakes import FakeServed, FakeStages, Gate


async def read(client: Client) -> Callable[..., float]:
    """The samples of /metrics by name and labels; what was never counted is 0."""
    families = list(text_string_to_metric_families((await client.get("/metrics")).content.decode()))
    samples = [sample for family in families for sample in family.samples]

    def value(name: str, **labels: str) -> float:
        return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())

    return value


def test_requests_batches_and_refusals_are_counted() -> None:
    async def ask() -> Callable[..., float]:
        gate = Gate()
        served = FakeServed("fake", FakeStages(gate))
        limits = Limits(queue_requests=3, batch_inputs=3)
        async with started(create_app(ServeSettings(limits=limits), {"fake": served})) as client:
            sent: list[Exchange] = [client.begin("/", {"inputs": "aaaa"})]
            await until(gate.entered.is_set)
            sent += [client.begin("/", {"inputs": "bb"}) for _ in range(2)]
            await until(lambda: client.serving.batcher(served)._waiting[1:])
            during = await read(client)
            assert during("lamina_queue_requests") == 3
            assert during("lamina_queue_tokens") == 8
            assert during("lamina_requests_active") == 4
            await client.post("/", {"inputs": "c"})
            await client.post("/models/none", {"inputs": "c"})
            gate.open.set()
            for exchange in sent:
                await exchange.end()
            return await read(client)

    value = run(ask())
    assert value("lamina_requests_total", route="/", status="200") == 3
    assert value("lamina_requests_total", route="/", status="429") == 1
    assert value("lamina_requests_total", status="404") == 1
    assert value("lamina_refused_total", reason="overloaded") == 1
    assert value("lamina_batch_rows_count", model="fake") == 2
    assert value("lamina_batch_rows_sum", model="fake") == 3
    assert value("lamina_tokens_total", model="fake", kind="read") == 8
    assert value("lamina_queue_seconds_count", model="fake") == 3
    assert value("lamina_queue_requests") == value("lamina_queue_tokens") == 0
    assert value("lamina_ready") == 1


def test_gauges_return_to_zero_when_clients_leave() -> None:
    async def ask() -> Callable[..., float]:
        gate = Gate()
        served = FakeServed("fake", FakeStages(gate))
        async with started(create_app(ServeSettings(), {"fake": served})) as client:
            first = client.begin("/", {"inputs": "a"})
            await until(gate.entered.is_set)
            others = [client.begin("/", {"inputs": "b"}) for _ in range(5)]
            await until(lambda: client.serving.batcher(served)._waiting[4:])
            for exchange in others:
                exchange.leave()
                await exchange.end()
            gate.open.set()
            await first.end()
            await until(lambda: not client.serving.batcher(served).ready())
            return await read(client)

    value = run(ask())
    assert value("lamina_dropped_total", model="fake") == 5
    assert value("lamina_queue_requests") == 0
    assert value("lamina_requests_total", status="499") == 5


def test_failures_are_counted_by_their_kind() -> None:
    async def ask() -> Callable[..., float]:
        gate = Gate()
        served = FakeServed("fake", FakeStages(gate))
        async with started(create_app(ServeSettings(), {"fake": served})) as client:
            sent = [client.begin("/", {"inputs": "busy"})]
            await until(gate.entered.is_set)
            sent += [client.begin("/", {"inputs": text}) for text in ("poison", "fine")]
            await until(lambda: client.serving.batcher(served)._waiting[1:])
            gate.open.set()
            for exchange in sent:
                await exchange.end()
            return await read(client)

    value = run(ask())
    assert value("lamina_batch_failures_total", model="fake", reason="poison") == 1


def test_tokens_written_are_counted(checkpoint: Callable[[str], Path]) -> None:
    pipe: Any = pipeline(model=str(checkpoint("gpt2")), device="cpu")

    async def ask() -> Callable[..., float]:
        async with started(create_app(ServeSettings(), {"gpt2": Served.from_pipeline("gpt2", pipe)})) as client:
            for _ in range(2):
                await client.post("/generate", {"inputs": "A", "parameters": {"max_new_tokens": 6}})
            await until(lambda: not client.serving.writer(client.serving.default).ready())
            return await read(client)

    value = run(ask())
    assert value("lamina_tokens_total", model="gpt2", kind="written") == 12
    assert value("lamina_time_to_first_token_seconds_count", model="gpt2") == 2
    assert value("lamina_inter_token_seconds_count", model="gpt2") == 10
    assert value("lamina_sequences_running", model="gpt2") == 0
