"""Spans of tokens as answers: against a plain search over all of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamina.pipelines.question_answering import ContextWindow, best_spans, merge_answers


def window(context: list[bool]) -> ContextWindow:
    """One character a token, every token a word, the first token standing for no answer."""
    places = range(len(context))
    scored = np.array([inside or place == 0 for place, inside in enumerate(context)])
    return ContextWindow(np.array(context), scored, [(place, place + 1) for place in places], list(places))


def brute_force(start: np.ndarray, end: np.ndarray, seen: ContextWindow, longest: int) -> dict[tuple[int, int], float]:
    """The score of every span that may answer."""
    shares = []
    for logits in (start, end):
        powers = np.where(seen.scored, np.exp(logits.astype(np.float64)), 0)
        shares.append(powers / powers.sum())
    places = np.nonzero(seen.context)[0].tolist()
    return {(s, e): shares[0][s] * shares[1][e] for s in places for e in places if s <= e < s + longest}


@given(st.data(), st.integers(1, 12), st.integers(1, 6), st.integers(1, 8))
def test_the_best_spans_are_found(data: st.DataObject, tokens: int, count: int, longest: int) -> None:
    logits = st.lists(st.floats(-4, 4, width=32), min_size=tokens, max_size=tokens)
    start = np.array(data.draw(logits), dtype=np.float32)
    end = np.array(data.draw(logits), dtype=np.float32)
    context = [False, *data.draw(st.lists(st.booleans(), min_size=tokens - 1, max_size=tokens - 1))]
    seen = window(context)
    starts, ends, scores, _ = seen.answers(start, end, count, longest)
    expected = brute_force(start, end, seen, longest)
    assert len(scores) == min(count, len(expected))
    assert scores.tolist() == pytest.approx(sorted(expected.values(), reverse=True)[:count], rel=1e-4)
    for first, last, score in zip(starts, ends, scores, strict=True):
        assert expected[int(first), int(last)] == pytest.approx(float(score), rel=1e-4)


@given(st.data(), st.integers(1, 12), st.integers(1, 6), st.integers(1, 8), st.integers(1, 6))
def test_only_the_best_candidates_are_combined(
    data: st.DataObject, tokens: int, count: int, longest: int, candidates: int
) -> None:
    inside = np.array(data.draw(st.lists(st.booleans(), min_size=tokens, max_size=tokens)))
    start, end = (np.array(data.draw(st.permutations(range(tokens))), np.float32) for _ in range(2))
    places = np.nonzero(inside)[0].tolist()
    firsts, lasts = (sorted(places, key=lambda place: -by[place])[:candidates] for by in (start, end))
    expected = {(s, e): start[s] + end[e] for s in firsts for e in lasts if s <= e < s + longest}
    starts, ends, scores = best_spans(start, end, inside, count, longest, np.add, candidates)
    assert scores.tolist() == sorted(expected.values(), reverse=True)[:count]
    assert all(expected[span] == score for span, score in zip(zip(starts, ends, strict=True), scores, strict=True))


def test_no_answer_is_scored_by_the_first_token() -> None:
    start, end = np.array([2, 0, 0], np.float32), np.array([1, 0, 0], np.float32)
    *_, nothing = window([False, True, True]).answers(start, end, 5, 3)
    assert nothing == pytest.approx(np.exp(2) / (np.exp(2) + 2) * np.exp(1) / (np.exp(1) + 2), rel=1e-5)


def test_words_are_taken_whole_where_they_are_known() -> None:
    seen = ContextWindow(
        np.array([False, True, True, True]),
        np.array([True, True, True, True]),
        [(0, 0), (0, 3), (3, 6), (7, 9)],
        [None, 0, 0, 1],
    )
    assert seen.characters(2, 3, whole_words=True) == (0, 9)
    assert seen.characters(2, 2, whole_words=True) == (0, 6)
    assert seen.characters(2, 2, whole_words=False) == (3, 6)
    assert seen.characters(0, 2, whole_words=True) == (0, 6)


def test_answers_that_read_alike_are_one() -> None:
    seen = window([False, True, True, True])
    zeros = np.zeros(4, np.float32)
    answers = merge_answers([(seen.answers(zeros, zeros, 9, 1)[:3], seen)] * 2, "xAaB", whole_words=False)
    assert [(answer["answer"], answer["start"], answer["end"]) for answer in answers] == [("A", 1, 2), ("B", 3, 4)]
    assert [answer["score"] for answer in answers] == pytest.approx([4 / 16, 2 / 16])
