"""The named classes (BertModel, GPT2LMHeadModel, BertConfig, ...), made on first use from the families' tables."""

from __future__ import annotations

from functools import cache
from typing import Any

from ..families import MODULES, Family, Task, family

STEMS = {  # what the reference calls each family's config and tokenizer classes
    "albert": ("Albert", "Albert"),
    "bart": ("Bart", "Bart"),
    "bert": ("Bert", "Bert"),
    "ctrl": ("CTRL", "CTRL"),
    "distilbert": ("DistilBert", "DistilBert"),
    "electra": ("Electra", "Electra"),
    "gpt2": ("GPT2", "GPT2"),
    "marian": ("Marian", "Marian"),
    "mbart": ("MBart", "MBart"),
    "openai-gpt": ("OpenAIGPT", "OpenAIGPT"),
    "roberta": ("Roberta", "Roberta"),
    "t5": ("T5", "T5"),
    "transfo-xl": ("TransfoXL", "TransfoXL"),
}
CONFIG_NAMES = {model_type: stems[0] + "Config" for model_type, stems in STEMS.items()}
TOKENIZERS = {stems[1] + "Tokenizer": family(model_type).tokenizer for model_type, stems in STEMS.items()} | {
    "MBart50Tokenizer": "mbart50",
    "ByT5Tokenizer": "byt5",
    "PreTrainedTokenizer": "json",
}


@cache
def architectures() -> dict[str, str]:
    """Every model class's name and its family's model_type."""
    return {task.architecture: model_type for model_type in MODULES for task in family(model_type).tasks}


@cache
def config_class(model_type: str) -> Any:
    """BertConfig and its kin."""
    from ..families.config import PretrainedConfig

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
    from ..nn.model import SingleStackModel
    from ..nn.pair import EncoderDecoderModel
    from .pretrained import PreTrainedModel

    network = (
        found.build()
        if found.build
        else EncoderDecoderModel
        if found.paired and task.body is None
        else SingleStackModel
    )
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

    recipe = TOKENIZERS[name.removesuffix("Fast")]
    doc = f"The tokenizer of {recipe} checkpoints."
    return type(name, (NamedTokenizer,), {"recipe_name": recipe, "__doc__": doc, "__module__": "lamina"})
