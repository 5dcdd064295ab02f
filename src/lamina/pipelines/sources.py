"""The shapes in which texts reach a pipeline: one, a list, or a stream such as a generator or a dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MappingView, Sequence, Set
from typing import Any, Protocol, cast

from ..errors import PipelineError

IN_MEMORY = ("tolist", "to_list", "to_pylist")  # how arrays and columns of NumPy, pandas, Polars and Arrow become lists


class Indexed(Protocol):
    """A dataset with rows by number, whoever made it."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> Any: ...


class KeyDataset:
    """One column of a dataset, so that `pipe(KeyDataset(rows, "text"))` reads only the texts."""

    def __init__(self, dataset: Indexed, key: str):
        self.dataset = dataset
        self.key = key

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, number: int) -> Any:
        return self.dataset[number][self.key]


class KeyPairDataset:
    """Two columns of a dataset as the sentence pairs that a pipeline takes."""

    def __init__(self, dataset: Indexed, key1: str, key2: str):
        self.dataset = dataset
        self.key1 = key1
        self.key2 = key2

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, number: int) -> dict[str, Any]:
        row = self.dataset[number]
        return {"text": row[self.key1], "text_pair": row[self.key2]}


def gathered(inputs: Any) -> Any:
    """A collection that is in memory (a tuple, an array, a column of a table) as a list; all else as it is.

    Raises PipelineError for a whole table, since it does not say which column is meant.
    """
    if isinstance(inputs, list | str | bytes | Mapping | type):
        return inputs
    if isinstance(inputs, Sequence | Set | MappingView):
        return [*cast(Iterable[Any], inputs)]
    if hasattr(inputs, "columns") and hasattr(inputs, "shape"):
        raise PipelineError('the input is a whole table; pass one column of it, such as table["text"]')
    rows = hasattr(inputs, "column_names")  # a dataset of the `datasets` library, which may be larger than memory
    way = None if rows else next((way for way in IN_MEMORY if hasattr(inputs, way)), None)
    return inputs if way is None else getattr(inputs, way)()


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
