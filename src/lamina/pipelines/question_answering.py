"""The span of a context that answers a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ..errors import PipelineError, TokenizerError
from .answers import ContextWindow, Spans, best_spans, merge_answers
from .base import Pipeline
from .checks import checked_count, checked_text
from .encoding import TOKENIZER_ARGUMENTS, model_row
from .limits import longest_row
from .rows import Batch, Row
from .scores import Scores
from .sources import gathered

LONGEST_WINDOW = 384  # tokens of question and context, as in the SQuAD recipes these models come from
WIDEST_OVERLAP = 128
NO_ANSWER = {"score": 0.0, "start": 0, "end": 0, "answer": ""}


@dataclass(frozen=True)
class QuestionAnsweringSettings:
    """What a caller may ask of question answering."""

    top_k: int = 1
    max_answer_len: int = 15
    handle_impossible_answer: bool = False
    align_to_words: bool = True
    doc_stride: int | None = None
    max_seq_len: int | None = None


@dataclass(frozen=True)
class Example:
    """A question and where to look."""

    question: str
    context: str


class QuestionAnsweringPipeline(Pipeline[QuestionAnsweringSettings]):
    """The best answer, `{"score", "start", "end", "answer"}`, or a list of them with `top_k`.

    A long context is read in windows of `max_seq_len` tokens that overlap by `doc_stride`. Answers have at most
    `max_answer_len` tokens and grow to whole words with `align_to_words`; those that read alike are counted together.
    With `handle_impossible_answer` the empty answer competes. `padding` and `max_question_len` change no result here.
    """

    steps: ClassVar[bool] = False
    kinds: ClassVar[tuple[str, ...]] = ("question-answering",)
    loader: ClassVar[str] = "AutoModelForQuestionAnswering"
    ignored: ClassVar[tuple[str, ...]] = TOKENIZER_ARGUMENTS
    window: ClassVar[int] = 64  # examples; a long context is many rows

    def defaults(self) -> QuestionAnsweringSettings:
        """One answer, which must exist."""
        return QuestionAnsweringSettings()

    def settle(
        self,
        padding: Any = None,
        topk: int | None = None,
        top_k: int | None = None,
        doc_stride: int | None = None,
        max_answer_len: int | None = None,
        max_seq_len: int | None = None,
        max_question_len: int | None = None,
        handle_impossible_answer: bool | None = None,
        align_to_words: bool | None = None,
    ) -> QuestionAnsweringSettings:
        """The settings with these options; `topk` is the older name of `top_k`."""
        counts = {
            "top_k": topk if top_k is None else top_k,
            "max_answer_len": max_answer_len,
            "max_seq_len": max_seq_len,
            "doc_stride": doc_stride,
        }
        given: dict[str, Any] = {
            name: checked_count(self.task, name, count, 0 if name == "doc_stride" else 1)
            for name, count in counts.items()
            if count is not None
        }
        if handle_impossible_answer is not None:
            given["handle_impossible_answer"] = handle_impossible_answer
        if align_to_words is not None:
            given["align_to_words"] = align_to_words
        return replace(self.settings, **given)

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
        named = {name: value for name, value in (("X", X), ("data", data)) if value is not None}
        if not args and not named:
            inputs: Any = self._paired(question, context)
        elif len(args) == 2 and all(isinstance(text, str) for text in args):
            inputs = [Example(*args)]
        elif len(args) > 1:
            inputs = list(args)
        else:
            inputs = gathered(args[0] if args else next(iter(named.values())))
        if isinstance(inputs, list) and len(inputs) == 1 and not isinstance(inputs[0], list | tuple):
            inputs = inputs[0]
        if isinstance(inputs, str):
            raise PipelineError(f"{self.task} needs a context beside the question: pass question= and context=")
        return self._answer(inputs, self._settled(options), batch_size)

    def _paired(self, question: Any, context: Any) -> list[Example]:
        """Questions with their contexts."""
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

    def parse(self, item: Any, settings: QuestionAnsweringSettings) -> Example:
        """A dictionary or object with a question and a context."""
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

    def encode(self, items: Sequence[Example], settings: QuestionAnsweringSettings) -> list[list[Row]]:
        """One row for each window of each context."""
        question_first = self.tokenizer.padding_side == "right"
        encoding = self._tokenized(items, settings, question_first)
        mark = self.tokenizer.cls_token_id
        groups: list[list[Row]] = [[] for _ in items]
        for number, owner in enumerate(encoding["overflow_to_sample_mapping"]):
            sequences = encoding.sequence_ids(number)
            context = np.array([sequence == int(question_first) for sequence in sequences])
            ids = np.array(encoding["input_ids"][number])
            # Models trained with unanswerable questions point at the first special token to say so.
            scored = context if mark is None else context | (ids == mark)
            memory = ContextWindow(context, scored, encoding["offset_mapping"][number], encoding.word_ids(number))
            groups[owner].append(model_row(self.tokenizer, encoding, number, memory))
        return groups

    def _tokenized(self, items: Sequence[Example], settings: QuestionAnsweringSettings, question_first: bool) -> Any:
        """Questions and contexts in windows, the context being the one that is cut."""
        room = longest_row(self.model)
        length = settings.max_seq_len or min(self.tokenizer.model_max_length, LONGEST_WINDOW, room or LONGEST_WINDOW)
        stride = min(length // 2, WIDEST_OVERLAP) if settings.doc_stride is None else settings.doc_stride
        if stride > length:
            raise PipelineError(f"{self.task}: doc_stride is {stride}, more than the {length} tokens of max_seq_len")
        questions, contexts = [item.question for item in items], [item.context for item in items]
        try:
            return self.tokenizer(
                questions if question_first else contexts,
                contexts if question_first else questions,
                truncation="only_second" if question_first else "only_first",
                max_length=length,
                stride=stride,
                return_overflowing_tokens=True,
                return_offsets_mapping=True,
            )
        except TokenizerError as error:
            longest = max(len(self.tokenizer(question)["input_ids"]) for question in questions)
            raise PipelineError(
                f"{self.task}: the longest question has {longest} tokens; windows of {length} that overlap by {stride} "
                "leave the context no room; shorten it, or pass a larger max_seq_len or a smaller doc_stride"
            ) from error

    def select(self, output: Any, batch: Batch, settings: QuestionAnsweringSettings) -> list[tuple[Scores, Scores]]:
        """Start and end logits of each row: [tokens] each."""
        starts = output.start_logits.float().cpu().numpy()
        ends = output.end_logits.float().cpu().numpy()
        return list(zip(batch.own(starts), batch.own(ends), strict=True))

    def answer(
        self, item: Example, rows: list[Row], found: list[tuple[Scores, Scores]], settings: QuestionAnsweringSettings
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """The best answers of all windows."""
        # Spans that grow to the same words become one answer, so more are looked at than asked for.
        count = settings.top_k * 2 + 10 if settings.align_to_words else settings.top_k
        spans: list[Spans] = [
            best_spans(*logits, row.memory, count, settings.max_answer_len)
            for row, logits in zip(rows, found, strict=True)
        ]
        windows = zip(spans, (row.memory for row in rows), strict=True)
        answers = merge_answers(windows, item.context, settings.align_to_words)
        if settings.handle_impossible_answer:
            answers.append({**NO_ANSWER, "score": min(window.nothing for window in spans)})
        answers = sorted(answers or [dict(NO_ANSWER)], key=_score, reverse=True)[: settings.top_k]
        return answers[0] if len(answers) == 1 else answers


def _score(answer: Mapping[str, Any]) -> float:
    return float(answer["score"])
