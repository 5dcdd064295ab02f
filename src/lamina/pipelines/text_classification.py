"""Labels for a text or a pair of texts: those that a model was trained on, or any that the caller names."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import PipelineError, TokenizerError
from ..files.shown import shown
from ..inference.rows import Row, checked_text, encode_texts, gathered, truncation_length
from .base import Pipeline, Settings
from .options import OPTIONS, TOKENIZING

logger = logging.getLogger(__name__)

Scores = NDArray[np.floating[Any]]


def sigmoid(logits: Scores) -> Scores:
    """Each class on its own, between 0 and 1."""
    decay: Scores = np.exp(-np.abs(logits))
    return np.where(logits < 0, decay, 1) / (1 + decay)


def softmax(logits: Scores) -> Scores:
    """Shares of one, over the last axis."""
    shifted: Scores = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: Scores = shifted / shifted.sum(axis=-1, keepdims=True)
    return shares


FUNCTIONS: Mapping[str, Callable[[Scores], Scores]] = {
    "sigmoid": sigmoid,
    "softmax": softmax,
    "none": lambda logits: logits,
}


class TextClassificationPipeline(Pipeline):
    """Labels with scores: `[{"label": "POSITIVE", "score": 0.99}]`.

    `top_k` says how many labels (None: all), sorted; `function_to_apply` is "sigmoid", "softmax" or "none" (by default
    what the model's problem type asks for). Other options, such as `truncation`, go to the tokenizer. A pair of texts
    is `{"text": ..., "text_pair": ...}`.
    """

    loader: ClassVar[str] = "AutoModelForSequenceClassification"
    options = OPTIONS["text-classification"]

    def defaults(self) -> Settings:
        return super().defaults().with_values(legacy=True)  # until top_k is given: the answer's form before that option

    def resolve_options(self, options: Mapping[str, Any]) -> Any:
        if options.get("top_k") == "":  # the reference's word for "not said"
            options = {name: value for name, value in options.items() if name != "top_k"}
        return super().resolve_options(options)

    def settle(self, settings: Settings, given: Mapping[str, Any]) -> Settings:
        call = {name: value for name, value in given.items() if name in TOKENIZING}
        settings = settings.with_values(tokenizer={**settings.tokenizer, **call})
        every = given.get("return_all_scores", self.model.config.values().get("return_all_scores"))
        if "top_k" in given:
            return settings.with_values(legacy=False)
        return settings if every is None else settings.with_values(top_k=None if every else 1)

    def shaped(self, answer: Any, inputs: Any, options: Mapping[str, Any]) -> Any:
        """A single text gives a list with one dictionary; with `top_k` in the call, that many."""
        return [answer] if isinstance(inputs, str) and "top_k" not in options else answer

    def parse(self, item: Any, settings: Any) -> dict[str, str]:
        if isinstance(item, list) and len(item) == 1 and isinstance(item[0], list) and len(item[0]) == 2:
            item = {"text": item[0][0], "text_pair": item[0][1]}
        if isinstance(item, list):
            raise PipelineError(
                'a pair of texts is {"text": ..., "text_pair": ...}; a list inside a list is not an input'
            )
        if not isinstance(item, Mapping):
            return {"text": checked_text(item, empty=True)}
        if "text" not in item or set(item) - {"text", "text_pair"}:
            raise PipelineError(
                f'a dictionary input has the keys "text" and "text_pair", not {sorted(map(str, item))}; '
                "KeyDataset picks one column of a dataset"
            )
        return {
            name: checked_text(text, name, empty=True)
            for name, text in item.items()
            if name == "text" or text is not None
        }

    def encode(self, items: Sequence[dict[str, str]], settings: Any) -> list[list[Row]]:
        """One row for each text or pair, tokenized in two calls at most."""
        call = self.tokenizer_call(settings)
        rows: dict[int, Row] = {}
        for paired in (False, True):
            chosen = [number for number, item in enumerate(items) if ("text_pair" in item) is paired]
            if chosen:
                pairs = [items[number]["text_pair"] for number in chosen] if paired else None
                texts = [items[number]["text"] for number in chosen]
                rows.update(zip(chosen, encode_texts(self.tokenizer, texts, pairs, call), strict=True))
        return [[rows[number]] for number in range(len(items))]

    def answer(self, item: Any, rows: list[Row], found: list[Scores], settings: Any) -> Any:
        scores = FUNCTIONS[settings.function_to_apply or self._usual_function()](found[0])
        if settings.legacy and settings.top_k == 1:
            best = int(scores.argmax())
            return {"label": self.label(best), "score": scores[best].item()}
        answer = [{"label": self.label(number), "score": score.item()} for number, score in enumerate(scores)]
        if settings.legacy:
            return answer
        answer.sort(key=lambda label: label["score"], reverse=True)
        return answer[: settings.top_k]

    def _usual_function(self) -> str:
        """What turns logits into scores where the caller does not say: the kind of problem the model was trained on."""
        config = self.model.config
        if config.problem_type == "regression":
            return "none"
        if config.problem_type == "multi_label_classification" or config.num_labels == 1:
            return "sigmoid"
        return "softmax"


class ZeroShotClassificationPipeline(Pipeline):
    """Candidate labels sorted by score: `{"sequence": ..., "labels": [...], "scores": [...]}`.

    Each label, put into `hypothesis_template`, is a hypothesis that the text may entail. Scores are shares of one over
    the labels, or with `multi_label` each label's own chance against contradiction. A text too long is cut, the
    hypothesis never.
    """

    steps: ClassVar[bool] = False
    loader: ClassVar[str] = "AutoModelForSequenceClassification"
    options = OPTIONS["zero-shot-classification"]
    ignored: ClassVar[tuple[str, ...]] = tuple(TOKENIZING)
    at_once: ClassVar[int] = 32  # texts; each is as many rows as there are labels

    def defaults(self) -> Settings:
        if self.entailment_id == -1:
            logger.warning(
                "no label of this model's config starts with 'entail'; its last class is taken for entailment"
            )
        return super().defaults()

    @property
    def entailment_id(self) -> int:
        """The class that stands for "this follows", by its name; -1 where no name says so."""
        for label, number in self.model.config.label2id.items():
            if label.lower().startswith("entail"):
                return int(number)
        return -1

    def settle(self, settings: Settings, given: Mapping[str, Any]) -> Settings:
        if "hypothesis_template" in given:
            self._check_template(given["hypothesis_template"])
        return settings.with_values(multi_label=given["multi_class"]) if "multi_class" in given else settings

    def _check_template(self, template: str) -> None:
        try:
            filled = template.format("label")
        except (IndexError, KeyError, ValueError, AttributeError):
            filled = template
        if filled == template:
            raise PipelineError(
                f"{self.task}: hypothesis_template {shown(template)} needs one {{}} where the label goes"
            )

    def __call__(  # type: ignore[override]  # the reference calls its inputs `sequences`, and callers name them
        self, sequences: Any, *args: Any, batch_size: int | None = None, num_workers: int | None = None, **options: Any
    ) -> Any:
        """Sorted labels for a text, a list or a stream; `candidate_labels` may be the second argument."""
        if len(args) > 1 or (args and "candidate_labels" in options):
            raise PipelineError(
                f"{self.task} takes the texts and their candidate_labels, and nothing further by position"
            )
        if args:
            options["candidate_labels"] = args[0]
        settings = self.resolve_options(options)
        if settings.candidate_labels is None:
            raise PipelineError(f"{self.task} needs candidate_labels, as a list or as one string with commas")
        return self._answer(gathered(sequences), settings, batch_size)

    def parse(self, item: Any, settings: Any) -> str:
        return checked_text(item)

    def encode(self, items: Sequence[str], settings: Any) -> list[list[Row]]:
        """One row for each text and label."""
        labels = settings.candidate_labels or ()
        hypotheses = [settings.hypothesis_template.format(label) for label in labels]
        rows = self._pairs([item for item in items for _ in labels], hypotheses * len(items))
        return [rows[first : first + len(labels)] for first in range(0, len(rows), len(labels))]

    def _pairs(self, premises: list[str], hypotheses: list[str]) -> list[Row]:
        limit = truncation_length(self.tokenizer, self.model)
        if limit is None:
            return encode_texts(self.tokenizer, premises, hypotheses, {})
        try:
            return encode_texts(self.tokenizer, premises, hypotheses, {"truncation": "only_first", "max_length": limit})
        except TokenizerError as error:
            raise PipelineError(
                f"{self.task}: a hypothesis leaves no room for the text within {limit} tokens; shorten the "
                "candidate labels or the hypothesis_template"
            ) from error

    def answer(self, item: str, rows: list[Row], found: list[Scores], settings: Any) -> dict[str, Any]:
        """Labels from the likeliest down."""
        labels = settings.candidate_labels or ()
        logits: Scores = np.stack(found)  # [labels, classes]
        entailment = self.entailment_id
        if settings.multi_label or len(labels) == 1:
            contradiction = -1 if entailment == 0 else 0
            scores = softmax(logits[:, [contradiction, entailment]])[:, 1]
        else:
            scores = softmax(logits[:, entailment])
        order = scores.argsort()[::-1]
        return {"sequence": item, "labels": [labels[number] for number in order], "scores": scores[order].tolist()}
