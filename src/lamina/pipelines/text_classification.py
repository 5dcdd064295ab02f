"""One label, or scores of all labels, for a text or a pair of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import PipelineError
from .base import Pipeline, Settings
from .options import OPTIONS, TOKENIZING
from .rows import Batch, Row, checked_text, encode_texts, gathered, tokenizer_call

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


class TextClassificationPipeline(Pipeline):
    """Labels with scores: `[{"label": "POSITIVE", "score": 0.99}]`.

    `top_k` says how many labels (None: all), sorted; `function_to_apply` is "sigmoid", "softmax" or "none" (by default
    what the model's problem type asks for). Other options, such as `truncation`, go to the tokenizer. A pair of texts
    is `{"text": ..., "text_pair": ...}`.
    """

    kinds: ClassVar[tuple[str, ...]] = ("sequence-classification",)
    loader: ClassVar[str] = "AutoModelForSequenceClassification"
    options = OPTIONS["text-classification"]

    def defaults(self) -> Settings:
        return super().defaults().with_values(legacy=True)  # until top_k is given: the answer's form before that option

    def resolve_options(self, options: Mapping[str, Any]) -> Any:
        return super().resolve_options(
            {name: value for name, value in options.items() if (name, value) != ("top_k", "")}
        )

    def settle(self, settings: Settings, given: Mapping[str, Any]) -> Settings:
        call = {name: value for name, value in given.items() if name in TOKENIZING}
        settings = settings.with_values(tokenizer={**settings.tokenizer, **call})
        every = given.get("return_all_scores", getattr(self.model.config, "return_all_scores", None))
        if "top_k" in given:
            return settings.with_values(legacy=False)
        return settings if every is None else settings.with_values(top_k=None if every else 1)

    def __call__(
        self, inputs: Any, *, batch_size: int | None = None, num_workers: int | None = None, **options: Any
    ) -> Any:
        """Labels for a text, a pair, a list or a stream of them.

        A single text gives a list with one dictionary; with `top_k` in the call, that many.
        """
        inputs = gathered(inputs)
        answer = super().__call__(inputs, batch_size=batch_size, num_workers=num_workers, **options)
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
        call = tokenizer_call(self.tokenizer, self.model, settings.tokenizer)
        rows: dict[int, Row] = {}
        for paired in (False, True):
            chosen = [number for number, item in enumerate(items) if ("text_pair" in item) is paired]
            if chosen:
                pairs = [items[number]["text_pair"] for number in chosen] if paired else None
                texts = [items[number]["text"] for number in chosen]
                rows.update(zip(chosen, encode_texts(self.tokenizer, texts, pairs, call), strict=True))
        return [[rows[number]] for number in range(len(items))]

    def select(self, output: Any, batch: Batch, settings: Any) -> list[Scores]:
        """The logits of each row: [labels]."""
        return list(output.logits.float().cpu().numpy())[: len(batch.rows)]

    def answer(self, item: Any, rows: list[Row], found: list[Scores], settings: Any) -> Any:
        scores = self._scores(found[0], settings.function_to_apply or self._usual_function())
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

    def _scores(self, logits: Scores, function: str) -> Scores:
        if function == "none":
            return logits
        return sigmoid(logits) if function == "sigmoid" else softmax(logits)
