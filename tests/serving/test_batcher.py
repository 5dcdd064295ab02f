"""Which rows share a pass, and what becomes of a batch that fails."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamina.inference.rows import Row
from lamina.serving import Limits, ServeSettings, create_app
from lamina.serving.batcher import Batcher, Piece, choose

from .asgi import Exchange, run, started, until
from .fakes import FakeServed, FakeStages, Gate

LENGTHS = st.lists(st.tuples(st.integers(1, 80), st.integers(0, 2)), min_size=1, max_size=40)


def pieces(lengths: list[tuple[int, int]], packs: bool = False) -> list[Piece]:
    work: Any = None
    return [
        Piece(work, number, Row({"input_ids": [0] * length}), company, packs, length)
        for number, (length, company) in enumerate(lengths)
    ]


@given(LENGTHS, st.integers(1, 200), st.sampled_from([None, 1, 5]), st.booleans())
def test_a_batch_keeps_to_its_budget_and_its_company(
    lengths: list[tuple[int, int]], tokens: int, most: int | None, packs: bool
) -> None:
    waiting = pieces(lengths, packs)
    chosen = choose(waiting, tokens, most)
    assert chosen[0] is waiting[0], "the oldest is always in"
    assert len(set(map(id, chosen))) == len(chosen) <= (most or len(waiting))
    assert {piece.key for piece in chosen} == {waiting[0].key}
    sizes = [piece.tokens for piece in chosen]
    used = sum(sizes) if packs else len(sizes) * max(sizes)
    assert len(chosen) == 1 or used <= tokens


@given(LENGTHS, st.integers(1, 200))
def test_a_batch_is_filled_as_far_as_neighbors_go(lengths: list[tuple[int, int]], tokens: int) -> None:
    waiting = pieces([(length, 0) for length, _ in lengths])
    chosen = choose(waiting, tokens)
    sizes = sorted(piece.tokens for piece in chosen)
    rest = sorted(piece.tokens for piece in waiting if piece not in chosen)
    # What was left out is no nearer in length than what was taken: the batch is a run of the sorted lengths.
    assert all(size <= sizes[0] or size >= sizes[-1] for size in rest)
    shorter = [size for size in rest if size <= sizes[0]]
    if shorter:
        assert (len(sizes) + 1) * sizes[-1] > tokens, "one more that is shorter would have fitted"


def test_neighbors_in_length_go_first() -> None:
    waiting = pieces([(10, 0), (60, 0), (11, 0), (50, 0), (9, 0)])
    assert [piece.tokens for piece in choose(waiting, 40)] == [10, 9, 11]


@pytest.mark.parametrize(("waiting", "taken"), [(30, 30), (100, 50), (190, 50), (250, 200)])
def test_a_turn_is_several_full_batches_or_one(waiting: int, taken: int) -> None:
    lane = Batcher(*[cast(Any, None)] * 2, "fake", 50, lambda *_: None, abreast=4)
    assert sum(piece.tokens for piece in lane._choose(pieces([(5, 0)] * (waiting // 5), packs=True))) == taken


async def queued(gate: Gate, texts: list[str], **limits: Any) -> list[Exchange]:
    """Answers to single requests that all waited while the model was busy with another one."""
    served = FakeServed("fake", FakeStages(gate))
    app = create_app(ServeSettings(limits=Limits(**limits)), {"fake": served})
    async with started(app) as client:
        first = client.begin("/", {"inputs": "busy"})
        await until(gate.entered.is_set)
        others = [client.begin("/", {"inputs": text}) for text in texts]
        await until(lambda: client.serving.batcher(served)._waiting[len(texts) - 1 :])
        gate.open.set()
        return [await exchange.end() for exchange in [first, *others]][1:]


def test_what_queued_while_a_batch_ran_is_the_next_batch() -> None:
    gate = Gate()
    answers = run(queued(gate, ["aaa", "bbbb", "cc"]))
    assert [answer.json for answer in answers] == [[3], [4], [2]]
    assert [sorted(batch) for batch in gate.batches] == [["busy"], ["aaa", "bbbb", "cc"]]


def test_a_poison_request_fails_alone() -> None:
    gate = Gate()
    answers = run(queued(gate, ["fine", "poison", "good"]))
    assert [answer.status for answer in answers] == [200, 424, 200]
    assert [answers[0].json, answers[2].json] == [[4], [4]]
    assert answers[1].json["error_type"] == "backend"
    assert "digest" not in answers[1].json["error"], "what is inside stays inside"


def test_a_batch_that_is_too_large_for_memory_is_halved() -> None:
    gate = Gate()
    answers = run(queued(gate, ["huge1", "huge2", "huge3", "huge4"]))
    assert [answer.json for answer in answers] == [[5]] * 4
    assert [len(batch) for batch in gate.batches] == [1, 4, 2, 2]


def test_a_single_input_that_is_too_large_for_memory_is_told_so() -> None:
    answers = run(queued(Gate(), ["boundless", "fine"]))
    assert [answer.status for answer in answers] == [424, 200]
    assert "memory" in answers[0].json["error"]


def test_what_no_batch_can_survive_is_told_to_all_of_it_and_the_next_is_computed() -> None:
    async def ask() -> list[Exchange]:
        gate = Gate()
        async with started(create_app(ServeSettings(), {"fake": FakeServed("fake", FakeStages(gate))})) as client:
            first = client.begin("/", {"inputs": "panic"})
            await until(gate.entered.is_set)
            gate.open.set()
            return [await first.end(), await client.post("/", {"inputs": "fine"})]

    failed, fine = run(ask())
    assert (failed.status, failed.json["error_type"]) == (424, "backend")
    assert (fine.status, fine.json) == (200, [4])


def test_one_request_with_many_inputs_gets_them_back_in_order() -> None:
    async def ask() -> Any:
        app = create_app(ServeSettings(limits=Limits(batch_tokens=8)), {"fake": FakeServed("fake", FakeStages())})
        async with started(app) as client:
            return (await client.post("/", {"inputs": ["a" * size for size in (7, 1, 5, 3, 9, 2)]})).json

    assert run(ask()) == [7, 1, 5, 3, 9, 2]


def test_a_client_that_leaves_takes_its_work_along() -> None:
    async def leave() -> tuple[Gate, Exchange]:
        gate = Gate()
        served = FakeServed("fake", FakeStages(gate))
        async with started(create_app(ServeSettings(), {"fake": served})) as client:
            first = client.begin("/", {"inputs": "busy"})
            await until(gate.entered.is_set)
            gone, stays = client.begin("/", {"inputs": "gone"}), client.begin("/", {"inputs": "stays"})
            await until(lambda: client.serving.batcher(served)._waiting[1:])
            gone.leave()
            await gone.end()
            assert client.serving.admission.inputs == 2, "its place is free at once"
            gate.open.set()
            await asyncio.gather(first.end(), stays.end())
            assert client.serving.admission.inputs == client.serving.admission.tokens == 0
            return gate, stays

    gate, stays = run(leave())
    assert stays.json == [5]
    assert gate.batches == [["busy"], ["stays"]]
