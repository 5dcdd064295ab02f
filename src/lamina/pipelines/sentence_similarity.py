"""Vectors of texts: how alike sentences are, the vectors that say so, and the states of single tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..errors import PipelineError
from ..inference.rows import Batch, Row, checked_text, gathered
from ..sentences.modules import Pooling
from ..sentences.transformer import SentenceTransformer
from .base import Pipeline, Settings
from .inputs import AdvisedError
from .options import OPTIONS, TOKENIZING, Option


class SentenceSimilarityPipeline(Pipeline):
    """Similarities of a source sentence with others, `[0.9, 0.1]`, as the model pages of the Hub show them.

    Vectors are made and compared as the model's folder says (`modules.json` and the files beside it), or by the mean
    over its tokens and their cosine; `sentence` says otherwise. `prompt` stands before every text, or `prompt_name`
    names one that the folder stores; without either its default does. A sentence too long is cut off. `embed` gives
    the vectors themselves.
    """

    steps: ClassVar[bool] = False
    loader: ClassVar[str] = "AutoModelForTextEncoding"
    kinds: ClassVar[tuple[str, ...]] = ()
    options = OPTIONS["sentence-similarity"]
    selected_by: ClassVar[tuple[str, ...]] = ("sentence",)

    def defaults(self) -> Settings:
        return (
            super().defaults().with_values(sentence=SentenceTransformer.around(self.model, self.tokenizer), prompt="")
        )

    def settle(self, settings: Settings, given: Mapping[str, Any]) -> Settings:
        sentence = settings.sentence
        if not isinstance(sentence, SentenceTransformer):  # what a folder says
            sentence = SentenceTransformer.around(self.model, self.tokenizer, sentence).to(self.device)
            settings = settings.with_values(sentence=sentence)
        if "prompt" in given or "prompt_name" in given or "sentence" in given:
            prompt = sentence.resolve_prompt(given.get("prompt"), given.get("prompt_name"))
            return settings.with_values(prompt=prompt)
        return settings

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
        """One row for each sentence."""
        texts = [text for item in items for text in item]
        rows = iter(settings.sentence.rows(texts, settings.prompt))
        return [[next(rows) for _ in item] for item in items]

    def select(self, output: Any, batch: Batch, settings: Any) -> list[Tensor]:
        return list(settings.sentence.vectors(output, batch).cpu().unbind())

    def answer(self, item: list[str], rows: list[Row], found: list[Tensor], settings: Any) -> Any:
        return settings.sentence.similarity(found[0], torch.stack(found[1:]))[0].tolist()


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
        limit = settings.sentence.max_seq_length
        if not settings.truncate and limit is not None:
            texts = [settings.sentence.first.prompted(text, settings.prompt) for (text,) in parsed]
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
        found: int | None = self.settings.sentence.max_seq_length
        return found

    def room(self, settings: Any) -> int | None:
        """The same without special tokens and those of the prompt."""
        limit = settings.sentence.max_seq_length
        if limit is None:
            return None
        prompt = self.tokenizer(settings.prompt, add_special_tokens=False)["input_ids"]
        return max(int(limit) - self.tokenizer.num_special_tokens_to_add() - len(prompt), 1)

    @property
    def pooling(self) -> str:
        """The pooling, as text-embeddings-inference calls it."""
        modes = next(module.modes for module in self.settings.sentence if isinstance(module, Pooling))
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

    def select(self, output: Any, batch: Batch, settings: Any) -> list[Tensor]:
        """The first output of each row: [tokens, hidden], or what a head makes of the row."""
        first = output[0].cpu()
        return batch.own(first) if batch.per_token(first) else list(first[: len(batch.rows)])

    def answer(self, item: str, rows: list[Row], found: list[Tensor], settings: Any) -> Any:
        """The features under a leading axis of one."""
        features = found[0][None]
        # A copy made here can be trained on, which a tensor of inference mode cannot.
        return features.clone() if settings.return_tensors else features.tolist()
