"""What all recipes are told, and the four things all of them do: load, choose arguments, fit, hand over."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch

from ...auto import find
from ...errors import DataError, TrainingError
from ...inference.rows import UNLIMITED, longest_row
from ..arguments import TrainingArguments
from ..callbacks import EarlyStoppingCallback
from ..folders import check_free, checkpoints, get_last_checkpoint, occupied
from ..lora import add_lora
from ..tables import Table
from .card import Card, write_card

KINDS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "bool": (bool,),
    "None": (type(None),),
}
WRITTEN = ("config.json", "model.safetensors", "tokenizer_config.json", "README.md")
BATCH = 1000  # texts tokenized at a time


@dataclass(frozen=True)
class RecipeSettings:
    """The model to start from, the data, where to write, and the few numbers that are changed most.

    `train` and `eval` are files or objects with `__len__` and `__getitem__`. `save_steps` counts optimizer steps; left
    out, a checkpoint is written after every epoch. `resume` goes on from the newest complete checkpoint in `output`.
    `from_scratch` takes the model's config alone and draws its weights. `lora` is the rank of small matrices that are
    trained in the weights' stead. `early_stopping` is the number of evaluations in a row that may bring nothing better;
    the best weights are kept. `arguments` are further TrainingArguments.
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
    lora: int | None = None
    early_stopping: int | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "output", Path(self.output))
        for each in fields(self):
            check_kind(each, getattr(self, each.name))
        if self.early_stopping is not None and self.eval is None:
            raise TrainingError("early_stopping needs something to evaluate on: give eval")
        if self.early_stopping is not None and self.early_stopping < 1:
            raise TrainingError(
                f"early_stopping is {self.early_stopping}: evaluations in a row without gain, at least 1"
            )
        check_output(self)

    @property
    def sources(self) -> list[Any]:
        """What there is to read: `train`, and `eval` where it was given."""
        return [self.train] if self.eval is None else [self.train, self.eval]


def check_output(settings: RecipeSettings) -> None:
    """Refuse, before anything is read, a folder in which another run is under way, or in which files would be lost."""
    output = settings.output
    if os.environ.get("RANK", "0") == "0":  # the others come when the first has it
        check_free(output)
    if settings.arguments.get("overwrite_output_dir"):
        return
    if checkpoints(output):
        if not settings.resume:
            raise TrainingError(
                f"{output} holds checkpoints of another run: go on from them with resume, or choose another folder"
            )
    elif there := [name for name in WRITTEN if (output / name).exists()]:
        raise TrainingError(
            f"{output} holds {', '.join(there)}, which this run would write over, and no checkpoint to go on from: "
            "choose another folder, or pass overwrite_output_dir=True"
        )


def check_kind(setting: Field[Any], value: Any) -> None:
    """Refuse text for a number and the like; settings that may be anything are not looked at."""
    names = str(setting.type).split(" | ")
    if not all(name in KINDS for name in names):
        return
    kinds = tuple(kind for name in names for kind in KINDS[name])
    if not isinstance(value, kinds) or (isinstance(value, bool) and "bool" not in names):
        wanted = " or ".join(name for name in names if name != "None")
        raise TrainingError(f"{setting.name}={value!r} should be {wanted}")


def tables_of(tables: Sequence[Table]) -> dict[str, Table]:
    """The tables of the sources by their part, for the card."""
    return dict(zip(("train", "eval"), tables, strict=False))


def datasets_of(rows: Sequence[Any]) -> dict[str, Any]:
    """The rows made of the sources, as Trainer takes them."""
    return {"train_dataset": rows[0], "eval_dataset": rows[1] if len(rows) > 1 else None}


def load_tokenizer(settings: RecipeSettings, **options: Any) -> Any:
    return find("AutoTokenizer").from_pretrained(settings.model, **options)


def load_model(settings: RecipeSettings, factory: str, **config: Any) -> Any:
    """A model of the auto class called `factory`, with `config` changed.

    A head that the checkpoint has not is drawn from the seed.
    """
    torch.manual_seed(settings.seed)
    if settings.from_scratch:
        model = find(factory).from_config(find("AutoConfig").from_pretrained(settings.model, **config))
    else:
        model = find(factory).from_pretrained(settings.model, ignore_mismatched_sizes=True, **config)
    return model if settings.lora is None else add_lora(model, settings.lora)


def give_padding(tokenizer: Any, model: Any) -> None:
    """Let a model that has no padding of its own, such as GPT-2, pad with its end of text."""
    if tokenizer.pad_token_id is not None:
        return
    if tokenizer.eos_token is None:
        raise DataError("the tokenizer has neither a padding token nor an end of text to pad with")
    tokenizer.pad_token = tokenizer.eos_token
    model.config.pad_token_id = tokenizer.pad_token_id


def longest(settings: RecipeSettings, tokenizer: Any, usual: int, model: Any) -> int:
    """How many tokens a row may have: as asked, else the usual number where tokenizer and model read as many."""
    room = min(int(tokenizer.model_max_length), longest_row(model) or UNLIMITED)
    if settings.max_length is not None and settings.max_length > max(room, 1):
        raise DataError(f"max_length is {settings.max_length}, but the model reads at most {room} tokens")
    return min(usual, room) if settings.max_length is None else settings.max_length


def training_arguments(settings: RecipeSettings, kind: Any = TrainingArguments, **usual: Any) -> Any:
    """The arguments of this run; `settings.arguments` go before what is usual for the recipe."""
    known = {each.name: each for each in fields(kind)}
    for name in settings.arguments:
        if name not in known:
            near = ", ".join(get_close_matches(name, known, n=3))
            hint = f"did you mean {near}?" if near else "TrainingArguments documents those that there are"
            raise TrainingError(f"no training argument {name!r}; {hint}")
        check_kind(known[name], settings.arguments[name])
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
    if settings.early_stopping is not None:
        chosen |= {"metric_for_best_model": "loss", "load_best_model_at_end": True}
        if settings.save_steps:
            chosen |= {"eval_strategy": "steps", "eval_steps": settings.save_steps}
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
    if settings.early_stopping is not None:
        trainer.add_callback(EarlyStoppingCallback(settings.early_stopping))
    with occupied(settings.output, trainer.args.ranks):
        trainer.train(resume_from_checkpoint=newest_checkpoint(settings))
        results = {} if settings.eval is None else finish(evaluated(trainer, fresh=settings.resume))
        trainer.save_model(str(settings.output))
        if trainer.args.process_index == 0:
            history = list(trainer.state.log_history)
            write_card(settings.output, Card(task, settings, trainer.args, results, history, tables))
    return results


def newest_checkpoint(settings: RecipeSettings) -> str | None:
    """The newest complete checkpoint of the output folder, where a run is to go on; None starts from the beginning."""
    return get_last_checkpoint(settings.output) if settings.resume else None


def evaluated(trainer: Any, fresh: bool) -> dict[str, float]:
    """The scores of the trained weights: those found at the last step where there are some, unless `fresh` ones."""
    evaluations = [entry for entry in trainer.state.log_history if "eval_runtime" in entry]
    current = bool(evaluations) and evaluations[-1].get("step") == trainer.state.global_step
    if fresh or not current or trainer.args.load_best_model_at_end:
        return dict(trainer.evaluate())
    return {name: value for name, value in evaluations[-1].items() if name != "step"}
