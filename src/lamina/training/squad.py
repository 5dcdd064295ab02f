"""Exact match and F1 of answers as SQuAD's evaluation computes them, for both versions."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence

from ..errors import DataError

ARTICLES = re.compile(r"\b(a|an|the)\b", re.UNICODE)
PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalized(text: str) -> str:
    """Lower case without punctuation, articles and double spaces."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def exact(found: str, wanted: str) -> float:
    """1 where two answers read alike, else 0."""
    return float(normalized(found) == normalized(wanted))


def overlap(found: str, wanted: str) -> float:
    """The F1 of the words two answers share; the empty answer matches only itself."""
    ours, theirs = normalized(found).split(), normalized(wanted).split()
    if not ours or not theirs:
        return float(ours == theirs)
    shared = sum((Counter(ours) & Counter(theirs)).values())
    if not shared:
        return 0.0
    precision, recall = shared / len(ours), shared / len(theirs)
    return 2 * precision * recall / (precision + recall)


def squad_scores(predictions: Mapping[str, str], references: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Both scores 0 to 100, and those of answerable and unanswerable questions apart where there are both.

    `references` holds the right answers of each question by its id; none means that there is no answer.
    """
    if not references:
        raise DataError("there is nothing to score: no questions")
    rows: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for name, answers in references.items():
        if name not in predictions:
            raise DataError(f"no answer was predicted for the question {name!r}")
        golds = [answer for answer in answers if normalized(answer)] or [""]
        found = predictions[name]
        best = max(exact(found, gold) for gold in golds), max(overlap(found, gold) for gold in golds)
        rows[bool(answers)].append(best)
    scores = _means("", rows[True] + rows[False])
    if rows[False]:
        scores |= _means("has_answer_", rows[True]) | _means("no_answer_", rows[False])
    return scores


def _means(prefix: str, rows: Sequence[tuple[float, float]]) -> dict[str, float]:
    if not rows:
        return {}
    return {
        f"{prefix}exact_match": 100 * sum(row[0] for row in rows) / len(rows),
        f"{prefix}f1": 100 * sum(row[1] for row in rows) / len(rows),
    }
