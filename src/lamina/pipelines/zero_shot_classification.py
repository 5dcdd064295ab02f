"""Any labels for a text, judged by a model that knows what follows from what."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ..errors import PipelineError, TokenizerError
from ..files.shown import shown
from .base import Pipeline, Settings
from .options import OPTIONS, TOKENIZING
from .rows import Batch, Row, checked_text, encode_texts, gathered, truncation_length
from .text_classification import Scores, softmax

logger = logging.getLogger(__name__)


class ZeroShotClassificationPipeline(Pipeline):
    """Candidate labels sorted by score: `{"sequence": ..., "labels": [...], "scores": [...]}`.

    Each label, put into `hypothesis_template`, is a hypothesis that the text may entail. Scores are shares of one over
    the labels, or with `multi_label` each label's own chance against contradiction. A text too long is cut, the
    hypothesis never.
    """

    steps: ClassVar[bool] = False
    kinds: ClassVar[tuple[str, ...]] = ("sequence-classification",)
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

    def select(self, output: Any, batch: Batch, settings: Any) -> list[Scores]:
        """The logits of each row: [classes]."""
        return list(output.logits.float().cpu().numpy())[: len(batch.rows)]

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
