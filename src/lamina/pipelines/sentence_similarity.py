"""How alike sentences are, and the vectors that say so, as the folder of a sentence model wants them made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from tokenizers.normalizers import Lowercase
from torch import Tensor

from ..errors import PipelineError
from ..inference.batching import windows
from .base import Pipeline
from .checks import checked_text
from .encoding import encode_texts
from .limits import UNLIMITED, longest_row
from .rows import Batch, Row
from .sentence_modules import SIMILARITIES, SentenceModel
from .sources import gathered, rows_of


@dataclass(frozen=True)
class SentenceSimilaritySettings:
    """What a caller may ask of sentence similarity."""

    sentence: SentenceModel = field(default_factory=SentenceModel)
    prompt: str = ""


class SentenceSimilarityPipeline(Pipeline[SentenceSimilaritySettings]):
    """Similarities of a source sentence with others, `[0.9, 0.1]`, as the model pages of the Hub show them.

    Vectors are made and compared as the model's folder says (`modules.json` and the files beside it), or by the mean
    over its tokens and their cosine; `sentence` says otherwise. `prompt` stands before every text, or `prompt_name`
    names one that the folder stores; without either its default does. A sentence too long is cut off. `embed` gives
    the vectors themselves.
    """

    steps: ClassVar[bool] = False

    def defaults(self) -> SentenceSimilaritySettings:
        """Mean pooling, cosines, no prompt."""
        return SentenceSimilaritySettings()

    def settle(
        self, sentence: SentenceModel | None = None, prompt: str | None = None, prompt_name: str | None = None
    ) -> SentenceSimilaritySettings:
        """The settings with these options."""
        settings = self.settings
        if sentence is not None:
            settings = replace(settings, sentence=sentence, prompt=sentence.prompt())
        if prompt is not None:
            checked_text(prompt, "prompt", empty=True)
        if prompt is None and prompt_name is None:
            return settings
        return replace(settings, prompt=settings.sentence.prompt(prompt, prompt_name))

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
            inputs = {"source_sentence": source_sentence if inputs is None else inputs, "sentences": sentences}
        return self._answer(gathered(inputs), self._settled(options), batch_size)

    def embed(
        self,
        texts: str | Iterable[str],
        batch_size: int | None = None,
        *,
        prompt: str | None = None,
        prompt_name: str | None = None,
    ) -> Tensor:
        """The vectors of texts, [texts, hidden]; of a single text, [hidden]. `prompt` as for the pipeline."""
        settings = self.settle(prompt=prompt, prompt_name=prompt_name)
        alone = isinstance(texts, str)
        source = [texts] if alone else gathered(texts)
        if isinstance(source, list):  # whatever is wrong with a text is said before any other is computed
            source = [_checked(text, number) for number, text in enumerate(source)]
        vectors: list[Tensor] = []
        for run in windows(rows_of(source), self.window):
            names = [f"text {len(vectors) + place}: " for place in range(len(run))]
            items = [[_checked(text, len(vectors) + place)] for place, text in enumerate(run)]
            found = self._found(items, names, settings, batch_size or self.batch_size)
            vectors += [vector for _, _, (vector,) in found]
        stacked = torch.stack(vectors) if vectors else torch.empty(0)
        return stacked[0] if alone else stacked

    def parse(self, item: Any, settings: SentenceSimilaritySettings) -> list[str]:
        """The source sentence and, after it, the others."""
        if not isinstance(item, Mapping) or "source_sentence" not in item or "sentences" not in item:
            raise PipelineError("pass source_sentence= and sentences=, or a dictionary with these keys")
        others = gathered(item["sentences"])
        if not isinstance(others, list) or not others:
            raise PipelineError("sentences must be a list of at least one string")
        named = [checked_text(text, f"sentence {number}", empty=True) for number, text in enumerate(others)]
        return [checked_text(item["source_sentence"], "source_sentence", empty=True), *named]

    def encode(self, items: Sequence[list[str]], settings: SentenceSimilaritySettings) -> list[list[Row]]:
        """One row for each sentence; its memory is how many tokens of the prompt are not to count."""
        call = self._call(settings)
        texts = [self.led(text, settings) for item in items for text in item]
        before = self._prompt_tokens(settings)
        rows = (replace(row, memory=before) for row in encode_texts(self.tokenizer, texts, None, call))
        return [[next(rows) for _ in item] for item in items]

    def _call(self, settings: SentenceSimilaritySettings) -> dict[str, Any]:
        limit = self.longest_text(settings)
        return {} if limit is None else {"truncation": True, "max_length": limit}

    def led(self, text: str, settings: SentenceSimilaritySettings) -> str:
        """A text as the tokenizer gets it: after its prompt, and in lower case where the folder says so."""
        text = settings.prompt + text
        return self._lower(text) if settings.sentence.lower_case else text

    def _lower(self, text: str) -> str:
        """A text in lower case, special tokens left as they are."""
        marks = [token for token in self.tokenizer.all_special_tokens if token != token.lower()]
        mark = next((mark for mark in marks if mark in text), None)
        if mark is not None:
            return mark.join(self._lower(part) for part in text.split(mark))
        lowered: str = Lowercase().normalize_str(text)
        return lowered

    def _prompt_tokens(self, settings: SentenceSimilaritySettings) -> int:
        """Tokens that a row begins with and that are not to count, since its prompt is not."""
        if not settings.prompt or settings.sentence.counts_prompt:
            return 0
        ids = self.tokenizer(self.led("", settings), **self._call(settings))["input_ids"]
        return len(ids) - (ids[-1] in self.tokenizer.all_special_ids)

    def longest_text(self, settings: SentenceSimilaritySettings) -> int | None:
        """Tokens that are read of a sentence; None: all of them."""
        said = settings.sentence.max_length
        if said is None and self.tokenizer.model_max_length < UNLIMITED:
            said = int(self.tokenizer.model_max_length)
        return min((length for length in (said, longest_row(self.model)) if length is not None), default=None)

    def select(self, output: Any, batch: Batch, settings: SentenceSimilaritySettings) -> list[Tensor]:
        """The vector of each row: [hidden]."""
        states = batch.own(output[0].float())
        return [settings.sentence.vector(own, row.memory).cpu() for own, row in zip(states, batch.rows, strict=False)]

    def answer(
        self, item: list[str], rows: list[Row], found: list[Tensor], settings: SentenceSimilaritySettings
    ) -> list[float]:
        """Similarities of the first vector with all others."""
        source, others = found[0], torch.stack(found[1:])
        similarities: list[float] = SIMILARITIES[settings.sentence.similarity](source, others).tolist()
        return similarities


def _checked(text: Any, number: int) -> str:
    return checked_text(text, f"text {number}", empty=True)
