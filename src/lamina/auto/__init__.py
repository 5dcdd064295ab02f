"""The public model, config and tokenizer classes, each made when first asked for."""

from .classes import find, names

__all__ = ["find", "names"]
