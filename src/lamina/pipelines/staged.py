"""A pipeline's stages apart, for whoever fills batches with the rows of several callers.

Text becomes rows on any thread, rows are computed in any company that `company` allows, and what was found becomes
answers on any thread again.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch

from ..errors import PipelineError
from ..generation.generate import plan
from ..generation.job import Job
from ..generation.stopping import Criterion
from .base import Pipeline
from .checks import AdvisedError, checked_text, input_name
from .fill_mask import FillMaskPipeline
from .generating import GeneratingPipeline
from .rows import Row
from .sentence_similarity import SentenceSimilarityPipeline
from .written import Written

# Settings that decide what is kept of a model's output; all others are read before or after it.
SELECTED_BY: Mapping[type, tuple[str, ...]] = {
    FillMaskPipeline: ("top_k", "targets"),
    SentenceSimilarityPipeline: ("sentence",),
}


@dataclass(frozen=True)
class Prepared:
    """The inputs of one caller, as rows of tokens."""

    settings: Any
    items: Sequence[Any]
    groups: Sequence[list[Row]]  # of each input

    @property
    def rows(self) -> list[Row]:
        """All rows, in the order of the inputs."""
        return [row for group in self.groups for row in group]


class Staged:
    """The stages of one pipeline. Nothing here changes it, so that several threads may use it at once."""

    def __init__(self, pipe: Pipeline[Any]):
        if pipe.stepwise:
            raise PipelineError(
                f"{type(pipe).__name__} overrides steps of one input, which cannot share a batch with other callers; "
                "override parse, encode, select or answer instead"
            )
        self.pipe = pipe
        self.writes = isinstance(pipe, GeneratingPipeline)
        names = next((names for kind, names in SELECTED_BY.items() if isinstance(pipe, kind)), ())
        self._selected_by = names

    def settle(self, options: Mapping[str, Any]) -> Any:
        """The pipeline's settings under a caller's options; raises PipelineError for those that make no sense."""
        return self.pipe._settled(dict(options))

    def prepare(self, items: Sequence[Any], settings: Any) -> Prepared:
        """Inputs to rows; raises PipelineError, naming the input, before anything is computed."""
        names = [input_name(number) if len(items) > 1 else "" for number in range(len(items))]
        parsed = [self.pipe._parse(item, settings, name) for item, name in zip(items, names, strict=True)]
        return Prepared(settings, parsed, self.pipe.encode_named(parsed, names, settings))

    def company(self, row: Row, settings: Any) -> Hashable:
        """Rows of which this is equal may be computed together."""
        if isinstance(self.pipe, GeneratingPipeline):
            if settings.config.do_sample or self.pipe._alone(settings):
                return object()  # what is drawn for one row would depend on the others
            return self.pipe.company(row, settings), repr(settings.config.to_dict()), repr(sorted(settings.given))
        chosen = tuple(getattr(settings, name) for name in self._selected_by)
        return tuple(row.inputs), chosen

    def packs(self, row: Row) -> bool:
        """Whether this row needs no padding among others."""
        return not self.writes and self.pipe._packs([row])

    @property
    def pads(self) -> bool:
        """Whether rows of different lengths can be padded to one."""
        return self.writes or self.pipe.tokenizer.pad_token_id is not None

    def cost(self, row: Row, settings: Any) -> int:
        """Tokens that a row has the model read and, at most, write."""
        if not self.writes:
            return len(row)
        config = settings.config
        new = config.max_new_tokens if config.max_new_tokens is not None else max(config.max_length - len(row), 1)
        return len(row) + int(new) * int(max(config.num_beams, config.num_return_sequences))

    def infer(self, rows: list[Row], settings: Any, watch: Criterion | None = None) -> list[Any]:
        """What the task keeps of each row of one company: one pass of the model, or several of full batches at once.

        Where text is written, `watch` is asked after every token and may end the search by an exception of its own.
        """
        if watch is not None:
            settings = replace(settings, arguments={**settings.arguments, "stopping_criteria": [watch]})
        if not self.writes and self.pipe._packs(rows):
            return self.pipe._run(rows, settings, None)
        return list(self.pipe._infer(rows, settings))

    def job(self, row: Row, settings: Any) -> Job | None:
        """How to write on from one row, token by token; None where only a search of its own can do it."""
        if not isinstance(self.pipe, GeneratingPipeline):
            return None
        with torch.inference_mode():
            job, plain = plan(self.pipe.model, **self.pipe.call_of([row], settings))
        return job if plain else None

    def written(self, job: Job, new: Sequence[Sequence[int]]) -> Written:
        """What a search would have found, had it chosen these tokens: one sequence for each of `new`."""
        begun = job.prompt.input_ids[0].tolist() if job.model.config.is_encoder_decoder else []
        return Written([[*begun, *ids] for ids in new], [{} for _ in new])

    def finish(self, prepared: Prepared, found: Sequence[Any]) -> list[Any]:
        """The answer to each input, from what was found for the rows."""
        kept = iter(found)
        return [
            self.pipe.answer(item, group, [next(kept) for _ in group], prepared.settings)
            for item, group in zip(prepared.items, prepared.groups, strict=True)
        ]


@dataclass(frozen=True)
class EmbeddingSettings:
    """How texts become vectors."""

    pipeline: Any
    truncate: bool = True


class Embedding(Staged):
    """The stages of a sentence model where the vectors themselves are asked for: texts in, [hidden] out."""

    def __init__(self, pipe: SentenceSimilarityPipeline):
        super().__init__(pipe)
        self._limit = pipe.longest_text(pipe.settings)

    def room(self, settings: EmbeddingSettings) -> int | None:
        """Tokens of a text that are read, special ones and those of its prompt not counted; None: all of them."""
        if self._limit is None:
            return None
        prompt = self.pipe.tokenizer(settings.pipeline.prompt, add_special_tokens=False)["input_ids"]
        return max(self._limit - self.pipe.tokenizer.num_special_tokens_to_add() - len(prompt), 1)

    @property
    def pooling(self) -> str:
        """The pooling, as text-embeddings-inference calls it."""
        modes = self.pipe.settings.sentence.pooling
        return "+".join("last_token" if mode == "lasttoken" else mode for mode in modes)

    @property
    def limit(self) -> int | None:
        """Tokens of a text that are read; None: all of them."""
        return self._limit

    def settle(self, options: Mapping[str, Any]) -> EmbeddingSettings:
        """`truncate` False refuses a text that is too long, which is cut off otherwise."""
        rest = {name: value for name, value in options.items() if name != "truncate"}
        return EmbeddingSettings(super().settle(rest), options.get("truncate", True))

    def prepare(self, items: Sequence[Any], settings: EmbeddingSettings) -> Prepared:
        """Texts to rows."""
        names = [input_name(number) if len(items) > 1 else "" for number in range(len(items))]
        parsed = [[checked_text(text, f"{name}the text", empty=True)] for text, name in zip(items, names, strict=True)]
        pipe, asked = cast(SentenceSimilarityPipeline, self.pipe), settings.pipeline
        if not settings.truncate and self._limit is not None:
            led = [pipe.led(text, asked) for (text,) in parsed]
            for name, ids in zip(names, pipe.tokenizer(led, verbose=False)["input_ids"], strict=True):
                if len(ids) > self._limit:
                    what = f"{name}the text has {len(ids)} tokens and the model reads {self._limit} at most"
                    raise AdvisedError(what, ("truncation", True, "to cut it off"))
        return Prepared(settings, parsed, pipe.encode_named(parsed, names, asked))

    def company(self, row: Row, settings: EmbeddingSettings) -> Hashable:
        """As the pipeline's."""
        return super().company(row, settings.pipeline)

    def infer(self, rows: list[Row], settings: EmbeddingSettings, watch: Criterion | None = None) -> list[Any]:
        """The vector of each row."""
        return super().infer(rows, settings.pipeline, watch)

    def finish(self, prepared: Prepared, found: Sequence[Any]) -> list[Any]:
        """The vectors as they are, [hidden] each."""
        return list(found)
