"""How alike sentences are, by the angle between their vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..errors import PipelineError
from ..inference.batching import windows
from .base import Pipeline
from .checks import checked_text
from .encoding import encode_texts
from .limits import truncation_length
from .pooling import MEAN, Pooling
from .rows import Batch, Row


@dataclass(frozen=True)
class SentenceSimilaritySettings:
    """What a caller may ask of sentence similarity."""

    pooling: Pooling = MEAN


class SentenceSimilarityPipeline(Pipeline[SentenceSimilaritySettings]):
    """Cosine similarities of a source sentence with others, `[0.9, 0.1]`, as the model pages of the Hub show them.

    Vectors are made as the model's folder says (`modules.json`), or by the mean over its tokens; `pooling` says
    otherwise. A sentence too long is cut off. `embed` gives the vectors themselves.
    """

    steps: ClassVar[bool] = False

    def defaults(self) -> SentenceSimilaritySettings:
        """Mean pooling."""
        return SentenceSimilaritySettings()

    def settle(self, pooling: Pooling | None = None) -> SentenceSimilaritySettings:
        """The settings with these options."""
        return self.settings if pooling is None else replace(self.settings, pooling=pooling)

    def __call__(
        self,
        inputs: Any = None,
        *,
        source_sentence: str | None = None,
        sentences: Sequence[str] | None = None,
        batch_size: int | None = None,
        num_workers: int | None = None,
        **options: Any,
    ) -> Any:
        """Similarities for one `source_sentence` and its `sentences`, or for a dictionary, list or stream of such."""
        if inputs is None or isinstance(inputs, str):
            inputs = {"source_sentence": inputs or source_sentence, "sentences": sentences}
        return self._answer(inputs, self._settled(options), batch_size)

    def embed(self, texts: str | Sequence[str], batch_size: int | None = None) -> Tensor:
        """The vectors of texts, [texts, hidden]; of a single text, [hidden]."""
        alone = isinstance(texts, str)
        vectors = []
        for run in windows([texts] if alone else texts, self.window):
            items = [[checked_text(text)] for text in run]
            found = self._found(items, [""] * len(items), self.settings, batch_size or self.batch_size)
            vectors += [vector for _, _, (vector,) in found]
        stacked = torch.stack(vectors)
        return stacked[0] if alone else stacked

    def parse(self, item: Any, settings: SentenceSimilaritySettings) -> list[str]:
        """The source sentence and, after it, the others."""
        if not isinstance(item, Mapping) or "source_sentence" not in item or "sentences" not in item:
            raise PipelineError("pass source_sentence= and sentences=, or a dictionary with these keys")
        others = item["sentences"]
        if not isinstance(others, list | tuple) or not others:
            raise PipelineError("sentences must be a list of at least one string")
        named = [checked_text(text, f"sentence {number}") for number, text in enumerate(others)]
        return [checked_text(item["source_sentence"], "source_sentence"), *named]

    def encode(self, items: Sequence[list[str]], settings: SentenceSimilaritySettings) -> list[list[Row]]:
        """One row for each sentence."""
        limit = self.longest_text(settings)
        call = {} if limit is None else {"truncation": True, "max_length": limit}
        rows = iter(encode_texts(self.tokenizer, [text for item in items for text in item], None, call))
        return [[next(rows) for _ in item] for item in items]

    def longest_text(self, settings: SentenceSimilaritySettings) -> int | None:
        """Tokens that are read of a sentence; None: all of them."""
        limit = truncation_length(self.tokenizer, self.model)
        lengths = [length for length in (limit, settings.pooling.max_length) if length is not None]
        return min(lengths, default=None)

    def select(self, output: Any, batch: Batch, settings: SentenceSimilaritySettings) -> list[Tensor]:
        """The vector of each row: [hidden]."""
        return [settings.pooling(states).cpu() for states in batch.own(output[0].float())]

    def answer(
        self, item: list[str], rows: list[Row], found: list[Tensor], settings: SentenceSimilaritySettings
    ) -> list[float]:
        """Cosines of the first vector with all others."""
        source, others = found[0], torch.stack(found[1:])
        similarities: list[float] = torch.nn.functional.cosine_similarity(source[None], others).tolist()
        return similarities
