"""The eight recipes: one module each, with a `Settings` that says what may be asked and a `train` that does it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

RECIPES = (
    "text-classification",
    "language-modeling",
    "token-classification",
    "question-answering",
    "multiple-choice",
    "translation",
    "summarization",
    "sentence-embeddings",
)


def recipe(name: str) -> Any:
    """The module of a recipe, by the name the command line knows it under."""
    return import_module(f"{__name__}.{name.replace('-', '_')}")
