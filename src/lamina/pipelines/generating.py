"""What the pipelines that write text share: options in layers, rows that may be written together, results cut apart."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from ..auto import find
from ..errors import PipelineError
from ..files.shown import shown
from ..generation.config import ARGUMENTS as EVERY
from ..generation.config import OPTIONS, GenerationConfig, several
from ..generation.job import Job, StopStrings
from ..inference.batching import run_by_length, token_budget
from ..inference.rows import Batch, Row, pad_rows
from ..nn.outputs import ModelOutput
from .base import Pipeline, Settings
from .inputs import unknown_argument

CPU_SEQUENCES = 256  # written at once, every beam counted; more gain nothing
ACCELERATOR_SEQUENCES = 1024
# What `generate` takes besides options; each sees single rows, so inputs with one of them are written one by one.
ARGUMENTS = tuple(name for name in EVERY if name not in ("synced_gpus", "tokenizer", "use_model_defaults"))
TAKEN = (*OPTIONS, *ARGUMENTS, "generation_config", "assistant_tokenizer")  # beside the options of a task
# The first of each pair counts the prompt, the second does not; whichever was said last is meant.
LENGTHS = (("max_length", "max_new_tokens"), ("min_length", "min_new_tokens"))

Given = Mapping[str, Any]
Ids = list[int]
Over = Callable[[Ids, int], bool]  # whether a sequence is over after so many of these ids


@dataclass(frozen=True)
class Written:
    """The sequences for one row, best first, equally long, and what else was asked for of each."""

    sequences: list[Ids]
    more: list[dict[str, Any]]


class GeneratingPipeline(Pipeline):
    """A pipeline around `model.generate`. Its settings hold, beside the task's options: `config`, the options of
    generation; `given`, those of them that the caller said; `base`, the caller's own config in place of the model's;
    `arguments`, what else `generate` is given; `tensors`, whether ids are returned."""

    steps: ClassVar[bool] = False
    writes: ClassVar[bool] = True
    open_ended: ClassVar[bool] = True
    usual: ClassVar[Given] = {}  # options of generation that are this task's own defaults
    judging: ClassVar[tuple[str, ...]] = ()  # options of generation that look at what is read, to which padding counts

    def defaults(self) -> Settings:
        own: dict[str, Any] = {
            "config": None,
            "given": {},
            "arguments": {},
            "base": None,
            "tensors": False,
            "skip_special_tokens": True,
        }
        return super().defaults().with_values(**own)

    def other_options(self, options: dict[str, Any]) -> dict[str, Any]:
        for name in options:
            if name not in TAKEN:
                told = unknown_argument(name, (*self.options, *TAKEN), "it takes its own and the options of generation")
                raise PipelineError(f"{self.task} {told}")
        return {"generation": options}

    def settle(self, settings: Settings, given: Given) -> Settings:
        call = {name: given[name] for name in ("truncation", "padding", "add_special_tokens") if name in given}
        call |= given.get("tokenizer_encode_kwargs", {})
        settings = settings.with_values(tokenizer={**settings.tokenizer, **call})
        if given.get("return_text") and given.get("return_tensors"):
            raise PipelineError(f"{self.task}: return_text and return_tensors exclude each other; pass one of them")
        options = self._stopping_at(given.get("stop_sequence"), given.get("generation", {}))
        if "max_length" in given:  # where a task takes it for its prompt as well
            options = {**options, "max_length": given["max_length"]}
        return self.generation(settings, options)

    def generation(self, settings: Settings, options: Given) -> Settings:
        """`settings` with these options of generation on top of those that the caller gave before."""
        base = options.get("generation_config", settings.base)
        if base is not None and not isinstance(base, GenerationConfig):
            raise PipelineError(f"{self.task}: generation_config is a {type(base).__name__}; pass a GenerationConfig")
        if options.get("assistant_tokenizer") is not None:
            raise PipelineError(f"{self.task}: an assistant must share the model's vocabulary; leave its tokenizer out")
        arguments = {name: value for name, value in options.items() if name in ARGUMENTS}
        assistant = arguments.get("assistant_model")
        if isinstance(assistant, str):
            loaded = find(self.loader).from_pretrained(assistant).to(self.model.device, self.model.dtype)
            arguments["assistant_model"] = loaded.eval()
        said = {name: value for name, value in options.items() if name in OPTIONS}
        said = said_later(settings.given, said)
        settings = settings.with_values(given=said, arguments={**settings.arguments, **arguments}, base=base)
        return settings.with_values(config=overridden(self._base_config(settings), said))

    def _base_config(self, settings: Any) -> GenerationConfig:
        if settings.base is not None:
            base: GenerationConfig = settings.base.with_defaults_of(self.model.generation_config)
            return base
        return model_options(self.usual, self.model, self.task_params(settings), self.tokenizer.pad_token_id)

    def task_params(self, settings: Any) -> Given:
        """What the model's config says of this task, its `prefix` included."""
        every = getattr(self.model.config, "task_specific_params", None) or {}
        return every.get(self._params_name(settings)) or {}

    def _params_name(self, settings: Any) -> str:
        """Under which name the model's config may speak of this task."""
        return self.task

    def prefix(self, settings: Any) -> str:
        """What stands before every text: the caller's prefix, else the task's, else the model's."""
        if settings.prefix is not None:
            return str(settings.prefix)
        return self.task_params(settings).get("prefix") or getattr(self.model.config, "prefix", None) or ""

    def _stopping_at(self, sequence: str | None, options: Given) -> Given:
        """`options` that end a text at `sequence`: a token of its own where it is one, else a stop string."""
        if sequence is None:
            return options
        ids = self.tokenizer.encode(sequence, add_special_tokens=False)
        if not ids:
            raise PipelineError(f"{self.task}: stop_sequence is {shown(sequence)}; it must be a text that is not empty")
        if len(ids) == 1:
            return {**options, "eos_token_id": ids[0]}
        return {**options, "stop_strings": [sequence]}

    def tokenizer_call(self, settings: Any) -> dict[str, Any]:
        return {**super().tokenizer_call(settings), "return_token_type_ids": False}  # models that write are given none

    def decoded(self, ids: Ids, settings: Any) -> str:
        """The text that ids stand for, as the settings say."""
        return self.tokenizer.decode(
            ids,
            skip_special_tokens=settings.skip_special_tokens,
            clean_up_tokenization_spaces=settings.clean_up_tokenization_spaces,
        )

    def _judged(self, config: GenerationConfig) -> bool:
        defaults = config.defaults()
        return any(getattr(config, name) not in (None, defaults[name]) for name in self.judging)

    @abstractmethod
    def batch_key(self, row: Row, settings: Any) -> Hashable:
        """Rows for which this is equal may be written in one batch without changing what is written."""

    def room(self, row: Row, settings: Any) -> dict[str, Any]:
        """Options of generation that keep all rows of this row's key within the model's positions."""
        return {}

    def _alone(self, settings: Any) -> bool:
        """Whether a row must be written by itself, since something asked for looks at batches as a whole."""
        config = settings.config
        return (
            any(value is not None for value in settings.arguments.values())
            or bool(config.return_dict_in_generate or config.prompt_lookup_num_tokens or config.max_time)
            or config.guidance_scale not in (None, 1)
        )

    def compute(self, rows: list[Row], settings: Any, batch_size: int | None) -> list[Any]:
        if settings.arguments.get("streamer") is not None:  # which tells in the order of the inputs
            return [self._pass([row], settings)[0] for row in rows]
        beams = max(settings.config.num_beams, settings.config.num_return_sequences)
        most = max(1, (CPU_SEQUENCES if self.device.type == "cpu" else ACCELERATOR_SEQUENCES) // beams)
        most = 1 if self._alone(settings) else min(most, batch_size or most)
        groups: dict[Hashable, list[int]] = {}
        for number, row in enumerate(rows):
            groups.setdefault(self.batch_key(row, settings), []).append(number)
        found: dict[int, Any] = {}
        for numbers in groups.values():
            results = run_by_length(
                [rows[number] for number in numbers],
                lambda batch: self._pass(batch, settings),
                len,
                tokens=token_budget(self.device.type),
                batch_size=most,
            )
            found.update(zip(numbers, results, strict=True))
        return [found[number] for number in range(len(rows))]

    @property
    def pads(self) -> bool:
        return True  # generation needs no padding token: a mask says what is padding

    def _pass(self, rows: list[Row], settings: Any, packed: bool = False) -> Sequence[Any]:
        batch = pad_rows(rows, self.tokenizer, self.device)
        return self.select(self.model.generate(**self.call_of(rows, settings, batch)), batch, settings)

    def call_of(self, rows: list[Row], settings: Any, batch: Batch | None = None) -> dict[str, Any]:
        """The arguments of `generate` for rows of one key; `batch` holds them padded, if that is done already."""
        batch = batch or pad_rows(rows, self.tokenizer, self.device)
        ids = batch.inputs["input_ids"]
        config = overridden(settings.config, self.room(rows[0], settings))
        # Lengths that the caller chose must be told from defaults, which may give way.
        lengths = {name: getattr(config, name) for pair in LENGTHS for name in pair if name in settings.given}
        return {
            "input_ids": ids,
            "attention_mask": batch.inputs.get("attention_mask", torch.ones_like(ids)),
            "generation_config": config,
            "use_model_defaults": False,
            "tokenizer": self.tokenizer,
            **lengths,
            **settings.arguments,
        }

    def select(self, output: Any, batch: Batch, settings: Any) -> list[Written]:
        """What `generate` gave for each row. Padding follows the end of a sequence; as much of it is kept as makes the
        sequences of one row equally long."""
        start = 0 if self.model.config.is_encoder_decoder else batch.inputs["input_ids"].shape[1]
        sequences: list[Ids] = (output["sequences"] if isinstance(output, ModelOutput) else output).tolist()
        more = _details(output, len(sequences)) if isinstance(output, ModelOutput) else [{} for _ in sequences]
        over, each = self._over(settings), len(sequences) // len(batch.rows)
        found = []
        for number in range(0, len(sequences), each):
            own = sequences[number : number + each]
            ends = (next((end for end in range((start or 1) + 1, len(ids)) if over(ids, end)), len(ids)) for ids in own)
            end = max(ends)
            found.append(Written([ids[start:end] for ids in own], more[number : number + each]))
        return found

    def _over(self, settings: Any) -> Over:
        """What tells the end of a sequence: a token, or the last one of a stop string."""
        eos = set(several(settings.config.eos_token_id))
        strings = settings.config.stop_strings
        if not strings:
            return lambda ids, end: ids[end - 1] in eos
        tokenizer: Any = self.tokenizer
        stops = StopStrings([strings] if isinstance(strings, str) else strings, tokenizer)
        return lambda ids, end: ids[end - 1] in eos or stops.completed(ids[max(0, end - stops.window) : end])

    def shared_key(self, row: Row, settings: Any) -> Hashable:
        if settings.config.do_sample or self._alone(settings):
            return object()  # what is drawn for one row would depend on the others
        return self.batch_key(row, settings), repr(settings.config.to_dict()), repr(sorted(settings.given))

    def packs(self, row: Row) -> bool:
        return False

    def cost(self, row: Row, settings: Any) -> int:
        config = settings.config
        new = config.max_new_tokens if config.max_new_tokens is not None else max(config.max_length - len(row), 1)
        return len(row) + int(new) * int(max(config.num_beams, config.num_return_sequences))

    def infer(self, rows: list[Row], settings: Any, watch: Any = None) -> list[Any]:
        if watch is not None:
            settings = settings.with_values(arguments={**settings.arguments, "stopping_criteria": [watch]})
        return list(self._pass(rows, settings))

    def job(self, row: Row, settings: Any) -> Job | None:
        """How to write on from one row, token by token; None where only a search of its own can do it."""
        from ..generation.generate import plan  # all of generation, which no label needs

        with torch.inference_mode():
            job, plain = plan(self.model, **self.call_of([row], settings))
        return job if plain else None

    def written(self, job: Job, new: Sequence[Sequence[int]]) -> Written:
        """What a search would have found, had it chosen these tokens: one sequence for each of `new`."""
        begun = job.prompt.input_ids[0].tolist() if job.model.config.is_encoder_decoder else []
        return Written([[*begun, *ids] for ids in new], [{} for _ in new])


def said_later(earlier: Given, later: Given) -> dict[str, Any]:
    """Both, where what was said later replaces not only the same option but also the other way to say a length."""
    settled = {name for pair in LENGTHS if any(later.get(name) is not None for name in pair) for name in pair}
    return {**{name: value for name, value in earlier.items() if name not in settled}, **later}


def overridden(config: GenerationConfig, options: Given) -> GenerationConfig:
    """A copy of `config` under those of `options` that are options of generation."""
    result = config.copy()
    for whole, new in LENGTHS:
        if options.get(whole) is not None:
            setattr(result, new, None)
    result.update(**{name: value for name, value in options.items() if name in OPTIONS})
    return result


def model_options(usual: Given, model: Any, task_params: Given, pad_token_id: int | None) -> GenerationConfig:
    """What is done unless the caller says otherwise.

    `usual` are the pipeline's own defaults. The model's generation_config goes before them wherever it differs from the
    defaults of the library, and `task_params`, the part of `task_specific_params` for this task, goes before both.
    """
    library = GenerationConfig.defaults()
    own = {
        name: value
        for name, value in model.generation_config.set_options.items()
        if name in library and name != "transformers_version" and value is not None and value != library[name]
    }
    if own.get("temperature") == 0.0:
        own["do_sample"] = False
    config = overridden(overridden(GenerationConfig(**usual), own), task_params)
    if config.pad_token_id is None:
        config.pad_token_id = pad_token_id
    return config


def _details(output: ModelOutput, count: int) -> list[dict[str, Any]]:
    """Scores, logits and the like of each of `count` sequences, as lists; what belongs to beams is left out."""
    found: list[dict[str, Any]] = [{} for _ in range(count)]
    for name, value in output.items():
        if name == "sequences":
            continue
        tensor = torch.stack(value, 1) if isinstance(value, tuple) else value  # of steps: [sequences, steps, vocab]
        if len(tensor) == count:
            for record, row in zip(found, tensor.tolist(), strict=True):
                record[name] = row
    return found
