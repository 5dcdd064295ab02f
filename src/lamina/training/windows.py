"""Extractive question answering around the model: contexts in windows that overlap, scores back to answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ..errors import DataError
from ..pipelines.question_answering import best_spans, tokenize_windows
from .squad import squad_scores
from .tables import Row, Table

BATCH = 256  # questions cut into windows at a time
Offsets = list[tuple[int, int] | None]


@dataclass(frozen=True)
class Window:
    """One window: whose context it is part of, the characters of each token in it (None outside it), its null place."""

    example: int
    offsets: Offsets
    null: int


def cut_windows(
    tokenizer: Any, table: Table, max_length: int = 384, stride: int = 128, labelled: bool = True
) -> Iterator[tuple[dict[str, Any], Window]]:
    """The model's inputs and the memory of every window, questions in the table's order.

    With `labelled`, inputs hold start_positions and end_positions; windows without the answer point at the null place.
    """
    if not 0 <= stride < max_length:
        raise DataError(f"windows of {max_length} tokens cannot overlap by {stride}")
    for first in range(0, len(table), BATCH):
        examples = [table[index] for index in range(first, min(first + BATCH, len(table)))]
        yield from _cut(tokenizer, table, examples, first, max_length, stride, labelled)


def _cut(
    tokenizer: Any, table: Table, examples: Sequence[Row], first: int, max_length: int, stride: int, labelled: bool
) -> Iterator[tuple[dict[str, Any], Window]]:
    # Leading blanks of a question would be cut as tokens of nothing and break the truncation of the context.
    questions = [example["question"].lstrip() for example in examples]
    room = max_length - stride - tokenizer.num_special_tokens_to_add(pair=True)
    lengths = [len(ids) for ids in tokenizer(questions, add_special_tokens=False)["input_ids"]]
    for index, length in enumerate(lengths):
        if length >= room:
            complaint = f"the question has {length} tokens; windows of {max_length} that overlap by {stride} have room"
            table.refuse(first + index, f"{complaint} for {max(room - 1, 0)}")
    contexts = [example["context"] for example in examples]
    encoded, inside = tokenize_windows(tokenizer, questions, contexts, max_length, stride)
    inputs = [name for name in encoded if name not in ("offset_mapping", "overflow_to_sample_mapping")]
    for number, owner in enumerate(encoded["overflow_to_sample_mapping"]):
        ids = encoded["input_ids"][number]
        offsets: Offsets = [
            (span[0], span[1]) if kept else None
            for span, kept in zip(encoded["offset_mapping"][number], inside[number], strict=True)
        ]
        null = ids.index(tokenizer.cls_token_id) if tokenizer.cls_token_id in ids else 0
        feature = {name: encoded[name][number] for name in inputs}
        if labelled:
            start, end = answer_tokens(offsets, examples[owner], null)
            feature |= {"start_positions": start, "end_positions": end}
        yield feature, Window(first + owner, offsets, null)


def answer_tokens(offsets: Offsets, example: Row, null: int) -> tuple[int, int]:
    """The first and last token of the first answer, or twice `null` where the window does not hold all of it."""
    answers = example["answers"]
    if not answers["text"]:
        return null, null
    start = answers["answer_start"][0]
    end = start + len(answers["text"][0])
    spans = [(index, span) for index, span in enumerate(offsets) if span is not None and span[1] > span[0]]
    if not spans or spans[0][1][0] > start or spans[-1][1][1] < end:
        return null, null
    covering = [index for index, span in spans if span[1] > start and span[0] < end]
    return (covering[0], covering[-1]) if covering else (null, null)


@dataclass
class Candidates:
    """The best spans of one question over its windows by characters, and the scores of there being no answer."""

    spans: dict[tuple[int, int], float] = field(default_factory=dict)
    nulls: list[float] = field(default_factory=list)

    def keep(self, count: int) -> None:
        """Forget all spans but the best."""
        self.spans = dict(sorted(self.spans.items(), key=lambda each: -each[1])[:count])


NULL_SCORES = {"lowest": min, "notebook": max}


class AnswerMetric:
    """SQuAD's scores of the windows' start and end logits, in the windows' order or in that told to `locate`.

    Of each window the `n_best` starts and ends inside the context are combined; what ends before it starts or is longer
    than `max_answer_length` tokens drops out. With `no_answer` the empty answer wins where its score exceeds the best
    span's by more than `threshold`: its lowest over the windows, or with `null_score="notebook"` the highest, by which
    the course's notebook loses answers that only one of several windows holds.
    """

    def __init__(
        self,
        table: Table,
        windows: Sequence[Window],
        n_best: int = 20,
        max_answer_length: int = 30,
        no_answer: bool = False,
        threshold: float = 0.0,
        null_score: str = "lowest",
    ):
        if null_score not in NULL_SCORES:
            raise DataError(f"null_score={null_score!r} is unknown: one of {', '.join(NULL_SCORES)}")
        if n_best < 1 or max_answer_length < 1:
            raise DataError(f"n_best={n_best} and max_answer_length={max_answer_length} must be at least 1")
        self.table, self.windows = table, windows
        self.n_best, self.max_answer_length = n_best, max_answer_length
        self.no_answer, self.threshold = no_answer, threshold
        self.chosen_null = NULL_SCORES[null_score]
        self.ranked: dict[str, list[dict[str, Any]]] = {}
        self._reset()

    def _reset(self) -> None:
        self._seen = 0
        self._rows: list[int] | None = None
        self._candidates = [Candidates() for _ in range(len(self.table))]

    def locate(self, rows: Sequence[int]) -> None:
        """Say which windows the next batch holds."""
        self._rows = list(rows)

    def update(self, predictions: Any, labels: Any = None) -> None:
        """Take the start and end logits, [windows, tokens] each, of the next windows in."""
        starts, ends = (torch.as_tensor(logits).float().cpu() for logits in predictions[:2])
        if self._seen + len(starts) > len(self.windows):
            raise DataError(f"scores of more than the {len(self.windows)} windows came in")
        rows = range(self._seen, self._seen + len(starts)) if self._rows is None else self._rows
        windows = [self.windows[row] for row in rows]
        self._seen, self._rows = self._seen + len(starts), None
        for window, start, end in zip(windows, starts.numpy(), ends.numpy(), strict=True):
            kept = self._candidates[window.example]
            kept.nulls.append(float(start[window.null] + end[window.null]))
            usable = [span is not None and span[1] > span[0] for span in window.offsets]
            inside = np.zeros(len(start), dtype=bool)
            inside[: len(usable)] = usable[: len(start)]
            spans = best_spans(start, end, inside, self.n_best, self.max_answer_length, np.add, self.n_best)
            for first, last, score in zip(*(part.tolist() for part in spans), strict=True):
                opening, closing = window.offsets[first], window.offsets[last]
                if score > float("-inf") and opening is not None and closing is not None:
                    place = opening[0], closing[1]  # windows overlap: the same span may come twice
                    kept.spans[place] = max(score, kept.spans.get(place, score))
            kept.keep(self.n_best)

    def rank(self) -> dict[str, list[dict[str, Any]]]:
        """The best answers to each question by its id, best first: text, score, start, end; "" means no answer.

        Scores are sums of two logits; `probability` is their softmax over what is listed.
        """
        if self._seen != len(self.windows):
            raise DataError(f"scores of {self._seen} of the {len(self.windows)} windows came in")
        return {
            row["id"]: self._ranked(row["context"], kept)
            for row, kept in zip(self.table, self._candidates, strict=True)
        }

    def _ranked(self, context: str, kept: Candidates) -> list[dict[str, Any]]:
        found: list[tuple[float, int, int]] = [(score, start, end) for (start, end), score in kept.spans.items()]
        if self.no_answer and kept.nulls:
            null = self.chosen_null(kept.nulls)
            wins = not found or null - found[0][0] > self.threshold
            better = sum(score >= null for score, _, _ in found)
            found.insert(0 if wins else max(1, better), (null, 0, 0))
        found = found[: self.n_best] or [(0.0, 0, 0)]
        weights = torch.tensor([score for score, _, _ in found], dtype=torch.float64).softmax(0).tolist()
        return [
            {"text": context[start:end], "score": score, "start": start, "end": end, "probability": weight}
            for (score, start, end), weight in zip(found, weights, strict=True)
        ]

    def answers(self) -> dict[str, str]:
        """The answer to each question by its id; empty where there is none."""
        return {name: ranked[0]["text"] for name, ranked in self.rank().items()}

    def compute(self) -> dict[str, float]:
        """Exact match and F1, 0 to 100, since the last call, whose answers stay in `ranked`."""
        self.ranked = self.rank()
        found = {name: ranked[0]["text"] for name, ranked in self.ranked.items()}
        scores = squad_scores(found, {row["id"]: row["answers"]["text"] for row in self.table})
        self._reset()
        return scores
