"""Batches by length: every row once, limits kept, results in input order, never read too far ahead."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamina.inference.batching import filler_length, plan_batches, plan_evenly, run_by_length, runs

LENGTHS = st.lists(st.integers(0, 300), max_size=80)
LIMITS = st.integers(1, 1024)


@given(LENGTHS, LIMITS, st.none() | st.integers(1, 20))
def test_every_row_is_in_exactly_one_batch(lengths: list[int], tokens: int, rows: int | None) -> None:
    numbers = [number for batch in plan_batches(lengths, tokens, rows) for number in batch]
    assert sorted(numbers) == list(range(len(lengths)))


@given(LENGTHS, LIMITS, st.none() | st.integers(1, 20))
def test_batches_keep_both_limits(lengths: list[int], tokens: int, rows: int | None) -> None:
    for batch in plan_batches(lengths, tokens, rows):
        assert batch
        assert rows is None or len(batch) <= rows
        assert len(batch) == 1 or len(batch) * max(lengths[number] for number in batch) <= tokens


@given(LENGTHS, LIMITS)
def test_no_batch_could_take_in_the_next_row(lengths: list[int], tokens: int) -> None:
    batches = plan_batches(lengths, tokens)
    for batch, following in pairwise(batches):
        assert (len(batch) + 1) * lengths[following[0]] > tokens


@given(LENGTHS, LIMITS)
def test_batches_run_from_short_to_long(lengths: list[int], tokens: int) -> None:
    ordered = [lengths[number] for batch in plan_batches(lengths, tokens) for number in batch]
    assert ordered == sorted(lengths)


@given(LENGTHS, LIMITS, st.none() | st.integers(1, 20))
def test_packed_batches_count_real_tokens_and_leave_no_room(lengths: list[int], tokens: int, rows: int | None) -> None:
    batches = plan_batches(lengths, tokens, rows, packed=True)
    assert [lengths[number] for batch in batches for number in batch] == sorted(lengths)
    for batch in batches:
        assert rows is None or len(batch) <= rows
        assert len(batch) == 1 or sum(lengths[number] for number in batch) <= tokens
    for batch, following in pairwise(batches):
        held = sum(lengths[number] for number in batch)
        assert len(batch) == rows or held + lengths[following[0]] > tokens


@given(LENGTHS, LIMITS, st.integers(2, 5))
def test_batches_computed_at_once_hold_every_row_once_within_the_limit(
    lengths: list[int], tokens: int, abreast: int
) -> None:
    batches = plan_evenly(lengths, tokens, abreast)
    assert sorted(number for batch in batches for number in batch) == list(range(len(lengths)))
    assert [lengths[number] for batch in batches for number in batch] == sorted(lengths)
    for batch in batches:
        assert len(batch) == 1 or sum(lengths[number] for number in batch) <= tokens
    assert len(batches) <= 1 or sum(lengths) > tokens


@pytest.mark.parametrize("abreast", [2, 3, 4])
def test_batches_computed_at_once_are_of_about_one_size(abreast: int) -> None:
    lengths = [5 + number * 7 % 40 for number in range(256)]
    sizes = [sum(lengths[number] for number in batch) for batch in plan_evenly(lengths, 1024, abreast)]
    assert len(sizes) % abreast == 0
    assert len(sizes) < sum(lengths) / 1024 + abreast
    assert max(sizes) - min(sizes) <= 2 * max(lengths)


@given(st.integers(1, 5000))
def test_filled_up_batches_come_in_few_sizes_and_grow_little(tokens: int) -> None:
    filler = filler_length(tokens)
    assert 0 <= filler <= max(7, tokens / 16)
    assert (tokens + filler) % (8 if tokens < 256 else 16 if tokens < 512 else 32) == 0


def test_there_are_few_sizes_up_to_a_full_batch() -> None:
    assert len({tokens + filler_length(tokens) for tokens in range(1, 1025)}) <= 100


@given(st.lists(st.text(max_size=30)), LIMITS, st.none() | st.integers(1, 5))
def test_results_come_in_input_order(rows: list[str], tokens: int, batch_size: int | None) -> None:
    def run(batch: list[str]) -> list[str]:
        return [row.upper() for row in batch]

    assert run_by_length(rows, run, len, tokens=tokens, batch_size=batch_size) == [row.upper() for row in rows]


def test_a_batch_must_answer_every_row() -> None:
    with pytest.raises(ValueError, match="zip"):
        run_by_length(["a", "b"], lambda batch: batch[:1], len)


@given(st.integers(0, 200), st.integers(1, 50), st.none() | st.integers(1, 60))
def test_runs_hold_every_item_in_order(count: int, size: int, first: int | None) -> None:
    found = list(runs(range(count), size, first))
    assert [item for run in found for item in run] == list(range(count))
    assert all(0 < len(run) <= size for run in found)


@given(st.integers(1, 200), st.integers(1, 50), st.integers(1, 60))
def test_runs_grow_by_doubling(count: int, size: int, first: int) -> None:
    lengths = [len(run) for run in runs(range(count), size, first)]
    expected = min(first, size)
    for length in lengths[:-1]:
        assert length == expected
        expected = min(2 * expected, size)
    assert lengths[-1] <= expected


def test_runs_read_no_further_than_they_yield() -> None:
    taken = 0

    def source() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    found = runs(source(), size=8, first=1)
    for expected in (1, 3, 7, 15, 23):
        next(found)
        assert taken == expected
