"""AutoModel, AutoModelForX and AutoConfig: the class that a checkpoint's config asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from ..errors import ConfigError
from ..families import MODULES, family
from ..families.config import PretrainedConfig
from ..families.keywords import settled
from ..files.hub import WHERE, resolve
from .classes import config_class, model_class


class AutoConfig:
    """Configurations by model_type."""

    @staticmethod
    def from_pretrained(name_or_path: str | Path, **options: Any) -> Any:
        """The config of a folder, or of a name in the hub's cache or on the hub; other options override its keys."""
        where = {name: value for name, value in settled(options).items() if name in WHERE}
        folder = resolve(name_or_path, ("config.json",), **where)
        rest = {name: value for name, value in options.items() if name not in (*WHERE, "use_auth_token")}
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
        raise ConfigError(
            f"{cls.__name__}: {config.family.model_type} has no such head; families that do: {', '.join(able)}"
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
            where = {name: value for name, value in settled(options).items() if name in WHERE}
            found = AutoConfig.from_pretrained(named, **where)
        return cls.class_for(found).from_pretrained(name_or_path, *model_args, config=config, **options)

    @classmethod
    def from_config(cls, config: PretrainedConfig, **options: Any) -> Any:
        """A model with random weights."""
        return cls.class_for(config).from_config(config, **options)


KINDS = {
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
    "AutoModelForCausalLM": ("causal-lm", "aligned-lm"),
    "AutoModelForSeq2SeqLM": ("seq2seq-lm",),
    "AutoModelForSequenceClassification": ("sequence-classification",),
    "AutoModelForTokenClassification": ("token-classification",),
    "AutoModelForQuestionAnswering": ("question-answering",),
    "AutoModelForMultipleChoice": ("multiple-choice",),
    "AutoModelForNextSentencePrediction": ("next-sentence",),
    "AutoModelForTextEncoding": ("encoder-body", "pooled-body", "body"),
    "AutoModelWithLMHead": ("seq2seq-lm", "masked-lm", "causal-lm"),
}


def factory(name: str) -> Any:
    """The auto class called `name`."""
    doc = f"Models for {', '.join(KINDS[name])}, of any family."
    parts = ("encoder-body",) if name == "AutoModel" else ()
    members = {"kinds": KINDS[name], "parts": parts, "__doc__": doc, "__module__": "lamina"}
    return type(name, (AutoModelFactory,), members)
