"""What all recipes are told, and the four things all of them do: load, choose arguments, fit, hand over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from ...auto import find
from ...errors import DataError, TrainingError
from ...pipelines.limits import UNLIMITED, longest_row
from ..arguments import TrainingArguments
from ..folders import checkpoints, get_last_checkpoint
from ..tables import Table
from .card import Card, write_card

BATCH = 1000  # texts tokenized at a time


@dataclass(frozen=True)
class RecipeSettings:
    """The model to start from, the data, where to write, and the few numbers that are changed most.

    `train` and `eval` are files or objects with `__len__` and `__getitem__`. `save_steps` counts optimizer steps; left
    out, a checkpoint is written after every epoch. `resume` goes on from the newest complete checkpoint in `output`.
    `from_scratch` takes the model's config alone and draws its weights. `arguments` are further TrainingArguments.
    """

    model: str
    train: Any
    output: Path
    eval: Any = None
    epochs: float = 3.0
    batch_size: int = 16
    learning_rate: float = 2e-5
    seed: int = 42
    save_steps: int | None = None
    resume: bool = False
    from_scratch: bool = False
    max_length: int | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "output", Path(self.output))
        if not self.resume and checkpoints(self.output):
            raise TrainingError(
                f"{self.output} holds checkpoints of another run: go on from them with resume, or choose another folder"
            )


def load_tokenizer(settings: RecipeSettings, **options: Any) -> Any:
    """The model's tokenizer."""
    return find("AutoTokenizer").from_pretrained(settings.model, **options)


def load_model(settings: RecipeSettings, factory: str, **config: Any) -> Any:
    """A model of the auto class called `factory`, with `config` changed.

    A head that the checkpoint has not is drawn from the seed.
    """
    torch.manual_seed(settings.seed)
    if settings.from_scratch:
        return find(factory).from_config(find("AutoConfig").from_pretrained(settings.model, **config))
    return find(factory).from_pretrained(settings.model, ignore_mismatched_sizes=True, **config)


def longest(settings: RecipeSettings, tokenizer: Any, usual: int, model: Any) -> int:
    """How many tokens a row may have: as asked, else the usual number where tokenizer and model read as many."""
    room = min(int(tokenizer.model_max_length), longest_row(model) or UNLIMITED)
    if settings.max_length is not None and settings.max_length > max(room, 1):
        raise DataError(f"max_length is {settings.max_length}, but the model reads at most {room} tokens")
    return min(usual, room) if settings.max_length is None else settings.max_length


def training_arguments(settings: RecipeSettings, kind: Any = TrainingArguments, **usual: Any) -> Any:
    """The arguments of this run; `settings.arguments` go before what is usual for the recipe."""
    known = {each.name for each in fields(kind)}
    for name in settings.arguments:
        if name not in known:
            raise TrainingError(f"no training argument {name!r}; TrainingArguments documents those that there are")
    when = "steps" if settings.save_steps else "epoch"
    chosen: dict[str, Any] = {
        "output_dir": str(settings.output),
        "num_train_epochs": settings.epochs,
        "per_device_train_batch_size": settings.batch_size,
        "per_device_eval_batch_size": 2 * settings.batch_size,
        "learning_rate": settings.learning_rate,
        "seed": settings.seed,
        "save_strategy": when,
        "eval_strategy": "no" if settings.eval is None else "epoch",
        "logging_steps": 50,
        "save_total_limit": 3,
    }
    if settings.save_steps:
        chosen["save_steps"] = settings.save_steps
    return kind(**{**chosen, **usual, **settings.arguments})


def encoded_rows(
    tokenizer: Any, first: Sequence[Any], second: Sequence[Any] | None = None, **options: Any
) -> Iterator[dict[str, Any]]:
    """The tokenizer's answer for each text or pair, as rows."""
    for start in range(0, len(first), BATCH):
        pairs = (second[start : start + BATCH],) if second is not None else ()
        encoded = tokenizer(list(first[start : start + BATCH]), *pairs, **options)
        for index in range(len(encoded["input_ids"])):
            yield {name: values[index] for name, values in encoded.items()}


def fit(
    trainer: Any,
    settings: RecipeSettings,
    task: str,
    tables: Mapping[str, Table | None],
    finish: Callable[[dict[str, float]], dict[str, float]] = dict,
) -> dict[str, float]:
    """Train, evaluate, and leave in the output folder a model that `pipeline(task, folder)` loads, and its card.

    `finish` makes the results that are told of those that the trainer found.
    """
    trainer.train(resume_from_checkpoint=newest_checkpoint(settings))
    results = finish(dict(trainer.evaluate())) if settings.eval is not None else {}
    trainer.save_model(str(settings.output))
    if trainer.args.process_index == 0:
        trainer.processing_class.save_pretrained(str(settings.output))
        history = list(trainer.state.log_history)
        write_card(settings.output, Card(task, settings, trainer.args, results, history, tables))
    return results


def newest_checkpoint(settings: RecipeSettings) -> str | None:
    """The newest complete checkpoint of the output folder, where a run is to go on; None starts from the beginning."""
    return get_last_checkpoint(settings.output) if settings.resume else None
