"""Weights that an answer would stand on and that no file holds."""

from __future__ import annotations

from typing import Any

from ..errors import PipelineError
from ..files.shown import few
from .notices import announce

POOLER = "pooler."  # makes one vector of a text for a classifier
VECTORS = ("feature-extraction", "sentence-similarity")  # tasks that read token states, whatever a pooler makes of them
OTHER_HEADS = "multiple_choice_head."  # beside the head that writes


def untrained(pipe: Any) -> list[str]:
    """Published names of the weights that were drawn at random and that answers of `pipe` depend on."""
    idle = (OTHER_HEADS, POOLER) if pipe.task in VECTORS else (OTHER_HEADS,)
    names = getattr(pipe.model, "untrained", ())
    return [name for name in names if not any(f".{part}" in f".{name}" for part in idle)]


def _said(pipe: Any, names: list[str]) -> str:
    folder = getattr(pipe.model, "name_or_path", "") or "the model"
    return f"{folder} holds no {few(names, 4)}: answers to {pipe.task} would be random"


def warn_untrained(pipe: Any) -> None:
    """Say so where answers are random, once for each model and task."""
    names = untrained(pipe)
    if names:
        announce(f"{_said(pipe, names)}; train it for {pipe.task}, or choose a model that was")


def refuse_untrained(pipe: Any) -> None:
    """For doors whose readers cannot see a warning: PipelineError where answers would be random."""
    names = untrained(pipe)
    if names:
        raise PipelineError(
            f"{_said(pipe, names)}; train it for {pipe.task} first, choose a model that was, or name another task"
        )
