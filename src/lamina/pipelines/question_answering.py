"""The span of a context that answers a question; the windows and spans here serve training's metric too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import PipelineError, TokenizerError
from ..inference.rows import Batch, Row, checked_text, gathered, longest_row, model_row
from .base import Pipeline, Settings
from .options import OPTIONS, TOKENIZING
from .text_classification import Scores, softmax

LONGEST_WINDOW = 384  # tokens of question and context, as in the SQuAD recipes these models come from
WIDEST_OVERLAP = 128
NO_ANSWER = {"score": 0.0, "start": 0, "end": 0, "answer": ""}
MASKED = -10000.0  # in place of the logits of tokens that cannot answer

Flags = NDArray[np.bool_]
Places = NDArray[np.intp]


def tokenize_windows(
    tokenizer: Any, questions: Sequence[str], contexts: Sequence[str], length: int, stride: int
) -> tuple[Any, list[Flags]]:
    """Questions beside windows of `length` tokens of their contexts that overlap by `stride`, and for each window
    which of its tokens, [tokens], are of the context. The question comes first unless the tokenizer pads there."""
    question_first = tokenizer.padding_side == "right"
    encoding = tokenizer(
        *((questions, contexts) if question_first else (contexts, questions)),
        truncation="only_second" if question_first else "only_first",
        max_length=length,
        stride=stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    parts = (encoding.sequence_ids(number) for number in range(len(encoding["input_ids"])))
    return encoding, [np.array([part == int(question_first) for part in own]) for own in parts]


def best_spans(
    starts: Scores,
    ends: Scores,
    inside: Flags,
    count: int,
    longest: int,
    score: Callable[[Scores, Scores], Scores] = np.multiply,
    candidates: int | None = None,
) -> tuple[Places, Places, Scores]:
    """First tokens, last tokens and scores of the `count` best spans of at most `longest` tokens that are `inside`.

    `starts` and `ends` score each token, [tokens], and `score` makes one number of a start's and an end's. Only the
    `candidates` best starts and ends are combined, or all. Ties go to the earlier and the shorter span.
    """
    first, last = np.nonzero(inside)[0], inside
    if candidates is not None and len(first) > candidates:
        last = np.zeros_like(inside)
        last[first[np.argsort(-ends[first], kind="stable")[:candidates]]] = True
        first = np.sort(first[np.argsort(-starts[first], kind="stable")[:candidates]])
    widest = min(longest, len(starts))
    # [context tokens, lengths]: only spans that may answer are ever scored.
    begins = np.repeat(first, widest)
    finishes = begins + np.tile(np.arange(widest), len(first))
    begins, finishes = begins[finishes < len(starts)], finishes[finishes < len(starts)]
    begins, finishes = begins[last[finishes]], finishes[last[finishes]]
    scores: Scores = score(starts[begins], ends[finishes])
    chosen = np.argpartition(-scores, count - 1)[:count] if len(scores) > count else np.arange(len(scores))
    chosen = chosen[np.lexsort((finishes[chosen], begins[chosen], -scores[chosen]))]
    return begins[chosen], finishes[chosen], scores[chosen]


@dataclass(frozen=True)
class ContextWindow:
    """What a window of a context must remember of its tokens."""

    context: Flags  # [tokens]: part of the context
    scored: Flags  # [tokens]: share in the softmax; the context, and the first token, which stands for "no answer"
    offsets: list[tuple[int, int]]  # in characters of the context
    word_ids: list[int | None]

    def answers(self, start: Scores, end: Scores, count: int, longest: int) -> tuple[Places, Places, Scores, float]:
        """The `count` likeliest spans by their logits, [tokens] each, with scores, and the score of no answer.

        A span's score is the product of its start's and its end's share.
        """
        starts, ends = (softmax(np.where(self.scored, logits, MASKED)) for logits in (start, end))
        return *best_spans(starts, ends, self.context, count, longest), (starts[0] * ends[0]).item()

    def characters(self, first: int, last: int, whole_words: bool) -> tuple[int, int]:
        """Where the tokens `first` to `last` stand in the context, widened to whole words if asked and known."""
        start_word, end_word = self.word_ids[first], self.word_ids[last]
        if not whole_words or start_word is None or end_word is None:
            return self.offsets[first][0], self.offsets[last][1]
        inside = [place for place, word in enumerate(self.word_ids) if self.context[place] and word is not None]
        start = next(self.offsets[place][0] for place in inside if self.word_ids[place] == start_word)
        end = next(self.offsets[place][1] for place in reversed(inside) if self.word_ids[place] == end_word)
        return start, end


def merge_answers(
    found: Iterable[tuple[tuple[Places, Places, Scores], ContextWindow]], context: str, whole_words: bool
) -> list[dict[str, Any]]:
    """Answers of all windows; those that read alike but for case are one, at the first's place, their scores added."""
    answers: dict[str, dict[str, Any]] = {}
    for spans, window in found:
        for first, last, score in zip(*spans, strict=True):
            start, end = window.characters(int(first), int(last), whole_words)
            text = context[start:end]
            known = answers.get(text.lower())
            if known:
                known["score"] += score.item()
            else:
                answers[text.lower()] = {"score": score.item(), "start": start, "end": end, "answer": text}
    return list(answers.values())


@dataclass(frozen=True)
class Example:
    """A question and where to look."""

    question: str
    context: str


class QuestionAnsweringPipeline(Pipeline):
    """The best answer, `{"score", "start", "end", "answer"}`, or a list of them with `top_k`.

    A long context is read in windows of `max_seq_len` tokens that overlap by `doc_stride`. Answers have at most
    `max_answer_len` tokens and grow to whole words with `align_to_words`; those that read alike are counted together.
    With `handle_impossible_answer` the empty answer competes. `padding` and `max_question_len` change no result here.
    """

    steps: ClassVar[bool] = False
    loader: ClassVar[str] = "AutoModelForQuestionAnswering"
    options = OPTIONS["question-answering"]
    ignored: ClassVar[tuple[str, ...]] = tuple(TOKENIZING)
    at_once: ClassVar[int] = 64  # examples; a long context is many rows

    def settle(self, settings: Settings, given: Mapping[str, Any]) -> Settings:
        old = "topk" in given and "top_k" not in given
        return settings.with_values(top_k=given["topk"]) if old else settings

    def __call__(
        self,
        *args: Any,
        question: Any = None,
        context: Any = None,
        X: Any = None,
        data: Any = None,
        batch_size: int | None = None,
        num_workers: int | None = None,
        **options: Any,
    ) -> Any:
        """Answers to a question, a list or a stream.

        `question=` and `context=` take strings or lists, and one context may serve all questions; or give a dictionary
        with those keys, an object with `question_text` and `context_text`, a list of either, or a stream.
        """
        whole = [value for value in (X, data) if value is not None]
        if not args and not whole:
            inputs: Any = self._paired(question, context)
        elif len(args) == 2 and all(isinstance(text, str) for text in args):
            inputs = [Example(*args)]
        elif len(args) > 1:
            inputs = list(args)
        else:
            inputs = gathered(args[0] if args else whole[0])
        if isinstance(inputs, list) and len(inputs) == 1 and not isinstance(inputs[0], list | tuple):
            inputs = inputs[0]
        if isinstance(inputs, str):
            raise PipelineError(f"{self.task} needs a context beside the question: pass question= and context=")
        return self._answer(inputs, self.resolve_options(options), batch_size)

    def _paired(self, question: Any, context: Any) -> list[Example]:
        for name, value in (("question", question), ("context", context)):
            if value is None:
                raise PipelineError(f"{self.task} needs a {name}: pass question= and context=, texts or lists of texts")
        question, context = gathered(question), gathered(context)
        questions = question if isinstance(question, list) else [question]
        if isinstance(context, list) and not isinstance(question, list):
            raise PipelineError(f"{self.task}: one question for a list of contexts; pass a list of questions as long")
        contexts = context if isinstance(context, list) else [context] * len(questions)
        if len(questions) != len(contexts):
            raise PipelineError(f"{self.task}: {len(questions)} questions for {len(contexts)} contexts; give as many")
        return [Example(*pair) for pair in zip(questions, contexts, strict=True)]

    def parse(self, item: Any, settings: Any) -> Example:
        if isinstance(item, Mapping):
            missing = [name for name in ("question", "context") if name not in item]
            if missing:
                raise PipelineError(
                    f'a dictionary input needs the keys "question" and "context"; {missing[0]!r} is missing'
                )
            item = Example(item["question"], item["context"])
        elif hasattr(item, "question_text") and hasattr(item, "context_text"):
            item = Example(item.question_text, item.context_text)
        if not isinstance(item, Example):
            raise PipelineError(
                f'expected a dictionary with the keys "question" and "context", not {type(item).__name__}'
            )
        checked_text(item.question, "the question")
        checked_text(item.context, "the context")
        return item

    def encode(self, items: Sequence[Example], settings: Any) -> list[list[Row]]:
        encoding, contexts = self._windows(items, settings)
        mark = self.tokenizer.cls_token_id
        groups: list[list[Row]] = [[] for _ in items]
        for number, (owner, context) in enumerate(zip(encoding["overflow_to_sample_mapping"], contexts, strict=True)):
            ids = np.array(encoding["input_ids"][number])
            # Models trained with unanswerable questions point at the first special token to say so.
            scored = context if mark is None else context | (ids == mark)
            memory = ContextWindow(context, scored, encoding["offset_mapping"][number], encoding.word_ids(number))
            groups[owner].append(model_row(self.tokenizer, encoding, number, memory))
        return groups

    def _windows(self, items: Sequence[Example], settings: Any) -> tuple[Any, list[Flags]]:
        limit = longest_row(self.model)
        length = settings.max_seq_len or min(self.tokenizer.model_max_length, LONGEST_WINDOW, limit or LONGEST_WINDOW)
        stride = min(length // 2, WIDEST_OVERLAP) if settings.doc_stride is None else settings.doc_stride
        if stride > length:
            raise PipelineError(f"{self.task}: doc_stride is {stride}, more than the {length} tokens of max_seq_len")
        questions, contexts = [item.question for item in items], [item.context for item in items]
        try:
            return tokenize_windows(self.tokenizer, questions, contexts, length, stride)
        except TokenizerError as error:
            longest = max(len(self.tokenizer(question)["input_ids"]) for question in questions)
            raise PipelineError(
                f"{self.task}: the longest question has {longest} tokens; windows of {length} that overlap by {stride} "
                "leave the context no room; shorten it, or pass a larger max_seq_len or a smaller doc_stride"
            ) from error

    def select(self, output: Any, batch: Batch, settings: Any) -> list[tuple[Scores, Scores]]:
        """Start and end logits of each row: [tokens] each."""
        starts = output.start_logits.float().cpu().numpy()
        ends = output.end_logits.float().cpu().numpy()
        return list(zip(batch.own(starts), batch.own(ends), strict=True))

    def answer(self, item: Example, rows: list[Row], found: list[tuple[Scores, Scores]], settings: Any) -> Any:
        # Spans that grow to the same words become one answer, so more are looked at than asked for.
        count = settings.top_k * 2 + 10 if settings.align_to_words else settings.top_k
        spans, nothing = [], []
        for row, (start, end) in zip(rows, found, strict=True):
            *own, none = row.memory.answers(start, end, count, settings.max_answer_len)
            spans.append((tuple(own), row.memory))
            nothing.append(none)
        answers = merge_answers(spans, item.context, settings.align_to_words)
        if settings.handle_impossible_answer:
            answers.append({**NO_ANSWER, "score": min(nothing)})
        answers = sorted(answers or [dict(NO_ANSWER)], key=lambda one: float(one["score"]), reverse=True)
        return answers[0] if len(answers[: settings.top_k]) == 1 else answers[: settings.top_k]
