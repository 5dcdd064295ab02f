"""More than is taken on: refused at once, with the number, single requests and batches alike."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lamina.errors import ServingError
from lamina.serving import Limits, ServeSettings, create_app
from lamina.serving.admission import Admission
from lamina.serving.errors import Invalid, Overloaded

from .asgi import Client, Exchange, run, started, until
from .fakes import FakeServed, FakeStages, Gate


def app_of(gate: Gate | None = None, **limits: Any) -> Any:
    return create_app(ServeSettings(limits=Limits(**limits)), {"fake": FakeServed("fake", FakeStages(gate))})


async def fill(client: Client, gate: Gate, inputs: list[str]) -> list[Exchange]:
    """Requests that are being computed or wait, one for each input."""
    first = client.begin("/", {"inputs": inputs[0]})
    await until(gate.entered.is_set)
    rest = [client.begin("/", {"inputs": text}) for text in inputs[1:]]
    await until(lambda: client.serving.admission.inputs == len(inputs))
    return [first, *rest]


@pytest.mark.parametrize("inputs", ["one", ["one", "two"]])
@pytest.mark.parametrize("path", ["/", "/models/fake"])
def test_a_full_queue_refuses_without_waiting_for_the_model(inputs: Any, path: str) -> None:
    async def ask() -> tuple[Exchange, list[Exchange]]:
        gate = Gate()
        async with started(app_of(gate, queue_requests=3, batch_inputs=3)) as client:
            held = await fill(client, gate, ["a", "b", "c"])
            refused = await client.post(path, {"inputs": inputs})  # while the model, which is held, answers nobody
            gate.open.set()
            return refused, [await exchange.end() for exchange in held]

    refused, held = run(ask())
    assert refused.status == 429
    assert refused.json["error_type"] == "overloaded"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert [exchange.status for exchange in held] == [200] * 3


def test_tokens_fill_the_queue_as_inputs_do() -> None:
    async def ask() -> list[int]:
        gate = Gate()
        async with started(app_of(gate, queue_tokens=100)) as client:
            held = await fill(client, gate, ["a" * 60])
            await until(lambda: client.serving.admission.tokens == 60)
            large, small = await client.post("/", {"inputs": "b" * 60}), client.begin("/", {"inputs": "c" * 30})
            gate.open.set()
            statuses = [large.status, (await small.end()).status, (await held[0].end()).status]
            assert client.serving.admission.tokens == 0
            return statuses

    assert run(ask()) == [429, 200, 200]


@pytest.mark.parametrize(
    ("inputs", "limits", "words"),
    [
        (["a"] * 5, {"batch_inputs": 4}, ["5 inputs", "4"]),
        ("a" * 51, {"input_tokens": 50}, ["51 tokens", "50"]),
        (["a" * 40] * 3, {"queue_tokens": 100}, ["120 tokens", "100"]),
        ("a" * 1000, {"queue_tokens": 100}, ["125 tokens", "100"]),
        ([], {}, ["empty"]),
    ],
)
def test_what_could_never_fit_is_refused_with_the_number(inputs: Any, limits: dict[str, Any], words: list[str]) -> None:
    async def ask() -> Exchange:
        async with started(app_of(**limits)) as client:
            answer = await client.post("/", {"inputs": inputs})
            assert client.serving.admission.inputs == client.serving.admission.tokens == 0
            return answer

    answer = run(ask())
    assert (answer.status, answer.json["error_type"]) == (422, "validation")
    assert all(word in answer.json["error"] for word in words), answer.json


def test_a_body_that_is_too_large_is_json_either_way() -> None:
    async def ask() -> list[Exchange]:
        async with started(app_of(body_bytes=100)) as client:
            body = {"inputs": "a" * 200}
            return [await client.post("/", body), await client.post("/", body, content_length="")]

    for answer in run(ask()):
        assert (answer.status, answer.json["error_type"]) == (413, "too_large")
        assert "100 bytes" in answer.json["error"]


def test_an_answer_that_is_late_is_given_up() -> None:
    async def begun(client: Client, gate: Gate, seconds: float) -> Exchange:
        """A request that the model has begun; one whose time is over before that is asked again, with more of it."""
        asked = client.begin("/", {"inputs": "busy"}, x_request_timeout=str(seconds))
        await until(lambda: gate.entered.is_set() or asked.task.done())
        return asked if gate.entered.is_set() else await begun(client, gate, 2 * seconds)

    async def ask() -> tuple[Exchange, Exchange]:
        gate = Gate()
        async with started(app_of(gate)) as client:
            first = await begun(client, gate, 0.05)
            second = await client.post("/", {"inputs": "late"}, x_request_timeout="0.05")
            late = await first.end()
            assert client.serving.admission.inputs == 0
            gate.open.set()
            assert gate.batches == [["busy"]], "what nobody waits for is not begun"
            return late, second

    for answer in run(ask()):
        assert (answer.status, answer.json["error_type"]) == (504, "timeout")


@pytest.mark.parametrize("timeout", ["soon", "0", "-1", "nan"])
def test_a_deadline_must_be_a_time(timeout: str) -> None:
    async def ask() -> int:
        async with started(app_of()) as client:
            return (await client.post("/", {"inputs": "a"}, x_request_timeout=timeout)).status

    assert run(ask()) == 422


def test_many_at_once_are_answered_or_refused_and_nothing_is_left_behind() -> None:
    async def ask() -> list[int]:
        async with started(app_of(queue_requests=40, batch_inputs=40)) as client:
            sent = [client.begin("/", {"inputs": "a" * (1 + number % 7)}) for number in range(300)]
            await asyncio.gather(*(exchange.task for exchange in sent))
            assert client.serving.admission.inputs == client.serving.admission.tokens == 0
            return [exchange.status for exchange in sent]

    statuses = run(ask())
    assert set(statuses) == {200, 429}
    assert statuses.count(200) >= 40


def test_permits_are_given_back_once() -> None:
    admission = Admission(Limits(queue_requests=2, batch_inputs=2, queue_tokens=10))
    permit = admission.enter(2, 8)
    assert (admission.inputs, admission.tokens) == (2, 1)
    permit.hold(10)
    with pytest.raises(Overloaded) as refused:
        admission.enter(1)
    assert refused.value.retry_after == 1
    permit.leave()
    permit.leave()
    permit.hold(5)
    assert (admission.inputs, admission.tokens) == (0, 0)
    with pytest.raises(Invalid):
        admission.enter(1, 800)


def test_a_queue_that_takes_longer_than_the_deadline_lets_nobody_in() -> None:
    admission = Admission(Limits(queue_tokens=10_000, deadline=2))
    admission.learn(100, 1)
    admission.enter(1).hold(300)
    with pytest.raises(Overloaded, match="deadline"):
        admission.enter(1)


@pytest.mark.parametrize(
    ("limits", "word"),
    [
        ({"deadline": 0}, "deadline"),
        ({"queue_requests": -1}, "queue_requests"),
        ({"queue_requests": 10}, "batch_inputs"),
    ],
)
def test_limits_that_make_no_sense(limits: dict[str, Any], word: str) -> None:
    with pytest.raises(ServingError, match=word):
        Limits(**limits)
