"""Labels of tokens to entities: words that agree on one label, runs of words that form one name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .scores import Scores

JoinTokens = Callable[[list[str]], str]
NameLabel = Callable[[int], str]


@dataclass(frozen=True)
class Token:
    """One token of a text with the scores of all labels."""

    text: str
    scores: Scores  # [labels]
    start: int  # in characters of the text
    end: int
    index: int  # among the model's tokens
    continues: bool  # the word of the token before


@dataclass(frozen=True)
class Labeled:
    """A token or a word with the label chosen for it."""

    label: str
    score: np.floating[Any]
    text: str
    start: int
    end: int


def label_token(token: Token, name: NameLabel) -> Labeled:
    """The best label of a single token."""
    best = int(token.scores.argmax())
    return Labeled(name(best), token.scores[best], token.text, token.start, token.end)


def label_words(tokens: Iterable[Token], strategy: str, name: NameLabel, join: JoinTokens) -> list[Labeled]:
    """One label for each word: its first token's ("first"), its surest token's ("max"), or that of the mean scores
    ("average")."""
    words: list[list[Token]] = []
    for token in tokens:
        if words and token.continues:
            words[-1].append(token)
        else:
            words.append([token])
    labeled = []
    for word in words:
        scores = _word_scores(word, strategy)
        best = int(scores.argmax())
        text = join([token.text for token in word])
        labeled.append(Labeled(name(best), scores[best], text, word[0].start, word[-1].end))
    return labeled


def _word_scores(word: Sequence[Token], strategy: str) -> Scores:
    """The label scores that stand for all tokens of a word."""
    if strategy == "first":
        return word[0].scores
    if strategy == "max":
        return max(word, key=lambda token: float(token.scores.max())).scores
    mean: Scores = np.stack([token.scores for token in word]).mean(axis=0)
    return mean


def group_labels(labeled: Iterable[Labeled], join: JoinTokens) -> list[dict[str, Any]]:
    """Neighbors with the same tag as one entity each; a `B-` label always opens a new one."""
    groups: list[list[Labeled]] = []
    for item in labeled:
        if groups and not item.label.startswith("B-") and _tag(item.label) == _tag(groups[-1][-1].label):
            groups[-1].append(item)
        else:
            groups.append([item])
    return [
        {
            "entity_group": group[0].label.split("-", 1)[-1],
            "score": np.mean([item.score for item in group]),
            "word": join([item.text for item in group]),
            "start": group[0].start,
            "end": group[-1].end,
        }
        for group in groups
    ]


def _tag(label: str) -> str:
    """What a label of the form `B-PER` or `I-PER` is about."""
    return label[2:] if label.startswith(("B-", "I-")) else label


def drop_overlaps(entities: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of entities that overlap, as found in neighboring windows of one text, the longest; of equals, the surest."""
    kept: list[dict[str, Any]] = []
    for entity in sorted(entities, key=lambda entity: int(entity["start"])):
        if not kept or entity["start"] >= kept[-1]["end"]:
            kept.append(entity)
        elif _strength(entity) > _strength(kept[-1]):
            kept[-1] = entity
    return kept


def _strength(entity: dict[str, Any]) -> tuple[int, float]:
    return entity["end"] - entity["start"], float(entity["score"])
