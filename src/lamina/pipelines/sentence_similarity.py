"""Vectors of texts: how alike sentences are, the vectors that say so, and the states of single tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

import torch
from tokenizers.normalizers import Lowercase
from torch import Tensor

from ..errors import PipelineError
from .base import Pipeline, Settings
from .options import OPTIONS, TOKENIZING, Option
from .rows import (
    UNLIMITED,
    AdvisedError,
    Batch,
    Row,
    checked_text,
    encode_texts,
    gathered,
    longest_row,
    tokenizer_call,
)
from .sentence_modules import SIMILARITIES, SentenceModel


class SentenceSimilarityPipeline(Pipeline):
    """Similarities of a source sentence with others, `[0.9, 0.1]`, as the model pages of the Hub show them.

    Vectors are made and compared as the model's folder says (`modules.json` and the files beside it), or by the mean
    over its tokens and their cosine; `sentence` says otherwise. `prompt` stands before every text, or `prompt_name`
    names one that the folder stores; without either its default does. A sentence too long is cut off. `embed` gives
    the vectors themselves.
    """

    steps: ClassVar[bool] = False
    options = OPTIONS["sentence-similarity"]
    selected_by: ClassVar[tuple[str, ...]] = ("sentence",)

    def defaults(self) -> Settings:
        return super().defaults().with_values(sentence=SentenceModel(), prompt="")

    def settle(self, settings: Settings, given: Mapping[str, Any]) -> Settings:
        if "prompt" in given or "prompt_name" in given:
            prompt = settings.sentence.prompt(given.get("prompt"), given.get("prompt_name"))
            return settings.with_values(prompt=prompt)
        return settings.with_values(prompt=settings.sentence.prompt()) if "sentence" in given else settings

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
        return self._answer(gathered(inputs), self.resolve_options(options), batch_size)

    def embed(
        self,
        texts: str | Iterable[str],
        batch_size: int | None = None,
        *,
        prompt: str | None = None,
        prompt_name: str | None = None,
    ) -> Tensor:
        """The vectors of texts, [texts, hidden]; of a single text, [hidden]. `prompt` as for the pipeline."""
        found = self.embedding(texts, batch_size=batch_size or self.batch_size, prompt=prompt, prompt_name=prompt_name)
        if isinstance(texts, str):
            vector: Tensor = found
            return vector
        vectors = list(found)
        return torch.stack(vectors) if vectors else torch.empty(0)

    @cached_property
    def embedding(self) -> EmbeddingPipeline:
        """The pipeline that makes the vectors of single texts as this one does."""
        made = EmbeddingPipeline(self.model, self.tokenizer, task=self.task, device=self.device)
        made.settings = made.settings.with_values(**vars(self.settings))
        return made

    def parse(self, item: Any, settings: Any) -> list[str]:
        if not isinstance(item, Mapping) or "source_sentence" not in item or "sentences" not in item:
            raise PipelineError("pass source_sentence= and sentences=, or a dictionary with these keys")
        others = gathered(item["sentences"])
        if not isinstance(others, list) or not others:
            raise PipelineError("sentences must be a list of at least one string")
        named = [checked_text(text, f"sentence {number}", empty=True) for number, text in enumerate(others)]
        return [checked_text(item["source_sentence"], "source_sentence", empty=True), *named]

    def encode(self, items: Sequence[list[str]], settings: Any) -> list[list[Row]]:
        """One row for each sentence; its memory is how many tokens of the prompt are not to count."""
        call = self._call(settings)
        texts = [self.with_prompt(text, settings) for item in items for text in item]
        before = self._prompt_tokens(settings)
        rows = (replace(row, memory=before) for row in encode_texts(self.tokenizer, texts, None, call))
        return [[next(rows) for _ in item] for item in items]

    def _call(self, settings: Any) -> dict[str, Any]:
        limit = self.longest_text(settings)
        return {} if limit is None else {"truncation": True, "max_length": limit}

    def with_prompt(self, text: str, settings: Any) -> str:
        """A text as the tokenizer gets it: after its prompt, and in lower case where the folder says so."""
        text = settings.prompt + text
        return self._lower(text) if settings.sentence.lower_case else text

    def _lower(self, text: str) -> str:
        marks = [token for token in self.tokenizer.all_special_tokens if token != token.lower()]
        mark = next((mark for mark in marks if mark in text), None)
        if mark is not None:
            return mark.join(self._lower(part) for part in text.split(mark))
        lowered: str = Lowercase().normalize_str(text)
        return lowered

    def _prompt_tokens(self, settings: Any) -> int:
        """Tokens that a row begins with and that are not to count, since its prompt is not."""
        if not settings.prompt or settings.sentence.counts_prompt:
            return 0
        ids = self.tokenizer(self.with_prompt("", settings), **self._call(settings))["input_ids"]
        return len(ids) - (ids[-1] in self.tokenizer.all_special_ids)

    def longest_text(self, settings: Any) -> int | None:
        """Tokens that are read of a sentence; None: all of them."""
        said = settings.sentence.max_length
        if said is None and self.tokenizer.model_max_length < UNLIMITED:
            said = int(self.tokenizer.model_max_length)
        return min((length for length in (said, longest_row(self.model)) if length is not None), default=None)

    def select(self, output: Any, batch: Batch, settings: Any) -> list[Tensor]:
        states = batch.own(output[0].float())
        return [settings.sentence.vector(own, row.memory).cpu() for own, row in zip(states, batch.rows, strict=False)]

    def answer(self, item: list[str], rows: list[Row], found: list[Tensor], settings: Any) -> Any:
        source, others = found[0], torch.stack(found[1:])
        return SIMILARITIES[settings.sentence.similarity](source, others).tolist()


class EmbeddingPipeline(SentenceSimilarityPipeline):
    """The vectors themselves: texts in, [hidden] out. `truncate` False refuses a text that is too long."""

    options: ClassVar[Mapping[str, Option]] = {
        **OPTIONS["sentence-similarity"],
        "truncate": Option("Cut off a text too long for the model.", default=True),
    }

    def __call__(  # type: ignore[override]  # there is no source sentence
        self, inputs: Any, *, batch_size: int | None = None, num_workers: int | None = None, **options: Any
    ) -> Any:
        return self._answer(gathered(inputs), self.resolve_options(options), batch_size)

    def parse(self, item: Any, settings: Any) -> list[str]:
        return [checked_text(item, empty=True)]

    def _encoded(self, parsed: Sequence[list[str]], names: Sequence[str], settings: Any) -> list[list[Row]]:
        limit = self.longest_text(settings)
        if not settings.truncate and limit is not None:
            texts = [self.with_prompt(text, settings) for (text,) in parsed]
            for name, ids in zip(names, self.tokenizer(texts, verbose=False)["input_ids"], strict=True):
                if len(ids) > limit:
                    what = f"{name}the text has {len(ids)} tokens and the model reads {limit} at most"
                    raise AdvisedError(what, ("truncation", True, "to cut it off"))
        return super()._encoded(parsed, names, settings)

    def answer(self, item: list[str], rows: list[Row], found: list[Tensor], settings: Any) -> Tensor:
        return found[0]

    @property
    def limit(self) -> int | None:
        """Tokens of a text that are read; None: all of them."""
        return self.longest_text(self.settings)

    def room(self, settings: Any) -> int | None:
        """The same without special tokens and those of the prompt."""
        limit = self.longest_text(settings)
        if limit is None:
            return None
        prompt = self.tokenizer(settings.prompt, add_special_tokens=False)["input_ids"]
        return max(limit - self.tokenizer.num_special_tokens_to_add() - len(prompt), 1)

    @property
    def pooling(self) -> str:
        """The pooling, as text-embeddings-inference calls it."""
        modes = self.settings.sentence.pooling
        return "+".join("last_token" if mode == "lasttoken" else mode for mode in modes)


class FeatureExtractionPipeline(Pipeline):
    """The model's first output for a text as a nested list, [1][tokens][hidden].

    `return_tensors=True` gives a tensor instead; `truncation` and `tokenize_kwargs` go to the tokenizer.
    """

    options = OPTIONS["feature-extraction"]
    ignored: ClassVar[tuple[str, ...]] = tuple(TOKENIZING)
    at_once: ClassVar[int] = 32  # whole hidden states are held until their turn comes

    def settle(self, settings: Settings, given: Mapping[str, Any]) -> Settings:
        call = dict(given.get("tokenize_kwargs", {}))
        if "truncation" in given:
            if "truncation" in call:
                raise PipelineError(f"{self.task}: truncation is given twice, by itself and in tokenize_kwargs")
            call["truncation"] = given["truncation"]
        return settings.with_values(tokenizer={**settings.tokenizer, **call})

    def parse(self, item: Any, settings: Any) -> str:
        return checked_text(item, empty=True)

    def encode(self, items: Sequence[str], settings: Any) -> list[list[Row]]:
        call = tokenizer_call(self.tokenizer, self.model, settings.tokenizer)
        return [[row] for row in encode_texts(self.tokenizer, items, None, call)]

    def select(self, output: Any, batch: Batch, settings: Any) -> list[Tensor]:
        """The first output of each row: [tokens, hidden], or what a head makes of the row."""
        first = output[0].cpu()
        return batch.own(first) if batch.per_token(first) else list(first[: len(batch.rows)])

    def answer(self, item: str, rows: list[Row], found: list[Tensor], settings: Any) -> Any:
        """The features under a leading axis of one."""
        features = found[0][None]
        # A copy made here can be trained on, which a tensor of inference mode cannot.
        return features.clone() if settings.return_tensors else features.tolist()
