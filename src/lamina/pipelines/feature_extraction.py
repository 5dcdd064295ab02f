"""Hidden states of a text, for whatever is built on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch

from ..errors import PipelineError
from .base import Pipeline
from .checks import checked_text
from .encoding import TOKENIZER_ARGUMENTS, check_tokenizer_arguments, encode_texts, tokenizer_call
from .rows import Batch, Row


@dataclass(frozen=True)
class FeatureExtractionSettings:
    """What a caller may ask of feature extraction."""

    tensors: bool = False
    tokenizer: Mapping[str, Any] = field(default_factory=dict)


class FeatureExtractionPipeline(Pipeline[FeatureExtractionSettings]):
    """The model's first output for a text as a nested list, [1][tokens][hidden].

    `return_tensors=True` gives a tensor instead; `truncation` and `tokenize_kwargs` go to the tokenizer.
    """

    ignored: ClassVar[tuple[str, ...]] = TOKENIZER_ARGUMENTS
    window: ClassVar[int] = 32  # whole hidden states are held until their turn comes

    def defaults(self) -> FeatureExtractionSettings:
        """Nested lists, nothing cut off."""
        return FeatureExtractionSettings()

    def settle(
        self,
        truncation: bool | str | None = None,
        tokenize_kwargs: Mapping[str, Any] | None = None,
        return_tensors: bool | None = None,
    ) -> FeatureExtractionSettings:
        """The settings with these options."""
        given = dict(tokenize_kwargs or {})
        check_tokenizer_arguments(self.task, given)
        if truncation is not None:
            if "truncation" in given:
                raise PipelineError(f"{self.task}: truncation is given twice, by itself and in tokenize_kwargs")
            given["truncation"] = truncation
        settings = replace(self.settings, tokenizer={**self.settings.tokenizer, **given})
        return settings if return_tensors is None else replace(settings, tensors=bool(return_tensors))

    def parse(self, item: Any, settings: FeatureExtractionSettings) -> str:
        """A text."""
        return checked_text(item, empty=True)

    def encode(self, items: Sequence[str], settings: FeatureExtractionSettings) -> list[list[Row]]:
        """One row for each text."""
        call = tokenizer_call(self.tokenizer, self.model, settings.tokenizer)
        return [[row] for row in encode_texts(self.tokenizer, items, None, call)]

    def select(self, output: Any, batch: Batch, settings: FeatureExtractionSettings) -> list[torch.Tensor]:
        """The first output of each row: [tokens, hidden], or what a head makes of the row."""
        first = output[0].cpu()
        return batch.own(first) if batch.per_token(first) else list(first[: len(batch.rows)])

    def answer(
        self, item: str, rows: list[Row], found: list[torch.Tensor], settings: FeatureExtractionSettings
    ) -> torch.Tensor | list[Any]:
        """The features under a leading axis of one."""
        features = found[0][None]
        # A copy made here can be trained on, which a tensor of inference mode cannot.
        return features.clone() if settings.tensors else features.tolist()
