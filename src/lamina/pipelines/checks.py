"""Inputs and numbers that callers give, refused early with a word on what would do."""

from __future__ import annotations

from typing import Any

from ..errors import PipelineError


def checked_text(text: Any, name: str = "the text") -> str:
    """`text`, if it is a string with something in it."""
    if text is None:
        raise PipelineError(f"{name} is None; leave it out, or pass a string")
    if not isinstance(text, str):
        raise PipelineError(f"{name} must be a string, not {type(text).__name__}; several texts go in a list")
    if not text:
        raise PipelineError(f"{name} is empty")
    return text


def checked_count(task: str, name: str, count: Any, least: int = 1) -> int:
    """`count`, if it is a whole number of at least `least`."""
    if isinstance(count, bool) or not isinstance(count, int) or count < least:
        raise PipelineError(f"{task}: {name} is {count!r}; it must be a whole number of at least {least}")
    return count


def checked_top_k(task: str, top_k: Any) -> int | None:
    """`top_k`, if it is a whole number of at least one, or None for everything."""
    return None if top_k is None else checked_count(task, "top_k", top_k)
