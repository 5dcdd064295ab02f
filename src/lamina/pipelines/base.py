"""What all pipelines share: texts in, rows of like length through the model, answers out in input order."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import torch

from ..auto.classes import AUTO_MODELS
from ..errors import LaminaError, PipelineError
from ..files.atomic import staged
from ..files.shown import few
from ..inference.batching import AT_ONCE, runs, track
from ..inference.rows import (
    Batch,
    Row,
    Select,
    checked_text,
    choose_device,
    encode_texts,
    gathered,
    longest_row,
    pad_rows,
    padded_pass,
    read_rows,
    reads_packed,
    tokenizer_call,
    uncached,
)
from ..nn.outputs import ModelOutput
from ..tokenizers.tokenizer import Tokenizer
from .inputs import Advice, AdvisedError, Results, input_name, named, streamed, unknown_argument
from .options import TOKENIZING, Option, read_options

logger = logging.getLogger(__name__)

STEPS = ("_sanitize_parameters", "preprocess", "_forward", "postprocess")  # of one input, as the reference calls them
READING = (*TOKENIZING, "tokenize_kwargs", "tokenizer_kwargs")  # options that belong to preprocess
UNCALLED = (  # methods of the reference that are never called here: overriding one would have no effect
    *("_ensure_tensor_on_device", "get_inference_context", "get_iterator", "iterate", "run_multi", "run_single"),
    *("_parse_and_tokenize", "check_inputs", "create_sample", "decode_spans", "get_indices", "span_to_answer"),
    *("aggregate", "aggregate_overlapping_entities", "aggregate_word", "aggregate_words", "gather_pre_entities"),
    *("get_tag", "group_entities", "group_sub_entities", "ensure_exactly_one_mask_token", "get_target_ids"),
)
POOLER = "pooler."  # makes one vector of a text for a classifier
VECTORS = ("feature-extraction", "sentence-similarity")  # tasks that read token states, whatever a pooler makes of them
OTHER_HEADS = "multiple_choice_head."  # beside the head that writes
BATCH_SIZE = Option("Most rows in one pass; left out, as many as a token budget allows.", "count")

Parameters = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]


@dataclass(frozen=True)
class Prepared:
    """The inputs of one call, or a part of them, as rows of tokens."""

    settings: Any
    items: Sequence[Any]
    groups: Sequence[list[Row]]  # of each input

    @property
    def rows(self) -> list[Row]:
        return [row for group in self.groups for row in group]


class Settings(SimpleNamespace):
    """A value for every option of a task, and what follows from them; never changed in place."""

    def with_values(self, **values: Any) -> Settings:
        return Settings(**{**vars(self), **values})


class StepInputs(dict[str, Any]):
    """What the model reads of one input, and what the answer will need of it."""

    def __init__(self, item: Any, batch: Batch):
        super().__init__(batch.inputs)
        self.item, self.batch = item, batch


class StepOutputs(dict[str, Any]):
    """A model's output for one input: fields by name, by attribute or by position."""

    def __init__(self, fields: Mapping[str, Any], asked: Any):
        super().__init__(fields)
        self.asked = asked

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(key) if isinstance(key, str) else tuple(self.values())[key]

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the model's output has no {name}; it has {', '.join(self)}") from None


class Pipeline:
    """Texts to answers with one model: the frame that every task fills in.

    `model` is a model of ours and `tokenizer` its tokenizer; `device` None is accelerator 0 if there is one, else the
    CPU; `batch_size` is the most rows in one pass (None: as many as a token budget allows). `num_workers`, `framework`,
    `modelcard`, `feature_extractor`, `image_processor`, `processor`, `dtype`, `torch_dtype`, `binary_output` and
    `args_parser` are taken for the sake of existing code. All else are options of the task; a call may override them.
    """

    loader: ClassVar[str] = "AutoModel"  # what loads a model for the task
    kinds: ClassVar[tuple[str, ...]] = ()  # of models that can do it, those of the loader; empty: any
    options: ClassVar[Mapping[str, Option]] = {}  # all that the task knows
    ignored: ClassVar[tuple[str, ...]] = ()  # options that other tasks know, taken without effect
    reserved: ClassVar[int] = 0  # of the model's positions, those that a text must leave free
    at_once: ClassVar[int] = AT_ONCE  # inputs in memory at once
    advice: ClassVar[tuple[Advice, ...]] = (("truncation", True, "to cut it off"),)  # where a text is too long
    selected_by: ClassVar[tuple[str, ...]] = ()  # settings that decide what `select` keeps of a model's output
    steps: ClassVar[bool] = True  # whether an answer is made of one row, so that its steps can be overridden
    writes: ClassVar[bool] = False  # whether the model writes text, rather than being read once
    open_ended: ClassVar[bool] = False  # whether it takes options beside those of its table
    stepwise = False  # whether steps are overridden, and inputs therefore computed one by one
    _parameters: Parameters

    def __init_subclass__(cls) -> None:
        if "loader" in vars(cls) and "kinds" not in vars(cls):
            cls.kinds = AUTO_MODELS.get(cls.loader, ())

    def __init__(
        self,
        model: Any,
        tokenizer: Tokenizer | None = None,
        feature_extractor: Any = None,
        image_processor: Any = None,
        processor: Any = None,
        modelcard: Any = None,
        framework: str | None = None,
        task: str = "",
        device: int | str | torch.device | None = None,
        binary_output: bool = False,
        *,
        batch_size: int | None = None,
        num_workers: int | None = None,
        torch_dtype: Any = None,
        dtype: Any = None,
        args_parser: Any = None,
        **options: Any,
    ):
        if framework not in (None, "pt"):
            raise PipelineError(f"framework={framework!r}: models here run on PyTorch; pass 'pt' or leave it out")
        if feature_extractor or image_processor or processor:
            raise PipelineError("pipelines here read text only: no feature extractor, image processor or processor")
        self.task = task or type(self).__name__.removesuffix("Pipeline")
        if tokenizer is None:
            raise PipelineError(f"{self.task}: a pipeline needs a tokenizer; pass tokenizer=")
        self.tokenizer: Tokenizer = tokenizer
        self.model = model.eval()
        self.device = choose_device(device, model.device)
        self._check_head()
        if model.device != self.device:
            model.to(self.device)
        self._uncached = uncached(self.model)
        self.framework = "pt"
        self.modelcard = modelcard
        self.batch_size = BATCH_SIZE.checked(self.task, "batch_size", batch_size)
        if names := untrained(self):
            announce(f"{_random(self, names)}; train it for {self.task}, or choose a model that was")
        stepwise = self._check_steps()
        self.settings = self.defaults()
        if stepwise:
            self._parameters = self._sanitize_parameters(**options)
            self.stepwise = True
        else:
            self.settings = self.resolve_options(options)

    def defaults(self) -> Settings:
        """The settings of a pipeline that was given no options."""
        return Settings(tokenizer={}, **{name: option.default for name, option in self.options.items()})

    def resolve_options(self, options: Mapping[str, Any]) -> Any:
        """The pipeline's settings under a caller's options; raises PipelineError for those that make no sense."""
        given, rest = read_options(self.task, self.options, options) if options else ({}, {})
        more = self.other_options(rest) if rest else {}
        return self.settle(self.settings.with_values(**given) if given else self.settings, {**given, **more})

    def other_options(self, options: dict[str, Any]) -> dict[str, Any]:
        """What `settle` is to know of options that are not in the task's table; refused unless `ignored`."""
        unknown = [name for name in options if name not in self.ignored]
        if unknown:
            raise PipelineError(f"{self.task} {unknown_argument(unknown[0], tuple(self.options))}")
        logger.warning("%s: %s has no effect on this task", self.task, ", ".join(options))
        return {}

    def settle(self, settings: Settings, given: Mapping[str, Any]) -> Settings:
        """`settings`, which hold the options `given` already, with what follows from these for the task."""
        return settings

    # Three steps, by default of the commonest case: a text, one row for it, the logits of a head that judges rows.

    def parse(self, item: Any, settings: Any) -> Any:
        """One input as the task understands it; raises PipelineError where it makes no sense."""
        return checked_text(item, empty=True)

    def encode(self, items: Sequence[Any], settings: Any) -> list[list[Row]]:
        """The model's rows for each parsed input: one, or several where a text is cut or asked about repeatedly."""
        return [[row] for row in encode_texts(self.tokenizer, items, None, self.tokenizer_call(settings))]

    def tokenizer_call(self, settings: Any) -> dict[str, Any]:
        """The keywords of the tokenizer's call for rows of this model."""
        return tokenizer_call(self.tokenizer, self.model, settings.tokenizer)

    def select(self, output: Any, batch: Batch, settings: Any) -> Sequence[Any]:
        """What the task needs of a model output, for each row, off the device and free of padding."""
        return list(output.logits.float().cpu().numpy())[: len(batch.rows)]

    def answer(self, item: Any, rows: list[Row], found: list[Any], settings: Any) -> Any:
        """The answer to one input, from what `select` kept of its rows."""
        raise NotImplementedError

    def __call__(
        self, inputs: Any, *, batch_size: int | None = None, num_workers: int | None = None, **options: Any
    ) -> Any:
        """The answer to one input, a list of answers to a list, an iterator of answers to a generator or dataset.

        `batch_size` and the options override what the pipeline was made with, for this call.
        """
        inputs = gathered(inputs)
        if self.stepwise:
            answer = self._call_stepwise(inputs, options)
        else:
            answer = self._answer(inputs, self.resolve_options(options), batch_size)
        return self.shaped(answer, inputs, options)

    def shaped(self, answer: Any, inputs: Any, options: Mapping[str, Any]) -> Any:
        """`answer` in the form in which the task gives it for such `inputs`."""
        return answer

    def _answer(self, inputs: Any, settings: Any, batch_size: int | None) -> Any:
        """One answer, a list, or an iterator, as `inputs` is."""
        most = self.batch_size if batch_size is None else BATCH_SIZE.checked(self.task, "batch_size", batch_size)
        if streamed(inputs):
            ahead = None if hasattr(inputs, "__len__") else most or 1
            size = most if most and ahead else self.at_once
            return Results(
                inputs, lambda items: self._in_chunks(self._parsed(items, settings), settings, most, size, ahead)
            )
        if not isinstance(inputs, list):
            return next(self._in_chunks([self.parse(inputs, settings)], settings, most, numbered=False))
        # Whatever is wrong with an input is said before any other is computed.
        parsed = list(self._parsed(inputs, settings))
        return list(track(self._in_chunks(parsed, settings, most), len(inputs), self.task))

    def _parsed(self, items: Iterable[Any], settings: Any) -> Iterator[Any]:
        """Each input parsed; a refusal names it."""
        for number, item in enumerate(items):
            try:
                parsed = self.parse(item, settings)
            except PipelineError as error:
                raise named(error, input_name(number)) from None
            yield parsed

    def _in_chunks(
        self,
        parsed: Iterable[Any],
        settings: Any,
        batch_size: int | None,
        size: int | None = None,
        ahead: int | None = None,
        numbered: bool = True,
    ) -> Iterator[Any]:
        """Answers in input order; at most `size` inputs are held at once, `ahead` of them at first."""
        first = 0
        for items in runs(parsed, size or self.at_once, ahead):
            prepared = self._prepared(items, settings, first if numbered else None)
            yield from self.finish(prepared, self.compute(prepared.rows, settings, batch_size))
            first += len(items)

    def prepare(self, items: Sequence[Any], settings: Any) -> Prepared:
        """Inputs to rows; raises PipelineError, naming the input, before anything is computed."""
        if len(items) == 1:
            return self._prepared([self.parse(items[0], settings)], settings, None)
        return self._prepared(list(self._parsed(items, settings)), settings, 0)

    def _prepared(self, parsed: Sequence[Any], settings: Any, first: int | None) -> Prepared:
        """Rows of inputs that are counted from `first`, or not at all."""
        names = [input_name(first + place) if first is not None else "" for place in range(len(parsed))]
        return Prepared(settings, parsed, self._encoded(parsed, names, settings))

    def _encoded(self, parsed: Sequence[Any], names: Sequence[str], settings: Any) -> list[list[Row]]:
        """`encode`, with lengths checked; an input that cannot be encoded is named, though all are read in one call."""
        try:
            groups = self.encode(parsed, settings)
        except LaminaError as error:
            for item, name in zip(parsed, names, strict=True):
                try:
                    self.encode([item], settings)
                except LaminaError as own:
                    raise named(own, name) from error
            raise
        self._check_lengths(groups, names)
        return groups

    def compute(self, rows: list[Row], settings: Any, batch_size: int | None) -> list[Any]:
        """What `select` keeps of every row, in their order, computed in batches of like length."""
        if not self.pads and not reads_packed(self.model, rows):
            if batch_size not in (None, 1):
                raise PipelineError(
                    f"{self.task}: batch_size={batch_size} needs a padding token, and this tokenizer has none; "
                    "set tokenizer.pad_token, or leave batch_size out"
                )
            batch_size = 1
        return read_rows(self.model, self.tokenizer, rows, self._selecting(settings), batch_size, **self._uncached)

    def _selecting(self, settings: Any) -> Select:
        return lambda output, batch: self.select(output, batch, settings)

    def finish(self, prepared: Prepared, found: Sequence[Any]) -> Iterator[Any]:
        """The answer to each input, from what was found for the rows."""
        kept = iter(found)
        for item, group in zip(prepared.items, prepared.groups, strict=True):
            yield self.answer(item, group, [next(kept) for _ in group], prepared.settings)

    @property
    def pads(self) -> bool:
        """Whether rows of different lengths can be padded to one."""
        return self.tokenizer.pad_token_id is not None

    def _pass(self, rows: list[Row], settings: Any) -> Sequence[Any]:
        return padded_pass(self.model, self.tokenizer, rows, self._selecting(settings), **self._uncached)

    def _check_head(self) -> None:
        if self.kinds and self.model.kind not in self.kinds:
            raise PipelineError(
                f"{self.task} needs a {self.kinds[0]} model, and this is a {self.model.kind} one "
                f"({type(self.model).__name__}); load it with {self.loader}.from_pretrained"
            )

    def label(self, number: int) -> str:
        """The name of class `number` of the model."""
        try:
            return str(self.model.config.id2label[number])
        except (KeyError, IndexError):
            raise PipelineError(
                f"{self.task}: the model answers with class {number}, which id2label in its config.json does not name"
            ) from None

    def _check_lengths(self, groups: list[list[Row]], names: Sequence[str]) -> None:
        """Refuses rows without tokens and rows that the model has no positions for, before any is computed."""
        limit = longest_row(self.model)
        for group, name in zip(groups, names, strict=True):
            for row in group:
                if len(row) == 0:
                    raise PipelineError(f"{name}{self.task}: the text has no tokens")
                if limit is not None and len(row) > limit - self.reserved:
                    what = f"{name}{self.task}: the text has {len(row)} tokens and the model reads {limit} at most"
                    what += ", what it writes included" if self.reserved else ""
                    raise AdvisedError(what, *self.advice, otherwise="shorten it, or split it")

    # What a server needs, which fills batches with the rows of several callers: `prepare` and `finish` on any thread,
    # `infer` for rows of one `shared_key`. Nothing of this changes the pipeline.

    def shareable(self) -> Any:
        """This pipeline, if its rows may be computed beside those of other callers; raises PipelineError otherwise."""
        if self.stepwise:
            raise PipelineError(
                f"{type(self).__name__} overrides steps of one input, which cannot share a batch with other callers; "
                "override parse, encode, select or answer instead"
            )
        return self

    def shared_key(self, row: Row, settings: Any) -> Hashable:
        """Rows for which this is equal may be computed together, whoever asked."""
        return tuple(row.inputs), tuple(getattr(settings, name) for name in self.selected_by)

    def packs(self, row: Row) -> bool:
        """Whether this row needs no padding among others."""
        return reads_packed(self.model, [row])

    def cost(self, row: Row, settings: Any) -> int:
        """Tokens that a row has the model read and, at most, write."""
        return len(row)

    def infer(self, rows: list[Row], settings: Any, watch: Any = None) -> list[Any]:
        """What the task keeps of each row of one key: one pass of the model, or several of full batches at once.

        Where text is written, `watch` is asked after every token and may end the search by an exception of its own.
        """
        return (
            self.compute(rows, settings, None) if reads_packed(self.model, rows) else list(self._pass(rows, settings))
        )

    # The reference's names for the steps of one input. A subclass that overrides one is computed input by input.

    def _sanitize_parameters(self, **options: Any) -> Parameters:
        """Options sorted into those of `preprocess`, `_forward` and `postprocess`."""
        self.resolve_options(options)
        reading = {name: value for name, value in options.items() if name in READING}
        return reading, {}, {name: value for name, value in options.items() if name not in READING}

    def preprocess(self, inputs: Any, **parameters: Any) -> Any:
        """What the model reads of one input: a mapping of tensors, each [1, tokens]."""
        settings = self.resolve_options(parameters)
        item = self.parse(inputs, settings)
        groups = self._encoded([item], [""], settings)
        if not self.steps or len(groups[0]) != 1:
            raise PipelineError(f"{self.task} has no single steps: it reads an input in several rows, or writes")
        return StepInputs(item, pad_rows(groups[0], self.tokenizer, self.device))

    def _forward(self, model_inputs: Any, **parameters: Any) -> Any:
        """The model's output, and its `input_ids` beside it."""
        output = self.model(**model_inputs, **self._uncached, **parameters)
        return StepOutputs({**dict(output.items()), "input_ids": model_inputs["input_ids"]}, model_inputs)

    def forward(self, model_inputs: Any, **parameters: Any) -> Any:
        """`_forward` on the pipeline's device and without gradients; what comes out is on the CPU."""
        with torch.inference_mode():
            output = self._forward(_moved(model_inputs, self.device), **parameters)
        if isinstance(model_inputs, StepInputs) and isinstance(output, ModelOutput):  # of a _forward of one's own
            output = StepOutputs(dict(output.items()), model_inputs)
        return _moved(output, torch.device("cpu"))

    def postprocess(self, model_outputs: Any, **parameters: Any) -> Any:
        """The answer to one input."""
        asked = getattr(model_outputs, "asked", None)
        if not isinstance(asked, StepInputs):
            raise PipelineError(f"{self.task}: postprocess needs what preprocess and _forward of this class give")
        settings = self.resolve_options(parameters)
        found = self.select(model_outputs, asked.batch, settings)
        return self.answer(asked.item, list(asked.batch.rows), list(found), settings)

    def _check_steps(self) -> bool:
        """Whether steps are overridden; refuses overrides that would never be called, and a pipeline of one's own,
        which cannot be without them, that lacks some."""
        kind, own = type(self), type(self).__name__
        theirs = [part for part in kind.__mro__ if not part.__module__.startswith("lamina.")]
        unused = [name for name in UNCALLED if any(name in vars(part) for part in theirs)]
        given = [name for name in (*STEPS, "forward") if getattr(kind, name) is not getattr(Pipeline, name)]
        if given and not self.steps:
            unused += given
        if unused:
            raise PipelineError(
                f"{own} overrides {unused[0]}, which {self.task} pipelines here never call; "
                "override parse, encode, select or answer of the class it derives from"
            )
        missing = [name for name in STEPS if kind.answer is Pipeline.answer and name not in given]
        if missing:
            raise PipelineError(f"{own} is a pipeline of its own and lacks {', '.join(missing)}")
        return bool(given)

    def _call_stepwise(self, inputs: Any, options: dict[str, Any]) -> Any:
        now = self._sanitize_parameters(**options)
        first, second, third = ({**made, **given} for made, given in zip(self._parameters, now, strict=True))

        def answered(item: Any) -> Any:
            return self.postprocess(self.forward(self.preprocess(item, **first), **second), **third)

        if streamed(inputs):
            return Results(inputs, lambda items: map(answered, items))
        return [answered(item) for item in inputs] if isinstance(inputs, list) else answered(inputs)

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the model's weights."""
        found: torch.dtype = self.model.dtype
        return found

    @property
    def torch_dtype(self) -> torch.dtype:
        """The older name of `dtype`."""
        return self.dtype

    def predict(self, X: Any) -> Any:  # scikit-learn's argument name
        """What a call gives, under the name that scikit-learn looks for."""
        return self(X)

    def transform(self, X: Any) -> Any:
        """What a call gives, under the name that scikit-learn looks for."""
        return self(X)

    def save_pretrained(self, save_directory: str | Path, **kwargs: Any) -> None:
        """Writes model and tokenizer into one folder, which `pipeline(task, model=folder)` reads back."""
        with staged(save_directory, PipelineError):
            self.model.save_pretrained(save_directory, **kwargs)
            self.tokenizer.save_pretrained(save_directory)


def _moved(values: Any, device: torch.device) -> Any:
    for name, value in list(values.items()) if hasattr(values, "items") else ():
        if isinstance(value, torch.Tensor):
            values[name] = value.to(device)
    return values


def untrained(pipe: Any) -> list[str]:
    """Published names of the weights that were drawn at random and that answers of `pipe` depend on."""
    idle = (OTHER_HEADS, POOLER) if pipe.task in VECTORS else (OTHER_HEADS,)
    names = getattr(pipe.model, "untrained", ())
    return [name for name in names if not any(f".{part}" in f".{name}" for part in idle)]


def _random(pipe: Any, names: list[str]) -> str:
    folder = getattr(pipe.model, "name_or_path", "") or "the model"
    return f"{folder} holds no {few(names, 4)}: answers to {pipe.task} would be random"


def refuse_untrained(pipe: Any) -> None:
    """For doors whose readers cannot see a warning: PipelineError where answers would be random."""
    if names := untrained(pipe):
        raise PipelineError(
            f"{_random(pipe, names)}; train it for {pipe.task} first, choose a model that was, or name another task"
        )


@cache
def announce(message: str) -> None:
    """Says it once in a process, on standard error unless logging is set up otherwise."""
    logger.warning(message)
