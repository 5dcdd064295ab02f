"""What callers pass: inputs of every shape, texts checked, and how a refusal is worded for each door."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
        super().__init__(what, *options)

    def __str__(self) -> str:
        return self.said(in_python)

    def said(self, spelling: Spelling) -> str:
        """The message for a door that spells options so; options that it does not have are left out."""
        spelled = [(spelling(name, value), effect) for name, value, effect in self.options]
        ways = [f"{option} {effect}" for option, effect in spelled if option]
        return f"{self.what}; " + ("pass " + ", or ".join(ways) if ways else self.otherwise)

    def at(self, name: str) -> AdvisedError:
        return AdvisedError(f"{name}{self.what}", *self.options, otherwise=self.otherwise)


def in_python(name: str, value: Any) -> str:
    return f'{name}="{value}"' if isinstance(value, str) else f"{name}={value}"


def input_name(number: int) -> str:
    return f"input {number}: "


def named(error: LaminaError, name: str) -> PipelineError:
    """The same refusal, of the input called `name`."""
    return error.at(name) if isinstance(error, AdvisedError) else PipelineError(f"{name}{error}")


def unknown_argument(name: str, known: Sequence[str], otherwise: str = "") -> str:
    """That there is no argument `name`: the nearest that is `known`, or `otherwise`, or all of them."""
    near = get_close_matches(name, known, 1)
    ways = f"did you mean {near[0]}?" if near else otherwise or f"it takes {', '.join(known)}"
    return f"knows no argument {shown(name)}; {ways}"


class KeyDataset:
    """One column of a dataset, so that `pipe(KeyDataset(rows, "text"))` reads only the texts."""

    def __init__(self, dataset: Any, key: str):
        self.dataset = dataset
        self.key = key

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, number: int) -> Any:
        return self.dataset[number][self.key]


class KeyPairDataset:
    """Two columns of a dataset as the sentence pairs that a pipeline takes."""

    def __init__(self, dataset: Any, key1: str, key2: str):
        self.dataset = dataset
        self.key1 = key1
        self.key2 = key2

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, number: int) -> dict[str, Any]:
        row = self.dataset[number]
        return {"text": row[self.key1], "text_pair": row[self.key2]}


def streamed(inputs: object) -> bool:
    """Whether `inputs` is answered one by one as they come: a generator, any iterator, a dataset."""
    if isinstance(inputs, str | bytes | Mapping | list | tuple | type):
        return False
    return hasattr(inputs, "__iter__") or (hasattr(inputs, "__len__") and hasattr(inputs, "__getitem__"))


def rows_of(source: Any) -> Iterator[Any]:
    """The items of a stream in order; a dataset that only knows row numbers is asked for each."""
    if hasattr(source, "__iter__"):
        return iter(source)
    return (source[number] for number in range(len(source)))


class Results:
    """Answers to a stream, made as they are asked for; `len` where the source knows its own.

    A dataset can be gone through again, as in `for answer in pipe(dataset)`; a generator only once.
    """

    def __init__(self, source: Any, answer: Callable[[Iterable[Any]], Iterator[Any]]):
        self._source = source
        self._answer = answer
        self._running: Iterator[Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        if hasattr(self._source, "__next__"):
            return self._results()
        return self._answer(rows_of(self._source))

    def __next__(self) -> Any:
        return next(self._results())

    def __len__(self) -> int:
        return len(self._source)

    def _results(self) -> Iterator[Any]:
        if self._running is None:
            self._running = self._answer(rows_of(self._source))
        return self._running
