"""One label, or scores of all labels, for a text or a pair of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from ..errors import PipelineError
from .base import Pipeline
from .checks import checked_text, checked_top_k
from .encoding import check_tokenizer_arguments, encode_inputs, tokenizer_call
from .rows import Batch, Row
from .scores import Scores, sigmoid, softmax
from .sources import gathered

FUNCTIONS = ("sigmoid", "softmax", "none")


@dataclass(frozen=True)
class TextClassificationSettings:
    """What a caller may ask of text classification."""

    top_k: int | None = 1
    legacy: bool = True  # top_k was never given: one dictionary, or unsorted scores, as before that argument
    function_to_apply: str | None = None
    tokenizer: Mapping[str, Any] = field(default_factory=dict)


class TextClassificationPipeline(Pipeline[TextClassificationSettings]):
    """Labels with scores: `[{"label": "POSITIVE", "score": 0.99}]`.

    `top_k` says how many labels (None: all), sorted; `function_to_apply` is "sigmoid", "softmax" or "none" (by default
    what the model's problem type asks for). Other options, such as `truncation`, go to the tokenizer. A pair of texts
    is `{"text": ..., "text_pair": ...}`.
    """

    kinds: ClassVar[tuple[str, ...]] = ("sequence-classification",)
    loader: ClassVar[str] = "AutoModelForSequenceClassification"

    def defaults(self) -> TextClassificationSettings:
        """One label, in the form that predates `top_k`."""
        return TextClassificationSettings()

    def settle(
        self,
        return_all_scores: bool | None = None,
        function_to_apply: str | None = None,
        top_k: int | str | None = "",
        **tokenizer_options: Any,
    ) -> TextClassificationSettings:
        """The settings with these options; `top_k=""` stands for not given, since None means all labels."""
        check_tokenizer_arguments(self.task, tokenizer_options, ("return_all_scores", "function_to_apply", "top_k"))
        settings = replace(self.settings, tokenizer={**self.settings.tokenizer, **tokenizer_options})
        if return_all_scores is None:
            return_all_scores = getattr(self.model.config, "return_all_scores", None)
        if top_k is None or isinstance(top_k, int):
            settings = replace(settings, top_k=checked_top_k(self.task, top_k), legacy=False)
        elif top_k != "":
            raise PipelineError(f"{self.task}: top_k is {top_k!r}; it must be a whole number, or None for all labels")
        elif return_all_scores is not None:
            settings = replace(settings, top_k=None if return_all_scores else 1)
        if function_to_apply is not None:
            settings = replace(settings, function_to_apply=self._function(function_to_apply))
        return settings

    def __call__(
        self, inputs: Any, *, batch_size: int | None = None, num_workers: int | None = None, **options: Any
    ) -> Any:
        """Labels for a text, a pair, a list or a stream of them.

        A single text gives a list with one dictionary; with `top_k` in the call, that many.
        """
        inputs = gathered(inputs)
        answer = super().__call__(inputs, batch_size=batch_size, num_workers=num_workers, **options)
        return [answer] if isinstance(inputs, str) and "top_k" not in options else answer

    def parse(self, item: Any, settings: TextClassificationSettings) -> dict[str, str]:
        """A text, or a pair given as a dictionary or as [[text, pair]]."""
        if isinstance(item, list) and len(item) == 1 and isinstance(item[0], list) and len(item[0]) == 2:
            item = {"text": item[0][0], "text_pair": item[0][1]}
        if isinstance(item, list):
            raise PipelineError('a pair of texts is {"text": ..., "text_pair": ...}; a list inside a list is no input')
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

    def encode(self, items: Sequence[dict[str, str]], settings: TextClassificationSettings) -> list[list[Row]]:
        """One row for each input."""
        call = tokenizer_call(self.tokenizer, self.model, settings.tokenizer)
        return [[row] for row in encode_inputs(self.tokenizer, items, call)]

    def select(self, output: Any, batch: Batch, settings: TextClassificationSettings) -> list[Scores]:
        """The logits of each row: [labels]."""
        return list(output.logits.float().cpu().numpy())[: len(batch.rows)]

    def answer(
        self, item: Any, rows: list[Row], found: list[Scores], settings: TextClassificationSettings
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """Labels and scores, in the form that the settings ask for."""
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

    def _function(self, name: Any) -> str:
        chosen = str(getattr(name, "value", name)).lower()
        if chosen not in FUNCTIONS:
            raise PipelineError(f"{self.task}: function_to_apply is {name!r}; it must be one of {', '.join(FUNCTIONS)}")
        return chosen

    def _scores(self, logits: Scores, function: str) -> Scores:
        if function == "none":
            return logits
        return sigmoid(logits) if function == "sigmoid" else softmax(logits)
