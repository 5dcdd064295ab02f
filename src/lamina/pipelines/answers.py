"""Scores of starts and ends to answers: spans of tokens, widened to words, equal texts counted together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .scores import Scores

MASKED = -10000.0  # in place of the logits of tokens that cannot answer

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class ContextWindow:
    """What a window of a context must remember of its tokens."""

    context: Flags  # [tokens]: part of the context
    scored: Flags  # [tokens]: share in the softmax; the context, and the first token, which stands for "no answer"
    offsets: list[tuple[int, int]]  # in characters of the context
    word_ids: list[int | None]

    def characters(self, first: int, last: int, whole_words: bool) -> tuple[int, int]:
        """Where the tokens `first` to `last` stand in the context, widened to whole words if asked and known."""
        start_word, end_word = self.word_ids[first], self.word_ids[last]
        if not whole_words or start_word is None or end_word is None:
            return self.offsets[first][0], self.offsets[last][1]
        inside = [place for place, word in enumerate(self.word_ids) if self.context[place] and word is not None]
        start = next(self.offsets[place][0] for place in inside if self.word_ids[place] == start_word)
        end = next(self.offsets[place][1] for place in reversed(inside) if self.word_ids[place] == end_word)
        return start, end


@dataclass(frozen=True)
class Spans:
    """The best answers of one window: token numbers and scores, from the best down, and the score of no answer."""

    starts: NDArray[np.intp]
    ends: NDArray[np.intp]
    scores: Scores
    nothing: float


def best_spans(start: Scores, end: Scores, window: ContextWindow, count: int, longest: int) -> Spans:
    """The `count` likeliest answers of at most `longest` tokens; `start` and `end` are logits [tokens].

    A span's score is the product of its start's and its end's share. Ties go to the earlier and the shorter span.
    """
    starts, ends = _shares(start, window.scored), _shares(end, window.scored)
    nothing = (starts[0] * ends[0]).item()
    starts, ends = np.where(window.context, starts, 0), np.where(window.context, ends, 0)
    first, last = np.nonzero(window.context)[0], min(longest, len(start))
    # [context tokens, lengths]: only spans that may answer are ever scored.
    begins = np.repeat(first, last)
    finishes = begins + np.tile(np.arange(last), len(first))
    inside = finishes < len(start)
    begins, finishes = begins[inside], finishes[inside]
    inside = window.context[finishes]
    begins, finishes = begins[inside], finishes[inside]
    scores: Scores = starts[begins] * ends[finishes]
    chosen = np.argpartition(-scores, count - 1)[:count] if len(scores) > count else np.arange(len(scores))
    chosen = chosen[np.lexsort((finishes[chosen], begins[chosen], -scores[chosen]))]
    return Spans(begins[chosen], finishes[chosen], scores[chosen], nothing)


def _shares(logits: Scores, scored: Flags) -> Scores:
    """Softmax over the tokens that are scored."""
    masked = np.where(scored, logits, MASKED)
    shifted: Scores = np.exp(masked - masked.max())
    shares: Scores = shifted / shifted.sum()
    return shares


def merge_answers(
    found: Iterable[tuple[Spans, ContextWindow]], context: str, whole_words: bool
) -> list[dict[str, Any]]:
    """Answers of all windows; those that read alike but for case are one, at the first's place, their scores added."""
    answers: dict[str, dict[str, Any]] = {}
    for spans, window in found:
        for first, last, score in zip(spans.starts, spans.ends, spans.scores, strict=True):
            start, end = window.characters(int(first), int(last), whole_words)
            text = context[start:end]
            known = answers.get(text.lower())
            if known:
                known["score"] += score.item()
            else:
                answers[text.lower()] = {"score": score.item(), "start": start, "end": end, "answer": text}
    return list(answers.values())
