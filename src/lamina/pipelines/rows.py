"""From what a caller passes to what a model reads: inputs of every shape, texts checked, rows of ids, and batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MappingView, Sequence, Set
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import accumulate, chain
from typing import Any, cast

import numpy.typing as npt
import torch

from ..errors import LaminaError, PipelineError
from ..files.shown import shown
from ..inference.batching import filler_length
from ..spec import ModelSpec
from ..tokenizers.tokenizer import Tokenizer

IN_MEMORY = ("tolist", "to_list", "to_pylist")  # how arrays and columns of NumPy, pandas, Polars and Arrow become lists
UNLIMITED = 10**9  # tokenizers that know no limit of their own state numbers far past this
PADDED_WITH_ZERO = 0

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


def checked_text(text: Any, name: str = "the text", empty: bool = False) -> str:
    """`text`, if it is a string, and not an empty one unless `empty` allows that."""
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


def longest_row(model: Any) -> int | None:
    """Tokens of a text that the model has positions for; None where these have no end."""
    spec = getattr(model, "spec", None)
    return spec.reading_room if isinstance(spec, ModelSpec) else None


def truncation_length(tokenizer: Tokenizer, model: Any) -> int | None:
    """Where a text is cut that is too long: the tokenizer's own limit, else the model's, else nowhere."""
    if tokenizer.model_max_length < UNLIMITED:
        return int(tokenizer.model_max_length)
    return longest_row(model)


@dataclass(frozen=True)
class Row:
    """One sequence for the model, and what its pipeline must remember until the answer is there."""

    inputs: Mapping[str, list[int]]  # input_ids, attention_mask, ...: equally long
    memory: Any = None

    def __len__(self) -> int:
        return len(self.inputs["input_ids"])


def tokenizer_call(tokenizer: Tokenizer, model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of the tokenizer for many texts at once.

    Padding to the longest is left to the batches, and a truncation without a length takes the model's where the
    tokenizer knows none.
    """
    call = {name: value for name, value in given.items() if name != "padding" or value == "max_length"}
    call.setdefault("verbose", False)  # what is too long is refused here, with a word on what to do
    if call.get("truncation") and call.get("max_length") is None:
        call["max_length"] = truncation_length(tokenizer, model)
    return call


def encode_texts(
    tokenizer: Tokenizer, texts: Sequence[Any], pairs: Sequence[Any] | None, call: Mapping[str, Any]
) -> list[Row]:
    encoding = tokenizer(list(texts), None if pairs is None else list(pairs), **call)
    return [model_row(tokenizer, encoding, number) for number in range(len(texts))]


def model_row(tokenizer: Tokenizer, encoding: Any, number: int, memory: Any = None) -> Row:
    """Row `number` of an encoding, reduced to what models read."""
    names = [name for name in tokenizer.model_input_names if name in encoding]
    return Row({name: encoding[name][number] for name in names}, memory)


@dataclass(frozen=True)
class Batch:
    """Rows padded to one length, or end to end in a single one, and where each row's own tokens stand."""

    rows: Sequence[Row]
    inputs: Mapping[str, torch.Tensor]  # each [rows, tokens], or [tokens] of rows end to end
    spans: Sequence[tuple[int, slice]] = field(repr=False)  # of each row: its place in outputs, its tokens there
    width: int = 0  # tokens of an output's row, padding included

    def per_token(self, output: torch.Tensor) -> bool:
        """Whether an output has a vector for every token rather than for every row."""
        return output.dim() == 3 and output.shape[1] == self.width

    def own(self, output: torch.Tensor | npt.NDArray[Any]) -> list[Any]:
        """Each row's part of an output that holds a value per token, free of padding."""
        return [output[place, span] for place, span in self.spans]


def pad_rows(rows: Sequence[Row], tokenizer: Tokenizer, device: torch.device) -> Batch:
    """The batch of `rows`, padded on the tokenizer's side. A single length is left as it is, without a mask of ours."""
    lengths = [len(row) for row in rows]
    longest = max(lengths)
    left = tokenizer.padding_side == "left"
    own = [slice(longest - length, longest) if left else slice(0, length) for length in lengths]
    columns: dict[str, list[list[int]]] = {name: [row.inputs[name] for row in rows] for name in rows[0].inputs}
    if min(lengths) < longest:
        columns.setdefault("attention_mask", [[1] * length for length in lengths])
    fillers = {"input_ids": tokenizer.pad_token_id}
    tensors = {
        name: _rectangle(column, longest, fillers.get(name, PADDED_WITH_ZERO), left).to(device)
        for name, column in columns.items()
    }
    return Batch(rows, tensors, list(enumerate(own)), longest)


def pack_rows(rows: Sequence[Row], device: torch.device) -> tuple[Batch, list[int]]:
    """The batch of `rows` end to end, and their lengths; several rows are filled up to a round number of tokens.

    What fills up is one row more, of token 0, whose answer nobody reads.
    """
    lengths = [len(row) for row in rows]
    ends = list(accumulate(lengths))
    filler = filler_length(ends[-1]) if len(rows) > 1 else 0
    names = [name for name in rows[0].inputs if name != "attention_mask"]
    tensors = {
        name: torch.tensor([*chain.from_iterable(row.inputs[name] for row in rows), *[0] * filler]).to(device)
        for name in names
    }
    spans = [(0, slice(end - length, end)) for end, length in zip(ends, lengths, strict=True)]
    return Batch(rows, tensors, spans, ends[-1] + filler), lengths + [filler] * (filler > 0)


def packs(rows: Sequence[Row]) -> bool:
    """Whether rows have nothing that only a padded batch can say: tokens that are masked, inputs of other kinds."""
    known = {"input_ids", "attention_mask", "token_type_ids"}
    return all(row.inputs.keys() <= known and all(row.inputs.get("attention_mask", ())) for row in rows)


def _rectangle(rows: list[list[int]], width: int, filler: int | None, left: bool) -> torch.Tensor:
    padded = [[filler or 0] * (width - len(row)) for row in rows]
    return torch.tensor([gap + row if left else row + gap for row, gap in zip(rows, padded, strict=True)])
