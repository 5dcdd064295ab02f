"""Entity scores as the CoNLL evaluation counts them: a name is right if its type and both its ends are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import DataError
from ..spec import IGNORED
from .metrics import as_array

OUTSIDE = "O"


def entities(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """The names in one sentence's tags as (type, first word, last word), in IOB1, IOB2 or IOBES.

    An I- that follows nothing, or another type, begins a name of its own.
    """
    found: list[tuple[str, int, int]] = []
    inside = False
    before = OUTSIDE
    for index, tag in enumerate(tags):
        prefix, kind = split_tag(tag)
        goes_on = inside and prefix in ("I", "E", "L") and found[-1][0] == kind and split_tag(before)[0] in ("B", "I")
        if goes_on:
            found[-1] = (kind, found[-1][1], index)
        elif prefix != OUTSIDE:
            found.append((kind, index, index))
        inside = prefix != OUTSIDE
        before = tag
    return found


def split_tag(tag: str) -> tuple[str, str]:
    """B-PER as ("B", "PER"); a tag without a prefix counts as an inner one."""
    if tag == OUTSIDE:
        return OUTSIDE, ""
    prefix, dash, kind = tag.partition("-")
    return (prefix, kind) if dash and len(prefix) == 1 else ("I", tag)


class EntityMetric:
    """Precision, recall and F1 of entities and accuracy of tags, over all sentences that came in.

    `labels` names the classes of the logits. Only places whose label is not -100 count: with first pieces alone
    labelled this is the score of words, as papers report it.
    """

    def __init__(self, labels: Mapping[int, str]):
        self.labels = {int(number): label for number, label in labels.items()}
        self._reset()

    def _reset(self) -> None:
        self._right: Counter[str] = Counter()
        self._found: Counter[str] = Counter()
        self._wanted: Counter[str] = Counter()
        self._tags = [0, 0]

    def update(self, predictions: Any, labels: Any) -> None:
        """Take a batch in: logits [batch, tokens, classes], labels [batch, tokens]."""
        predicted, wanted = as_array(predictions).argmax(-1), as_array(labels)
        for row, truth in zip(predicted, wanted, strict=True):
            kept = truth != IGNORED
            self.add([self.labels[int(i)] for i in row[kept]], [self.labels[int(i)] for i in truth[kept]])

    def add(self, predicted: Sequence[str], wanted: Sequence[str]) -> None:
        """Take one sentence in, as tags."""
        if len(predicted) != len(wanted):
            raise DataError(f"a sentence has {len(wanted)} tags but {len(predicted)} were predicted")
        self._tags[0] += sum(a == b for a, b in zip(predicted, wanted, strict=True))
        self._tags[1] += len(wanted)
        found, truth = set(entities(predicted)), set(entities(wanted))
        self._found.update(kind for kind, _, _ in found)
        self._wanted.update(kind for kind, _, _ in truth)
        self._right.update(kind for kind, _, _ in found & truth)

    def report(self) -> dict[str, dict[str, float]]:
        """Precision, recall, F1 and number of each type."""
        return {
            kind: scored(self._right[kind], self._found[kind], self._wanted[kind]) | {"number": self._wanted[kind]}
            for kind in sorted(self._found | self._wanted)
        }

    def compute(self) -> dict[str, float]:
        """The overall scores since the last call."""
        overall = scored(sum(self._right.values()), sum(self._found.values()), sum(self._wanted.values()))
        overall["accuracy"] = self._tags[0] / self._tags[1] if self._tags[1] else 0.0
        self._reset()
        return overall


def scored(right: int, found: int, wanted: int) -> dict[str, float]:
    """Precision, recall and F1 from three counts; 0 where there is nothing to divide by."""
    precision = right / found if found else 0.0
    recall = right / wanted if wanted else 0.0
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall) if right else 0.0,
    }
