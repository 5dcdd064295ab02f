"""Extractive question answering around the model: contexts in windows that overlap, scores back to answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..errors import DataError
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
    question_first = tokenizer.padding_side == "right"
    # Leading blanks of a question would be cut as tokens of nothing and break the truncation of the context.
    texts = [example["question"].lstrip() for example in examples], [example["context"] for example in examples]
    room = max_length - stride - tokenizer.num_special_tokens_to_add(pair=True)
    lengths = [len(ids) for ids in tokenizer(texts[0], add_special_tokens=False)["input_ids"]]
    for index, length in enumerate(lengths):
        if length >= room:
            complaint = f"the question has {length} tokens; windows of {max_length} that overlap by {stride} have room"
            table.refuse(first + index, f"{complaint} for {max(room - 1, 0)}")
    encoded = tokenizer(
        *(texts if question_first else texts[::-1]),
        truncation="only_second" if question_first else "only_first",
        max_length=max_length,
        stride=stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    inputs = [name for name in encoded if name not in ("offset_mapping", "overflow_to_sample_mapping")]
    for number, owner in enumerate(encoded["overflow_to_sample_mapping"]):
        ids = encoded["input_ids"][number]
        inside = [part == int(question_first) for part in encoded.sequence_ids(number)]
        offsets: Offsets = [
            (span[0], span[1]) if kept else None
            for span, kept in zip(encoded["offset_mapping"][number], inside, strict=True)
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
        scores, first, last = best_spans(starts, ends, windows, self.n_best, self.max_answer_length)
        nulls = torch.tensor([window.null for window in windows])[:, None]
        null_scores = (starts.gather(1, nulls) + ends.gather(1, nulls)).flatten().tolist()
        found = zip(windows, scores.tolist(), first.tolist(), last.tolist(), null_scores, strict=True)
        for window, row_scores, row_first, row_last, null in found:
            kept = self._candidates[window.example]
            kept.nulls.append(null)
            for score, start, end in zip(row_scores, row_first, row_last, strict=True):
                opening, closing = window.offsets[start], window.offsets[end]
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


def best_spans(
    starts: Tensor, ends: Tensor, windows: Sequence[Window], n_best: int, max_length: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Scores, first and last tokens of the best spans of each window: [windows, spans] each, -inf where there is none.

    Logits are [windows, tokens].
    """
    width = starts.shape[1]
    inside = torch.zeros(starts.shape, dtype=torch.bool)
    for row, window in zip(inside, windows, strict=True):
        usable = [span is not None and span[1] > span[0] for span in window.offsets]
        row[: len(usable)] = torch.tensor(usable[:width])
    count = min(n_best, width)
    start_scores, first = starts.masked_fill(~inside, float("-inf")).topk(count, 1)
    end_scores, last = ends.masked_fill(~inside, float("-inf")).topk(count, 1)
    scores = start_scores[:, :, None] + end_scores[:, None, :]
    length = last[:, None, :] - first[:, :, None] + 1
    scores = scores.masked_fill((length < 1) | (length > max_length), float("-inf"))
    best, place = scores.flatten(1).topk(min(n_best, count * count), 1)
    return best, first.gather(1, place // count), last.gather(1, place % count)
