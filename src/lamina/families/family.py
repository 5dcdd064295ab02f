"""What a family is: data that turns a `config.json` into a spec and a checkpoint's names into ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import ConfigError
from ..files.shown import shown
from ..spec import HeadSpec, ModelSpec, Pooler
from .names import Table, under

Config = Mapping[str, Any]
Weights = Mapping[str, Any]  # names of a checkpoint and its tensors


def stored(weights: Weights, name: str, prefix: str) -> str | None:
    """What a checkpoint calls the body's tensor `name`: files have the body's prefix or lack it."""
    return next((way for way in (prefix + name, name) if way in weights), None)


def expect(c: Config, head: str, **values: Any) -> None:
    """ConfigError where a config asks of a head what is not there."""
    for key, value in values.items():
        if c.get(key, value) != value:
            raise ConfigError(f"{key}={shown(c[key])}: the {head} head is known only with {key}={value!r}")


@dataclass(frozen=True)
class Task:
    """A head: how `config.json` calls it, what it is made of, what its tensors are called."""

    architecture: str
    kind: str  # "masked-lm", "sequence-classification", ...: a key of spec.KINDS
    head: Callable[[Config], HeadSpec] | None = None
    names: Table | Callable[[Config], Table] = field(default_factory=dict)
    second_head: Callable[[Config], HeadSpec] | None = None
    pooled: bool = False
    prefix: str | None = None  # where it is not the family's
    body: str | None = None  # "encoder" | "decoder" where the task keeps one side of the family only
    config: Mapping[str, Any] = field(default_factory=dict)  # what the task implies, such as is_decoder


@dataclass(frozen=True)
class Family:
    """One `model_type`: everything the rest of the package knows about it."""

    model_type: str
    prefix: str  # stands before body names wherever a head is present
    spec: Callable[[Config], ModelSpec]
    names: Callable[[Config], Table]
    tasks: tuple[Task, ...]
    defaults: Mapping[str, Any]  # what a config.json may leave out
    tokenizer: str  # a recipe of tokenizers/recipes.py
    aliases: Mapping[str, str] = field(default_factory=dict)  # hidden_size -> n_embd: both spellings answer
    meant: Callable[[Config], Mapping[str, Any]] | None = None  # a config.json in the words that `spec` reads
    derived: Callable[[Config], Mapping[str, Any]] | None = None  # what a key that is absent or null stands for
    fixed: Mapping[str, Any] = field(default_factory=dict)  # keys that may say one thing, since no other is known
    optional: tuple[str, ...] = ()  # keys without a default that are read where a config has them
    fitted: Callable[[Config, Weights], Mapping[str, Any]] = lambda c, weights: {}  # what only the file's tensors tell
    ignored: tuple[str, ...] = ()  # checkpoint names that carry nothing
    pooler: Callable[[Config], Pooler] | None = None
    paired: bool = False  # an encoder and a decoder
    tokenizers: Mapping[str, str] = field(default_factory=dict)  # further public classes and their recipes
    build: Callable[[], Any] | None = None  # returns the class of a network that is not a plain stack (Transformer-XL)

    def task(self, architecture: str) -> Task:
        """The task that `config.json` calls `architecture`."""
        return next(task for task in self.tasks if task.architecture == architecture)

    def model_spec(self, config: Config, task: Task) -> ModelSpec:
        """The whole model of one task."""
        spec = self.spec(config)
        return replace(
            spec,
            encoder=None if task.body == "decoder" and spec.encoder and spec.decoder else spec.encoder,
            decoder=None if task.body == "encoder" else spec.decoder,
            pooler=self.pooler(config) if task.pooled and self.pooler else None,
            head=task.head(config) if task.head else None,
            second_head=task.second_head(config) if task.second_head else None,
        )

    def table(self, config: Config, task: Task) -> Table:
        """The names of one task's tensors, ours to theirs."""
        head = task.names(config) if callable(task.names) else task.names
        prefix = task.prefix if task.prefix is not None else self.prefix if task.head else ""
        return {**under("", prefix, self.names(config)), **head}


def renamed(family: Family, model_type: str, old: str, new: str, tokenizer: str = "", **defaults: Any) -> Family:
    """The same network and tensors under another `model_type`: class names begin with `new` in place of `old`."""
    tasks = tuple(replace(task, architecture=task.architecture.replace(old, new, 1)) for task in family.tasks)
    return replace(
        family,
        model_type=model_type,
        tasks=tasks,
        defaults={**family.defaults, **defaults},
        tokenizer=tokenizer or family.tokenizer,
    )
