"""The public model, config and tokenizer classes, each made when first asked for."""

from __future__ import annotations

from functools import cache
from typing import Any

from .classes import CONFIG_NAMES, TOKENIZERS, architectures, config_class, model_class, tokenizer_class

PLAIN = {
    "AutoConfig": "factories",
    "AutoTokenizer": "tokenizer",
    "PreTrainedModel": "pretrained",
}


@cache
def names() -> list[str]:
    """Everything `find` answers to."""
    from .factories import KINDS

    tokenizers = [name + suffix for name in TOKENIZERS for suffix in ("", "Fast")]
    return sorted([*PLAIN, *KINDS, *CONFIG_NAMES.values(), *tokenizers, *architectures()])


@cache
def find(name: str) -> Any:
    """The class called `name`; AttributeError where there is none."""
    if name in PLAIN:
        from importlib import import_module

        return getattr(import_module(f".{PLAIN[name]}", __name__), name)
    if name.removesuffix("Fast") in TOKENIZERS:
        return tokenizer_class(name)
    for model_type, config in CONFIG_NAMES.items():
        if config == name:
            return config_class(model_type)
    if name.startswith("Auto"):
        from .factories import KINDS, factory

        if name in KINDS:
            return factory(name)
    if name in architectures():
        return model_class(name)
    raise AttributeError(f"lamina has no {name!r}")
