"""The named classes (BertModel, GPT2LMHeadModel, BertConfig, ...), made on first use from the families' tables."""

from __future__ import annotations

from functools import cache
from typing import Any

from ..families import MODULES, Family, Task, family

CONFIG_NAMES = {
    "albert": "AlbertConfig",
    "bert": "BertConfig",
    "distilbert": "DistilBertConfig",
    "electra": "ElectraConfig",
    "roberta": "RobertaConfig",
}
TOKENIZER_NAMES = {
    "albert": "AlbertTokenizer",
    "bert": "BertTokenizer",
    "distilbert": "DistilBertTokenizer",
    "electra": "ElectraTokenizer",
    "roberta": "RobertaTokenizer",
}


@cache
def architectures() -> dict[str, str]:
    """Every model class's name and its family's model_type."""
    return {task.architecture: model_type for model_type in MODULES for task in family(model_type).tasks}


@cache
def config_class(model_type: str) -> Any:
    """BertConfig and its kin."""
    from ..checkpoint.config import PretrainedConfig

    found = family(model_type)
    name = CONFIG_NAMES[model_type]
    doc = f"Configuration of {model_type} models: the keys of its config.json, under either of their spellings."
    return type(name, (PretrainedConfig,), {"family": found, "__doc__": doc, "__module__": "lamina"})


@cache
def model_class(architecture: str) -> Any:
    """The class that config.json calls `architecture`."""
    found = family(architectures()[architecture])
    return _make(found, found.task(architecture))


def _make(found: Family, task: Task) -> Any:
    from ..nn.pair import EncoderDecoderModel
    from ..nn.single import SingleStackModel
    from .pretrained import PreTrainedModel

    network = found.build() if found.build else EncoderDecoderModel if found.paired and task.body is None else SingleStackModel
    members = {
        "family": found,
        "task": task,
        "config_class": config_class(found.model_type),
        "__doc__": f"{found.model_type}, {task.kind.replace('-', ' ')}.",
        "__module__": "lamina",
    }
    return type(task.architecture, (PreTrainedModel, network), members)


@cache
def tokenizer_class(name: str) -> Any:
    """BertTokenizer, BertTokenizerFast and their kin: the one tokenizer, told its recipe."""
    from .tokenizer import NamedTokenizer

    model_type = next(key for key, value in TOKENIZER_NAMES.items() if value == name.removesuffix("Fast"))
    recipe = family(model_type).tokenizer
    doc = f"The tokenizer of {model_type} checkpoints."
    return type(name, (NamedTokenizer,), {"recipe_name": recipe, "__doc__": doc, "__module__": "lamina"})
