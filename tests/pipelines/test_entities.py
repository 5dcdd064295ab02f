"""Tokens to words to entities, on labels chosen by hand."""

from __future__ import annotations

import numpy as np
import pytest

from lamina.pipelines.token_classification import Labeled, Token, drop_overlaps, group_labels, label_tokens

NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC", "S-ORG"]


def token(text: str, start: int, index: int = 0, continues: bool = False) -> Token:
    return Token(text, start, start + len(text.removeprefix("##")), index, continues)


def scores_of(*rows: dict[str, float]) -> np.ndarray:
    return np.array([[row.get(name, 0.0) for name in NAMES] for row in rows], np.float32)


def join(tokens: list[str]) -> str:
    return " ".join(tokens).replace(" ##", "")


def labeled(tokens: list[Token], scores: np.ndarray, strategy: str) -> list[Labeled]:
    return label_tokens(tokens, scores, strategy, NAMES.__getitem__, join)


def groups_of(*labels: str) -> list[tuple[str, str]]:
    tokens = [token(f"w{place}", 3 * place, place, continues=place % 2 == 1) for place in range(len(labels))]
    found = group_labels(labeled(tokens, scores_of(*({label: 1} for label in labels)), "simple"), join)
    return [(group["entity_group"], group["word"]) for group in found]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ((), []),
        (("B-PER", "I-PER"), [("PER", "w0 w1")]),
        (("I-PER", "I-PER"), [("PER", "w0 w1")]),
        (("B-PER", "B-PER"), [("PER", "w0"), ("PER", "w1")]),
        (("B-PER", "I-LOC"), [("PER", "w0"), ("LOC", "w1")]),
        (("MISC", "MISC", "O"), [("MISC", "w0 w1"), ("O", "w2")]),
        (("S-ORG", "S-ORG"), [("ORG", "w0 w1")]),
    ],
)
def test_neighbors_of_one_tag_are_one_entity(labels: tuple[str, ...], expected: list[tuple[str, str]]) -> None:
    assert groups_of(*labels) == expected


@pytest.mark.parametrize(
    ("strategy", "label", "score"), [("first", "B-PER", 0.5), ("max", "B-LOC", 0.9), ("average", "I-LOC", 0.4)]
)
def test_a_word_has_one_label(strategy: str, label: str, score: float) -> None:
    word = [token("micro", 0), token("##so", 5, 1, continues=True), token("##ft", 7, 3, continues=True)]
    scores = scores_of(
        {"B-PER": 0.5, "I-LOC": 0.4}, {"I-PER": 0.6, "I-LOC": 0.4}, {"O": 1}, {"B-LOC": 0.9, "I-LOC": 0.4}
    )
    (found,) = labeled(word, scores, strategy)
    assert (found.label, found.text, found.start, found.end) == (label, "microsoft", 0, 9)
    assert type(found.score) is np.float32
    assert float(found.score) == pytest.approx(score)


def test_a_text_that_begins_inside_a_word_still_has_a_first_word() -> None:
    assert len(labeled([token("##so", 0, continues=True)], scores_of({"O": 1}), "first")) == 1


def test_of_entities_that_overlap_the_longest_stays() -> None:
    def entity(start: int, end: int, score: float) -> dict[str, object]:
        return {"start": start, "end": end, "score": np.float32(score)}

    found = drop_overlaps(
        [entity(8, 12, 0.2), entity(0, 4, 0.5), entity(0, 4, 0.7), entity(2, 8, 0.1), entity(9, 10, 0.9)]
    )
    assert [(item["start"], item["end"]) for item in found] == [(2, 8), (8, 12)]
    assert [float(item["score"]) for item in drop_overlaps([entity(0, 4, 0.5), entity(0, 4, 0.7)])] == pytest.approx(
        [0.7]
    )
    assert drop_overlaps([]) == []
