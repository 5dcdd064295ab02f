"""The public classes of models, configs and tokenizers, each made on first use from the families' tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import ConfigError
from ..families import MODULES, family
from ..families.config import PretrainedConfig
from ..families.keywords import split
from ..files.hub import resolve
from ..files.shown import shown

if TYPE_CHECKING:
    from ..tokenizers.tokenizer import Tokenizer

# What the reference's names of each family's classes begin with: the body, a family's first task, is XModel.
STEMS = {model_type: family(model_type).tasks[0].architecture.removesuffix("Model") for model_type in MODULES}
TOKENIZERS = {stem + "Tokenizer": family(model_type).tokenizer for model_type, stem in STEMS.items()}
TOKENIZERS |= {name: recipe for model_type in MODULES for name, recipe in family(model_type).tokenizers.items()}
TOKENIZERS["PreTrainedTokenizer"] = "json"
AUTO_MODELS = {  # the kinds of spec.KINDS that each picks a family's head by, in this order
    "AutoModel": ("pooled-body", "body"),
    "AutoModelForPreTraining": (
        "next-sentence-pretraining",
        "sentence-order-pretraining",
        "replaced-token",
        "seq2seq-lm",
        "masked-lm",
        "causal-lm",
    ),
    "AutoModelForMaskedLM": ("masked-lm", "seq2seq-lm"),
    "AutoModelForCausalLM": ("causal-lm", "aligned-lm", "double-heads"),
    "AutoModelForSeq2SeqLM": ("seq2seq-lm",),
    "AutoModelForSequenceClassification": ("sequence-classification",),
    "AutoModelForTokenClassification": ("token-classification",),
    "AutoModelForQuestionAnswering": ("question-answering",),
    "AutoModelForMultipleChoice": ("multiple-choice",),
    "AutoModelForNextSentencePrediction": ("next-sentence",),
    "AutoModelForTextEncoding": ("encoder-body", "pooled-body", "body"),
    "AutoModelWithLMHead": ("seq2seq-lm", "masked-lm", "causal-lm"),
}
TOKENIZER_FILES = (
    "config.json",
    "tokenizer.json",
    "tokenizer.*.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "vocab*",
    "merges.txt",
    "*.model",
    "*.spm",
    "*.txt",
)


@cache
def _makers() -> dict[str, Callable[[], Any]]:
    """Every public class here by its name, and what makes it."""
    return {
        "AutoConfig": lambda: AutoConfig,
        "AutoTokenizer": lambda: AutoTokenizer,
        "PreTrainedModel": _pretrained_model,
        **{name: partial(factory, name) for name in AUTO_MODELS},
        **{stem + "Config": partial(config_class, model_type) for model_type, stem in STEMS.items()},
        **{name + suffix: partial(tokenizer_class, name + suffix) for name in TOKENIZERS for suffix in ("", "Fast")},
        **{name: partial(model_class, name) for name in architectures()},
    }


def names() -> list[str]:
    return sorted(_makers())


@cache
def find(name: str) -> Any:
    """The class called `name`; AttributeError where there is none."""
    if name not in _makers():
        raise AttributeError(f"lamina has no {name!r}")
    return _makers()[name]()


@cache
def architectures() -> dict[str, str]:
    """Every model class's name and its family's model_type."""
    return {task.architecture: model_type for model_type in MODULES for task in family(model_type).tasks}


def _pretrained_model() -> Any:
    from .pretrained import PreTrainedModel

    return PreTrainedModel


@cache
def config_class(model_type: str) -> Any:
    doc = f"Configuration of {model_type} models: the keys of its config.json, under either of their spellings."
    members = {"family": family(model_type), "__doc__": doc, "__module__": "lamina"}
    return type(STEMS[model_type] + "Config", (PretrainedConfig,), members)


@cache
def model_class(architecture: str) -> Any:
    """The class that config.json calls `architecture`."""
    from ..nn.model import SingleStackModel
    from ..nn.pair import EncoderDecoderModel

    found = family(architectures()[architecture])
    task = found.task(architecture)
    plain = EncoderDecoderModel if found.paired and task.body is None else SingleStackModel
    network = found.build() if found.build else plain
    members = {
        "family": found,
        "task": task,
        "config_class": config_class(found.model_type),
        "__doc__": f"{found.model_type}, {task.kind.replace('-', ' ')}.",
        "__module__": "lamina",
    }
    return type(task.architecture, (_pretrained_model(), network), members)


@cache
def tokenizer_class(name: str) -> Any:
    recipe = TOKENIZERS[name.removesuffix("Fast")]
    doc = f"The tokenizer of {recipe} checkpoints."
    return type(name, (NamedTokenizer,), {"recipe_name": recipe, "__doc__": doc, "__module__": "lamina"})


def factory(name: str) -> Any:
    doc = f"Models for {', '.join(AUTO_MODELS[name])}, of any family."
    parts = ("encoder-body",) if name == "AutoModel" else ()
    members = {"kinds": AUTO_MODELS[name], "parts": parts, "__doc__": doc, "__module__": "lamina"}
    return type(name, (AutoModelFactory,), members)


class AutoConfig:
    """Configurations by model_type."""

    @staticmethod
    def from_pretrained(name_or_path: str | Path, **options: Any) -> Any:
        """The config of a folder, or of a name in the hub's cache or on the hub; other options override its keys."""
        where, rest = split(options)
        folder = resolve(name_or_path, ("config.json",), **where)
        return config_class(PretrainedConfig.model_type_of(folder)).from_pretrained(folder, **rest)

    @staticmethod
    def for_model(model_type: str, **values: Any) -> Any:
        """A config of `model_type` with the family's defaults."""
        family(model_type)
        return config_class(model_type)(**values)


class AutoModelFactory:
    """Picks a model class by the config's family and this class's kinds of task."""

    kinds: ClassVar[tuple[str, ...]] = ()
    parts: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        raise ConfigError(f"use {type(self).__name__}.from_pretrained(name_or_folder) or .from_config(config)")

    @classmethod
    def class_for(cls, config: PretrainedConfig) -> Any:
        """The model class for `config`: the part of a body that its file says it holds, or by the first of the kinds
        that its family has.
        """
        for task in config.family.tasks:
            if task.kind in cls.parts and task.architecture in (config.architectures or ())[:1]:
                return model_class(task.architecture)
        for kind in cls.kinds:
            for task in config.family.tasks:
                if task.kind == kind:
                    return model_class(task.architecture)
        able = sorted(name for name in MODULES if any(task.kind in cls.kinds for task in family(name).tasks))
        has = {task.kind for task in config.family.tasks}
        raise ConfigError(
            f"{cls.__name__}: {config.family.model_type} has no such head, but those of "
            f"{', '.join(name for name, kinds in AUTO_MODELS.items() if has & {*kinds})}; "
            f"families that do: {', '.join(able)}"
        )

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path | None, *model_args: Any, config: Any = None, **options: Any
    ) -> Any:
        """As PreTrainedModel.from_pretrained, for whatever family the checkpoint is of."""
        found = config
        if not isinstance(found, PretrainedConfig):
            named = name_or_path if found is None else found
            if named is None:
                raise ConfigError(f"{cls.__name__}.from_pretrained(None) needs config= and state_dict=")
            found = AutoConfig.from_pretrained(named, **split(options)[0])
        return cls.class_for(found).from_pretrained(name_or_path, *model_args, config=config, **options)

    @classmethod
    def from_config(cls, config: PretrainedConfig, **options: Any) -> Any:
        """A model with random weights."""
        return cls.class_for(config).from_config(config, **options)


class NamedTokenizer:
    """A tokenizer class under its reference name; `from_pretrained` returns a Tokenizer."""

    recipe_name: ClassVar[str | None] = None

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options: Any) -> Tokenizer:
        """The tokenizer of a folder, or of a name in the hub's cache or on the hub; other options override its own.

        AutoTokenizer takes the class that `tokenizer_type` (a model_type), tokenizer_config.json or the model's config
        (`config`, else config.json) names, in this order, and the model_type's own where none does.
        `use_fast=False` and `from_slow=True` read the original files although there is a tokenizer.json.
        """
        from ..tokenizers.tokenizer import Tokenizer

        where, own = split(options)
        recipe = cls.recipe_name or _recipe(own.pop("tokenizer_type", None))
        own["config"] = _as_mapping(own.get("config"))
        return Tokenizer.from_folder(resolve(name_or_path, TOKENIZER_FILES, **where), recipe=recipe, **own)


class AutoTokenizer(NamedTokenizer):
    """The right tokenizer for any checkpoint: `AutoTokenizer.from_pretrained(name_or_folder)`."""


def _recipe(tokenizer_type: Any) -> str | None:
    """The kind that a model_type stands for, which the caller puts above what the files say."""
    from ..tokenizers.recipes import MODEL_TYPES

    if tokenizer_type is None:
        return None
    if not isinstance(tokenizer_type, str) or tokenizer_type not in MODEL_TYPES:
        raise ConfigError(f"tokenizer_type={shown(tokenizer_type)} is not one of {', '.join(sorted(MODEL_TYPES))}")
    return MODEL_TYPES[tokenizer_type]


def _as_mapping(config: Any) -> Mapping[str, Any] | None:
    found = config.to_dict() if hasattr(config, "to_dict") else config
    if found is not None and not isinstance(found, Mapping):
        raise ConfigError(
            f"config={shown(config)} should be a model's config, such as AutoConfig.from_pretrained gives"
        )
    return found
