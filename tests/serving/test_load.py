"""What happens when more is asked than a server can do: it says so at once, keeps its word to the others, and recovers.

Behavior is asserted, not speed: what comes before what, and that nothing is lost.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.load import Answer, Connection, Server, ask, at_rate, in_turns, percentile

from .calls import assert_near
from .running import OwnProcess, own_process

QUEUE = 16  # inputs that the server lets in
WORDS = [
    "the",
    "old",
    "man",
    "said",
    "prices",
    "rose",
    "in",
    "Berlin",
    "while",
    "a",
    "fine",
    "cat",
    "sat",
    "and",
    "sang",
]
BUSY = ("lamina_queue_requests", "lamina_queue_tokens", "lamina_sequences_running")  # zero once nobody waits
PATIENCE = 300.0  # seconds in which a server that was left by all must answer the next one


def prose(words: int, seed: int = 0) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


@pytest.fixture(scope="module")
def small(checkpoint: Callable[[str], Path]) -> Iterator[OwnProcess]:
    """A real process with a short queue."""
    models = [f"{name}={checkpoint(name)}" for name in ("minilm", "bert-moods", "gpt2")]
    with own_process(*models, "--queue-requests", str(QUEUE), "--batch-inputs", str(QUEUE)) as running:
        yield running


def embeddings(server: Server, count: int, words: int = 80) -> list[bytes]:
    return [server.post("/models/minilm/embed", {"inputs": prose(words, seed)}) for seed in range(count)]


def gauges(running: OwnProcess) -> dict[str, float]:
    """Every gauge of /metrics, added up over its labels."""
    found: Counter[str] = Counter()
    for family in text_string_to_metric_families(str(running.get("/metrics")[1])):
        if family.type == "gauge":
            for sample in family.samples:
                found[sample.name] += sample.value
    return dict(found)


def wait_until_idle(running: OwnProcess, patience: float = PATIENCE) -> dict[str, float]:
    """The gauges once nothing waits or runs; fails where that takes too long."""
    until = time.monotonic() + patience
    while True:
        found = gauges(running)
        busy = {name: found.get(name, 0.0) for name in BUSY}  # one with labels is not there before its first use
        if not any(busy.values()):
            return found
        assert time.monotonic() < until, f"still busy: {busy}"
        time.sleep(0.05)


def test_at_four_times_the_capacity_there_are_answers_and_refusals_and_nothing_else(small: OwnProcess) -> None:
    server = small.address
    began = time.perf_counter()
    alone = asyncio.run(in_turns(server, embeddings(server, 40), QUEUE // 2))
    capacity = len(alone) / (time.perf_counter() - began)
    assert {answer.status for answer in alone} == {200}

    for times in (4, 16, 64):  # the machine may have had much else to do while the capacity was measured
        count = max(60, min(600, round(4 * capacity * 3)))
        answers = asyncio.run(at_rate(server, embeddings(server, count), times * capacity))
        admitted, refused = parted(answers)
        assert len(admitted) + len(refused) == count, Counter(answer.status for answer in answers)
        assert len(admitted) >= QUEUE
        wait_until_idle(small)
        if len(refused) > 0.2 * count:
            break
    assert len(refused) > 0.2 * count
    assert percentile([answer.seconds for answer in refused], 0.5) < percentile(
        [answer.seconds for answer in admitted], 0.5
    ), "those that are refused wait for the others"
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert all(answer.json()["error_type"].lower() == "overloaded" for answer in refused)
    for number, answer in enumerate(answers[:40]):  # the same texts, in other company
        if answer.status == 200:
            assert_near(answer.json(), alone[number].json())
    wait_until_idle(small)


def parted(answers: list[Answer]) -> tuple[list[Answer], list[Answer]]:
    """What was answered, and what was refused for want of room."""
    return [answer for answer in answers if answer.status == 200], [
        answer for answer in answers if answer.status == 429
    ]


def test_a_batch_is_refused_as_fast_as_a_single_text(small: OwnProcess) -> None:
    server = small.address
    whole = server.post("/models/minilm/embed", {"inputs": [prose(120, seed) for seed in range(QUEUE)]})

    async def both() -> tuple[list[Answer], Answer]:
        first = asyncio.create_task(ask(server, whole))
        while b"lamina_queue_requests 0.0" in (await ask(server, server.get("/metrics"))).body and not first.done():
            await asyncio.sleep(0.001)
        refused = [await ask(server, request) for request in (whole, embeddings(server, 1)[0])]
        assert not first.done(), "they were told so while it was at work"
        return refused, await first

    refused, answered = asyncio.run(both())
    assert answered.status == 200
    assert len(answered.json()) == QUEUE
    assert [answer.status for answer in refused] == [429, 429]
    wait_until_idle(small)


def test_memory_stays_flat(small: OwnProcess) -> None:
    server, draw = small.address, random.Random(1)

    def soak(count: int) -> None:
        requests = [
            server.post("/models/bert-moods", {"inputs": prose(draw.randrange(1, 50), number)})
            for number in range(count)
        ]
        statuses = Counter(answer.status for answer in asyncio.run(in_turns(server, requests, QUEUE // 2)))
        assert statuses == {200: count}

    soak(600)
    before, files = small.memory, len(list(Path(f"/proc/{small.process.pid}/fd").iterdir()))
    soak(1200)
    assert small.memory - before < 16
    until = time.monotonic() + PATIENCE  # connections that were left are closed a little later
    while len(list(Path(f"/proc/{small.process.pid}/fd").iterdir())) > files + 4:
        assert time.monotonic() < until
        time.sleep(0.05)


async def storm(server: Server, request: bytes, clients: int) -> None:
    """So many clients ask at once and leave."""
    connections = [Connection(server) for _ in range(clients)]
    await asyncio.gather(*(connection.send(request) for connection in connections))
    await asyncio.sleep(0.1)
    await asyncio.gather(*(connection.close() for connection in connections))


@pytest.mark.parametrize(
    ("path", "payload"),
    [
        ("/models/minilm/embed", {"inputs": [prose(150, seed) for seed in range(4)]}),
        ("/models/gpt2/generate_stream", {"inputs": "A", "parameters": {"max_new_tokens": 50}}),
        ("/models/gpt2", {"inputs": "A", "parameters": {"max_new_tokens": 50}}),
    ],
    ids=["reading", "streams", "writing"],
)
def test_after_two_hundred_left_the_next_is_answered(small: OwnProcess, path: str, payload: object) -> None:
    server = small.address
    asyncio.run(storm(server, server.post(path, payload), 200))
    answer = asyncio.run(patiently(server, server.post("/models/bert-moods", {"inputs": "Still there?"})))
    assert answer.status == 200
    wait_until_idle(small)
    assert small.get("/ready")[0] == 200


async def patiently(server: Server, request: bytes) -> Answer:
    """The answer of a client that comes back when it was told to, within what anybody may be made to wait."""
    until = time.monotonic() + PATIENCE
    while (answer := await ask(server, request)).status == 429 and time.monotonic() < until:
        await asyncio.sleep(0.1)
    return answer
