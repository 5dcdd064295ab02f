"""Inputs and numbers that callers give, refused early with a word on what would do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any

from ..errors import LaminaError, PipelineError
from ..files.shown import shown

Advice = tuple[str, Any, str]  # an option, a value of it, and what that would do
Spelling = Callable[[str, Any], str | None]  # how a door writes an option; None where it has no such option


class AdvisedError(PipelineError):
    """A refusal that an option would have prevented; `said` gives it with the options as another door writes them."""

    def __init__(self, what: str, *options: Advice, otherwise: str = "shorten it"):
        self.what, self.options, self.otherwise = what, options, otherwise
        super().__init__(self.said(in_python))

    def said(self, spelling: Spelling) -> str:
        """The message for those who came through a door that spells options so; what it has no option for is left
        out."""
        spelled = [(spelling(name, value), effect) for name, value, effect in self.options]
        ways = [f"{option} {effect}" for option, effect in spelled if option]
        return f"{self.what}; " + ("pass " + ", or ".join(ways) if ways else self.otherwise)

    def at(self, name: str) -> AdvisedError:
        """The same of an input that is called `name`."""
        return AdvisedError(f"{name}{self.what}", *self.options, otherwise=self.otherwise)

    def __reduce__(self) -> tuple[Any, ...]:
        return _advised, (self.what, self.options, self.otherwise), vars(self)


def _advised(what: str, options: tuple[Advice, ...], otherwise: str) -> AdvisedError:
    return AdvisedError(what, *options, otherwise=otherwise)


def in_python(name: str, value: Any) -> str:
    """An option as Python writes it."""
    return f'{name}="{value}"' if isinstance(value, str) else f"{name}={value}"


def input_name(number: int) -> str:
    """What stands before a message about one of several inputs."""
    return f"input {number}: "


def named(error: LaminaError, name: str) -> PipelineError:
    """The same refusal, of the input called `name`."""
    return error.at(name) if isinstance(error, AdvisedError) else PipelineError(f"{name}{error}")


def checked_text(text: Any, name: str = "the text", empty: bool = False) -> str:
    """`text`, if it is a string, and one with something in it unless `empty` ones are texts too."""
    if text is None:
        raise PipelineError(f"{name} is None; leave it out, or pass a string")
    if isinstance(text, type):
        raise PipelineError(f"{name} must be a string, not the class {shown(text)}")
    if not isinstance(text, str):
        value = f" ({shown(text)})" if isinstance(text, bool | int | float | bytes) else ""
        raise PipelineError(f"{name} must be a string, not {type(text).__name__}{value}; several texts go in a list")
    if not text and not empty:
        raise PipelineError(f"{name} is empty")
    return text


def unknown_argument(name: str, known: Sequence[str]) -> str:
    """That there is no argument `name`: the nearest that is `known`, or all of them."""
    near = get_close_matches(name, known, 1)
    return f"knows no argument {shown(name)}; " + (
        f"did you mean {near[0]}?" if near else f"it takes {', '.join(known)}"
    )


def checked_count(task: str, name: str, count: Any, least: int = 1) -> int:
    """`count`, if it is a whole number of at least `least`."""
    if isinstance(count, bool) or not isinstance(count, int) or count < least:
        raise PipelineError(f"{task}: {name} is {shown(count)}; it must be a whole number of at least {least}")
    return count


def checked_top_k(task: str, top_k: Any) -> int | None:
    """`top_k`, if it is a whole number of at least one, or None for everything."""
    return None if top_k is None else checked_count(task, "top_k", top_k)
