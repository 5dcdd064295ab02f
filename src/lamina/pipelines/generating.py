"""What the pipelines that write text share: options in layers, rows that may be written together, results cut apart."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from inspect import signature
from typing import Any, ClassVar, Generic, TypeVar

import torch

from ..auto import find
from ..errors import PipelineError
from ..generation.config import GenerationConfig, several
from ..generation.stopping import StopStrings
from ..inference.batching import run_by_length
from ..inference.budget import token_budget
from .base import Pipeline
from .generation_options import LENGTHS, Options, model_options, overridden, said_later, sorted_options
from .rows import Batch, Row, pad_rows
from .written import Over, Written, split_rows

CPU_SEQUENCES = 256  # written at once, every beam counted; more gain nothing
ACCELERATOR_SEQUENCES = 1024


@dataclass(frozen=True)
class GeneratingSettings:
    """What a caller may ask of every pipeline that writes."""

    config: GenerationConfig = field(default_factory=GenerationConfig)
    given: Options = field(default_factory=dict)  # the part of `config` that the caller said
    arguments: Options = field(default_factory=dict)  # of generate, besides
    base: GenerationConfig | None = None  # the caller's own, in place of the pipeline's and the model's
    prefix: str | None = None
    tokenizer: Options = field(default_factory=dict)
    tensors: bool = False
    clean_up: bool = False


Settings = TypeVar("Settings", bound=GeneratingSettings)


class GeneratingPipeline(Pipeline[Settings], Generic[Settings]):
    """A pipeline around `model.generate`."""

    steps: ClassVar[bool] = False
    usual: ClassVar[Mapping[str, Any]] = {}  # options of generation that are this task's own defaults

    def task_params(self, settings: Settings) -> Options:
        """What the model's config says of this task, its `prefix` included."""
        every = getattr(self.model.config, "task_specific_params", None) or {}
        return every.get(self._params_name(settings)) or {}

    def _params_name(self, settings: Settings) -> str:
        """Under which name the model's config may speak of this task."""
        return self.task

    def prefix(self, settings: Settings) -> str:
        """What stands before every text: the caller's prefix, else the task's, else the model's."""
        if settings.prefix is not None:
            return settings.prefix
        return self.task_params(settings).get("prefix") or getattr(self.model.config, "prefix", None) or ""

    def generation(self, settings: Settings, options: Options) -> Settings:
        """`settings` with these options of generation on top of those the caller gave before."""
        options = dict(options)
        base = options.pop("generation_config", settings.base)
        if base is not None and not isinstance(base, GenerationConfig):
            raise PipelineError(f"{self.task}: generation_config is a {type(base).__name__}; pass a GenerationConfig")
        if options.pop("assistant_tokenizer", None) is not None:
            raise PipelineError(f"{self.task}: an assistant must share the model's vocabulary; leave its tokenizer out")
        given, arguments = sorted_options(self.task, options, self._own_options())
        assistant = arguments.get("assistant_model")
        if isinstance(assistant, str):
            loaded = find(self.loader).from_pretrained(assistant).to(self.model.device, self.model.dtype)
            arguments["assistant_model"] = loaded.eval()
        given = said_later(settings.given, given)
        return replace(
            settings,
            given=given,
            arguments={**settings.arguments, **arguments},
            base=base,
            config=overridden(self._base_config(replace(settings, base=base)), given),
        )

    def _own_options(self) -> list[str]:
        """The options that `settle` knows by name, those of the classes above included."""
        settles = [vars(kind)["settle"] for kind in type(self).__mro__ if "settle" in vars(kind)]
        found = [name for settle in settles for name in signature(settle).parameters]
        return [name for name in found if name not in ("self", "args", "options", "generation")]

    def _base_config(self, settings: Settings) -> GenerationConfig:
        """The options under the caller's."""
        if settings.base is not None:
            return settings.base.with_defaults_of(self.model.generation_config)
        params = self.task_params(settings)
        return model_options(self.usual, self.model, params, self.tokenizer.pad_token_id)

    def tokenizing(self, settings: Settings, given: Options | None, **named: Any) -> Settings:
        """`settings` with these arguments of the tokenizer, of which None stands for not given."""
        said = {name: value for name, value in named.items() if value is not None}
        return replace(settings, tokenizer={**settings.tokenizer, **said, **(given or {})})

    def stopping_at(self, sequence: str | None, options: Options) -> Options:
        """`options` that end a text at `sequence`: a token of its own where it is one, else a stop string."""
        if sequence is None:
            return options
        ids = self.tokenizer.encode(sequence, add_special_tokens=False) if isinstance(sequence, str) else []
        if not ids:
            raise PipelineError(f"{self.task}: stop_sequence is {sequence!r}; it must be a text that is not empty")
        if len(ids) == 1:
            return {**options, "eos_token_id": ids[0]}
        return {**options, "stop_strings": [sequence]}

    @abstractmethod
    def company(self, row: Row, settings: Settings) -> Hashable:
        """Rows of which this is equal may be written in one batch without changing what is written."""

    @abstractmethod
    def room(self, row: Row, settings: Settings) -> dict[str, Any]:
        """Options of generation for all rows of this row's company."""

    def _alone(self, settings: Settings) -> bool:
        """Whether a row must be written by itself, since something asked for looks at batches as a whole."""
        config = settings.config
        return (
            any(value is not None for value in settings.arguments.values())
            or bool(config.return_dict_in_generate or config.prompt_lookup_num_tokens or config.max_time)
            or config.guidance_scale not in (None, 1)
        )

    def _run(self, rows: list[Row], settings: Settings, batch_size: int | None) -> list[Any]:
        if settings.arguments.get("streamer") is not None:  # which tells in the order of the inputs
            return [self._infer([row], settings)[0] for row in rows]
        on_cpu = self.device.type == "cpu"
        beams = max(settings.config.num_beams, settings.config.num_return_sequences)
        most = max(1, (CPU_SEQUENCES if on_cpu else ACCELERATOR_SEQUENCES) // beams)
        most = 1 if self._alone(settings) else min(most, batch_size or most)
        companies: dict[Hashable, list[int]] = {}
        for number, row in enumerate(rows):
            companies.setdefault(self.company(row, settings), []).append(number)
        found: dict[int, Any] = {}
        for numbers in companies.values():
            results = run_by_length(
                [rows[number] for number in numbers],
                lambda batch: self._infer(batch, settings),
                len,
                tokens=token_budget(self.device.type),
                batch_size=most,
            )
            found.update(zip(numbers, results, strict=True))
        return [found[number] for number in range(len(rows))]

    def _batch_size(self, asked: int | None) -> int | None:
        return asked  # generation needs no padding token: a mask says what is padding

    def _infer(self, rows: list[Row], settings: Settings) -> Sequence[Any]:
        batch = pad_rows(rows, self.tokenizer, self.device)
        return self.select(self.model.generate(**self.call_of(rows, settings, batch)), batch, settings)

    def call_of(self, rows: list[Row], settings: Settings, batch: Batch | None = None) -> dict[str, Any]:
        """The arguments of `generate` for rows of one company; `batch` holds them padded, if that is done already."""
        batch = batch or pad_rows(rows, self.tokenizer, self.device)
        ids = batch.inputs["input_ids"]
        config = overridden(settings.config, self.room(rows[0], settings))
        # Lengths that the caller chose must be told from defaults, which may give way.
        named = {name: getattr(config, name) for pair in LENGTHS for name in pair if name in settings.given}
        return {
            "input_ids": ids,
            "attention_mask": batch.inputs.get("attention_mask", torch.ones_like(ids)),
            "generation_config": config,
            "use_model_defaults": False,
            "tokenizer": self.tokenizer,
            **named,
            **settings.arguments,
        }

    def select(self, output: Any, batch: Batch, settings: Settings) -> list[Written]:
        """The sequences of each row, without what padding made of them."""
        paired = bool(self.model.config.is_encoder_decoder)
        start = 0 if paired else batch.inputs["input_ids"].shape[1]
        return split_rows(output, len(batch.rows), start, 1 if paired else start, self._over(settings))

    def _over(self, settings: Settings) -> Over:
        """What tells the end of a sequence: a token, or the last one of a stop string."""
        eos = set(several(settings.config.eos_token_id))
        strings = settings.config.stop_strings
        if not strings:
            return lambda ids, end: ids[end - 1] in eos
        tokenizer: Any = self.tokenizer
        stops = StopStrings([strings] if isinstance(strings, str) else strings, tokenizer)
        return lambda ids, end: ids[end - 1] in eos or stops.completed(ids[max(0, end - stops.window) : end])
