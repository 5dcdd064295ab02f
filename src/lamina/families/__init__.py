"""The families, one file of data each, imported when first asked for."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from ..errors import ConfigError
from .family import Family, Task

MODULES = {
    "albert": "albert",
    "bart": "bart",
    "bert": "bert",
    "blenderbot": "blenderbot",
    "bloom": "bloom",
    "camembert": "camembert",
    "ctrl": "ctrl",
    "deberta-v2": "deberta_v2",
    "distilbert": "distilbert",
    "electra": "electra",
    "gpt2": "gpt2",
    "gpt_neo": "gpt_neo",
    "gpt_neox": "gpt_neox",
    "m2m_100": "m2m_100",
    "marian": "marian",
    "mbart": "mbart",
    "modernbert": "modernbert",
    "mpnet": "mpnet",
    "mt5": "mt5",
    "openai-gpt": "gpt",
    "opt": "opt",
    "pegasus": "pegasus",
    "rembert": "rembert",
    "roberta": "roberta",
    "t5": "t5",
    "transfo-xl": "transfo_xl",
    "umt5": "umt5",
    "xlm-roberta": "xlm_roberta",
}

__all__ = ["MODULES", "Family", "Task", "family"]


@cache
def family(model_type: str) -> Family:
    """The family that config.json calls `model_type`."""
    if model_type not in MODULES:
        raise ConfigError(f"unknown model_type {model_type!r}: the families here are {', '.join(sorted(MODULES))}")
    found: Family = import_module(f".{MODULES[model_type]}", __name__).FAMILY
    return found
