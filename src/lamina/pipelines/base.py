"""What all pipelines share: texts in, rows of like length through the model, answers out in input order."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch

from ..errors import LaminaError, PipelineError
from ..files.atomic import staged
from ..inference.batching import WINDOW, run_by_length, windows
from ..inference.budget import token_budget
from ..inference.workers import abreast, side_by_side
from ..nn.layouts import packs_well
from ..nn.model import Model, packable, read_packed
from ..tokenizers.tokenizer import Tokenizer
from .checks import Advice, AdvisedError, input_name, named, unknown_argument
from .devices import choose_device
from .limits import longest_row
from .progress import track
from .rows import Batch, Row, pack_rows, packs, pad_rows
from .sources import Results, gathered, streamed
from .stepwise import Stepwise
from .untrained import warn_untrained

logger = logging.getLogger(__name__)

Settings = TypeVar("Settings")


class Pipeline(Stepwise, Generic[Settings]):
    """Texts to answers with one model: the frame that every task fills in.

    `model` is a model of ours and `tokenizer` its tokenizer; `device` None is accelerator 0 if there is one, else the
    CPU; `batch_size` is the most rows in one pass (None: as many as a token budget allows). `num_workers`, `framework`,
    `modelcard`, `feature_extractor`, `image_processor`, `processor`, `dtype`, `torch_dtype`, `binary_output` and
    `args_parser` are taken for the sake of existing code. All else are options of the task; a call may override them.
    """

    kinds: ClassVar[tuple[str, ...]] = ()  # of models that can do the task; empty: any
    loader: ClassVar[str] = "AutoModel"  # what loads one
    ignored: ClassVar[tuple[str, ...]] = ()  # options that other tasks know, taken without effect
    window: ClassVar[int] = WINDOW  # inputs in memory at once
    advice: ClassVar[tuple[Advice, ...]] = (("truncation", True, "to cut it off"),)  # where a text is too long

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
        _refuse_other_frameworks(framework)
        if feature_extractor or image_processor or processor:
            raise PipelineError("pipelines here read text only: no feature extractor, image processor or processor")
        self.task = task or type(self).task_name()
        if tokenizer is None:
            raise PipelineError(f"{self.task}: a pipeline needs a tokenizer; pass tokenizer=")
        self.tokenizer: Tokenizer = tokenizer
        self.model = model.eval()
        self.device = choose_device(device, model.device)
        self._check_head()
        if model.device != self.device:
            model.to(self.device)
        # One pass needs no keys and values kept for a next one.
        kept = "use_cache" in inspect.signature(self.model.forward).parameters
        self._uncached = {"use_cache": False} if kept else {}
        self.framework = "pt"
        self.modelcard = modelcard
        self.batch_size = _checked_batch_size(batch_size)
        warn_untrained(self)
        self._begin(options)

    def _begin(self, options: dict[str, Any]) -> None:
        """The settings of a pipeline that was made with these options."""
        bare = type(self).encode is Pipeline.encode
        stepwise = self._check_steps(bare)
        if not bare:
            self.settings: Settings = self.defaults()
        if stepwise:
            self._begin_stepwise(options)
        else:
            self.settings = self._settled(options)

    @classmethod
    def task_name(cls) -> str:
        """The task as `pipeline(...)` calls it, for messages of a pipeline made without one."""
        return cls.__name__.removesuffix("Pipeline")

    def defaults(self) -> Settings:
        """The settings of a pipeline that was given no options."""
        raise NotImplementedError

    def settle(self, *args: Any, **options: Any) -> Settings:
        """`self.settings` with the options that a caller gave, checked; the signature lists all that the task knows."""
        raise NotImplementedError

    def parse(self, item: Any, settings: Settings) -> Any:
        """One input as the task understands it; raises PipelineError where it makes no sense."""
        raise NotImplementedError

    def encode(self, items: Sequence[Any], settings: Settings) -> list[list[Row]]:
        """The model's rows for each parsed input: one, or several where a text is cut or asked about repeatedly."""
        raise NotImplementedError

    def select(self, output: Any, batch: Batch, settings: Settings) -> Sequence[Any]:
        """What the task needs of a model output, for each row, off the device and free of padding."""
        raise NotImplementedError

    def answer(self, item: Any, rows: list[Row], found: list[Any], settings: Settings) -> Any:
        """The answer to one input, from what `select` kept of its rows."""
        raise NotImplementedError

    def __call__(
        self, inputs: Any, *, batch_size: int | None = None, num_workers: int | None = None, **options: Any
    ) -> Any:
        """The answer to one input, a list of answers to a list, an iterator of answers to a generator or dataset.

        `batch_size` and the options override what the pipeline was made with, for this call.
        """
        if self.stepwise:
            return self._call_stepwise(gathered(inputs), options)
        return self._answer(gathered(inputs), self._settled(options), batch_size)

    def _answer(self, inputs: Any, settings: Settings, batch_size: int | None) -> Any:
        """One answer, a list, or an iterator, as `inputs` is."""
        rows = self.batch_size if batch_size is None else _checked_batch_size(batch_size)
        if streamed(inputs):
            ahead = None if hasattr(inputs, "__len__") else rows or 1
            window = rows if rows and ahead else self.window
            return Results(inputs, lambda items: self._answers(items, settings, rows, window, ahead))
        if not isinstance(inputs, list):
            return next(self._answers([inputs], settings, rows, numbered=False))
        # Whatever is wrong with an input is said before any other is computed.
        parsed = [self._parse(item, settings, input_name(number)) for number, item in enumerate(inputs)]
        return list(track(self._answers(parsed, settings, rows, parsed=True), len(inputs), self.task))

    def _answers(
        self,
        items: Iterable[Any],
        settings: Settings,
        batch_size: int | None,
        window: int | None = None,
        ahead: int | None = None,
        numbered: bool = True,
        parsed: bool = False,
    ) -> Iterator[Any]:
        """Answers in input order; at most `window` inputs are held at once, `ahead` in the first window."""
        first = 0
        for run in windows(items, window or self.window, ahead):
            names = [input_name(first + place) if numbered else "" for place in range(len(run))]
            if not parsed:
                run = [self._parse(item, settings, name) for item, name in zip(run, names, strict=True)]
            for item, rows, found in self._found(run, names, settings, batch_size):
                yield self.answer(item, rows, found, settings)
            first += len(run)

    def _found(
        self, parsed: list[Any], names: list[str], settings: Settings, batch_size: int | None
    ) -> Iterator[tuple[Any, list[Row], list[Any]]]:
        """Each input with its rows and what `select` kept of them; `names` stand before messages about an input."""
        groups = self.encode_named(parsed, names, settings)
        found = iter(self._run([row for group in groups for row in group], settings, batch_size))
        for item, group in zip(parsed, groups, strict=True):
            yield item, group, [next(found) for _ in group]

    def encode_named(self, parsed: Sequence[Any], names: Sequence[str], settings: Settings) -> list[list[Row]]:
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

    def _run(self, rows: list[Row], settings: Settings, batch_size: int | None) -> list[Any]:
        """What `select` keeps of every row, in their order, computed in batches of like length."""
        packed = self._packs(rows)
        wide = abreast(self.model) if packed else 1
        return run_by_length(
            rows,
            lambda batch: self._infer_packed(batch, settings) if packed else self._infer(batch, settings),
            len,
            tokens=token_budget(self.device.type),
            batch_size=batch_size if packed else self._batch_size(batch_size),
            packed=packed,
            abreast=wide,
            each=side_by_side if wide > 1 else map,
        )

    def _batch_size(self, asked: int | None) -> int | None:
        """The most rows of a batch: one for a tokenizer that cannot pad."""
        if self.tokenizer.pad_token_id is not None:
            return asked
        if asked not in (None, 1):
            raise PipelineError(
                f"{self.task}: batch_size={asked} needs a padding token, and this tokenizer has none; "
                "set tokenizer.pad_token, or leave batch_size out"
            )
        return 1

    def _parse(self, item: Any, settings: Settings, name: str) -> Any:
        try:
            return self.parse(item, settings)
        except PipelineError as error:
            raise named(error, name) from None

    def _packs(self, rows: list[Row]) -> bool:
        """Whether rows go through the model end to end, without padding."""
        model = self.model
        plain = isinstance(model, Model) and packable(model) and not model.wants("output_attentions", None)
        return plain and packs_well(self.device, model.dtype) and packs(rows)

    def _infer(self, rows: list[Row], settings: Settings) -> Sequence[Any]:
        """One pass of the model over `rows`."""
        batch = pad_rows(rows, self.tokenizer, self.device)
        with torch.inference_mode():
            return self.select(self.model(**batch.inputs, **self._uncached), batch, settings)

    def _infer_packed(self, rows: list[Row], settings: Settings) -> Sequence[Any]:
        """The same without padding."""
        batch, lengths = pack_rows(rows, self.device)
        types = batch.inputs.get("token_type_ids")
        with torch.inference_mode():
            output = read_packed(self.model, batch.inputs["input_ids"], lengths, types)
            return self.select(output, batch, settings)

    def _settled(self, options: dict[str, Any]) -> Settings:
        """`settle`, with a message of ours where an option is unknown."""
        parameters = inspect.signature(self.settle).parameters
        known = [name for name, parameter in parameters.items() if parameter.kind is not parameter.VAR_KEYWORD]
        idle = [name for name in options if name in self.ignored and name not in known]
        if idle:
            logger.warning("%s: %s has no effect on this task", self.task, ", ".join(idle))
        unknown = [name for name in options if name not in known and name not in idle]
        if unknown and len(known) == len(parameters):
            raise PipelineError(f"{self.task} {unknown_argument(unknown[0], known)}")
        return self.settle(**{name: value for name, value in options.items() if name not in idle})

    def _check_head(self) -> None:
        """Refuses a model that was made for something else."""
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
                if limit is not None and len(row) > limit:
                    raise self.too_long(
                        f"{name}{self.task}: the text has {len(row)} tokens and the model reads {limit}"
                    )

    def too_long(self, what: str) -> AdvisedError:
        """The refusal of a text with more tokens than the model reads."""
        return AdvisedError(f"{what} at most", *self.advice, otherwise="shorten it, or split it")

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


def _refuse_other_frameworks(framework: str | None) -> None:
    if framework not in (None, "pt"):
        raise PipelineError(f"framework={framework!r}: models here run on PyTorch; pass 'pt' or leave it out")


def _checked_batch_size(batch_size: int | None) -> int | None:
    if batch_size is not None and (not isinstance(batch_size, int) or batch_size < 1):
        raise PipelineError(f"batch_size is {batch_size!r}; it must be a whole number of at least 1")
    return batch_size
