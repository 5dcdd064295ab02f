from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lamina import Tokenizer
from lamina.errors import DataError
from lamina.training.readers import read_squad
from lamina.training.tables import Table
from lamina.training.windows import AnswerMetric, Window, cut_windows
from tests.training.samples import FACTS, squad_rows

TOKENIZER = Tokenizer.train([text for fact in FACTS for text in fact] * 2, kind="wordpiece", vocab_size=300)


@given(
    st.lists(st.sampled_from(["sea", "Seine", "1953", "caterpillars", "¿", "unknowable"]), min_size=1, max_size=60),
    st.integers(12, 24),
    st.integers(0, 5),
)
def test_windows_cover_every_token_of_the_context(words: list[str], length: int, stride: int):
    context = " ".join(words)
    rows = Table(
        "t", [{"id": "1", "question": " Where?", "context": context, "answers": {"text": [], "answer_start": []}}]
    )
    found = list(cut_windows(TOKENIZER, rows, length, stride))
    whole = [
        tuple(span)
        for span in TOKENIZER(context, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    ]
    seen = [[span for span in window.offsets if span is not None] for _, window in found]
    assert list(dict.fromkeys(span for part in seen for span in part)) == whole
    assert all(len(row["input_ids"]) <= length for row, _ in found)
    assert all(before[len(before) - stride :] == after[:stride] for before, after in pairwise(seen))


@pytest.mark.parametrize("length", [20, 28, 200])
def test_answers_are_where_the_labels_say_or_at_the_null_place(length: int):
    table = read_squad(squad_rows(unanswerable=True))
    found = set()
    for row, window in cut_windows(TOKENIZER, table, length, 6):
        start, end = row["start_positions"], row["end_positions"]
        example = table[window.example]
        if (start, end) == (window.null, window.null):
            continue
        first, last = window.offsets[start], window.offsets[end]
        assert first is not None and last is not None
        assert example["context"][first[0] : last[1]] == example["answers"]["text"][0]
        found.add(window.example)
    assert found == {index for index, row in enumerate(table) if row["answers"]["text"]}


def test_a_question_that_leaves_no_room_is_named():
    with pytest.raises(DataError, match=r"row 1: the question has .* tokens; windows of 12 that overlap by 6"):
        list(cut_windows(TOKENIZER, read_squad(squad_rows()), 12, 6))
    with pytest.raises(DataError, match="cannot overlap"):
        list(cut_windows(TOKENIZER, read_squad(squad_rows()), 12, 12))


def perfect(rows: list[tuple[dict[str, Any], Window]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that point at the labels."""
    width = max(len(row["input_ids"]) for row, _ in rows)
    scores = []
    for name in ("start_positions", "end_positions"):
        logits = torch.randn(len(rows), width, generator=torch.Generator().manual_seed(0)) - 5
        for line, (row, _) in zip(logits, rows, strict=True):
            line[row[name]] = 9.0
        scores.append(logits)
    return scores[0], scores[1]


@pytest.mark.parametrize("order", ["as cut", "reversed"])
def test_perfect_scores_give_perfect_answers(order: str):
    table = read_squad(squad_rows(unanswerable=True))
    rows = list(cut_windows(TOKENIZER, table, 28, 6))
    metric = AnswerMetric(table, [window for _, window in rows], no_answer=True)
    starts, ends = perfect(rows)
    places = list(range(len(rows)))[:: -1 if order == "reversed" else 1]
    for part in (places[:5], places[5:]):
        if order == "reversed":
            metric.locate(part)
        metric.update((starts[part], ends[part]), None)
    assert metric.compute() == {name: 100 for name in
                                ("exact_match", "f1", "has_answer_exact_match", "has_answer_f1",
                                 "no_answer_exact_match", "no_answer_f1")}  # fmt: skip


CONTEXT = "one two three four"
SPANS = [None, (0, 3), (4, 7), (8, 13), (14, 18)]


def metric_of(windows: int, **options: Any) -> AnswerMetric:
    table = Table("t", [{"id": "q", "question": "?", "context": CONTEXT, "answers": {"text": [], "answer_start": []}}])
    return AnswerMetric(table, [Window(0, list(SPANS), 0)] * windows, **options)


def test_an_answer_neither_ends_before_it_starts_nor_is_too_long():
    starts, ends = torch.tensor([[9.0, 0, 0, 8, 1]]), torch.tensor([[9.0, 9, 1, 0, 2]])
    metric = metric_of(1)
    metric.update((starts, ends))
    assert metric.answers() == {"q": "three four"}  # 8 + 2; the null place is outside the context
    metric = metric_of(1, max_answer_length=1)
    metric.update((starts, ends))
    assert metric.answers() == {"q": "one"}


def test_the_lowest_null_score_of_all_windows_counts():
    starts = torch.tensor([[9.0, 5, 0, 0, 0], [1.0, 0, 0, 0, 0]])
    ends = torch.tensor([[0.0, 1, 0, 0, 0]]).expand(2, -1)
    metric = metric_of(2, no_answer=True)
    metric.update((starts, ends))
    assert metric.answers() == {"q": "one"}, "a window that sees the answer has a low null score"
    metric = metric_of(2, no_answer=True, threshold=-6.0)
    metric.update((starts, ends))
    assert metric.answers() == {"q": ""}
    metric = metric_of(2, no_answer=True, null_score="notebook")
    metric.update((starts, ends))
    assert metric.answers() == {"q": ""}, "the notebook goes by the highest null score, 9, and loses the answer"
    metric = metric_of(2)
    metric.update((starts[:1], torch.zeros(1, 5)))
    with pytest.raises(DataError, match="scores of 1 of the 2 windows came in"):
        metric.compute()


def test_the_best_few_answers_come_once_each_with_their_probability():
    starts, ends = torch.tensor([[0.0, 5, 0, 0, 0]] * 2), torch.tensor([[2.0, 1, 0.5, 0.25, 0]] * 2)
    metric = metric_of(2, no_answer=True, n_best=3)
    metric.update((starts, ends))
    ranked = metric.rank()["q"]
    assert [each["text"] for each in ranked] == ["one", "one two", "one two three"], "both windows hold each span"
    assert [each["score"] for each in ranked] == [6, 5.5, 5.25]
    assert sum(each["probability"] for each in ranked) == pytest.approx(1)
    assert CONTEXT[ranked[1]["start"] : ranked[1]["end"]] == "one two"
    scores = metric.compute()
    assert scores["exact_match"] == 0 and metric.ranked["q"] == ranked
    wide = metric_of(2, no_answer=True, n_best=20)
    wide.update((starts, ends))
    texts = [each["text"] for each in wide.rank()["q"]]
    assert "" in texts[1:], "no answer is listed by its score, 2"
    with pytest.raises(DataError, match="null_score='mean' is unknown"):
        metric_of(1, null_score="mean")
    with pytest.raises(DataError, match="n_best=0"):
        metric_of(1, n_best=0)
