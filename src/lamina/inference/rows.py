"""From texts to rows of tokens, and how a model reads them: padded or end to end, rows of like length together."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, MappingView, Sequence, Set
from dataclasses import dataclass, field
from itertools import accumulate, chain
from typing import Any, cast

import numpy.typing as npt
import torch

from ..errors import PipelineError
from ..files.shown import shown
from ..nn.layouts import packs_well
from ..nn.model import Model, packable, read_packed
from ..spec import ModelSpec
from ..tokenizers.tokenizer import Tokenizer
from .batching import abreast, filler_length, run_by_length, side_by_side, token_budget

UNLIMITED = 10**9  # tokenizers that know no limit of their own state numbers far past this
PADDED_WITH_ZERO = 0
IN_MEMORY = ("tolist", "to_list", "to_pylist")  # how arrays and columns of NumPy, pandas, Polars and Arrow become lists

Select = Callable[[Any, "Batch"], Sequence[Any]]  # an output of the model to what is kept of each row


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


def reads_packed(model: Any, rows: Sequence[Row]) -> bool:
    """Whether `model` reads `rows` end to end, without padding."""
    plain = isinstance(model, Model) and packable(model)
    plain = plain and not any(model.wants(name, None) for name in ("output_attentions", "output_hidden_states"))
    return plain and packs_well(model.device, model.dtype) and packs(rows)


def padded_pass(model: Any, tokenizer: Tokenizer, rows: Sequence[Row], select: Select, **options: Any) -> Sequence[Any]:
    """What `select` keeps of `rows`, read in one pass with padding; `options` are those of the model's call."""
    batch = pad_rows(rows, tokenizer, model.device)
    with torch.inference_mode():
        return select(model(**batch.inputs, **options), batch)


def packed_pass(model: Any, rows: Sequence[Row], select: Select) -> Sequence[Any]:
    """The same without padding."""
    batch, lengths = pack_rows(rows, model.device)
    with torch.inference_mode():
        output = read_packed(model, batch.inputs["input_ids"], lengths, batch.inputs.get("token_type_ids"))
        return select(output, batch)


def uncached(model: Any) -> dict[str, Any]:
    """The option of a model's call that keeps no keys and values for a next one, which a single pass needs none of."""
    return {"use_cache": False} if "use_cache" in inspect.signature(model.forward).parameters else {}


def read_rows(
    model: Any,
    tokenizer: Tokenizer,
    rows: Sequence[Row],
    select: Select,
    batch_size: int | None,
    **options: Any,
) -> list[Any]:
    """What `select` keeps of every row, in their order, computed in batches of like length."""
    packed = reads_packed(model, rows)
    wide = abreast(model) if packed else 1

    def run(batch: list[Row]) -> Sequence[Any]:
        return packed_pass(model, batch, select) if packed else padded_pass(model, tokenizer, batch, select, **options)

    return run_by_length(
        rows,
        run,
        len,
        tokens=token_budget(model.device.type),
        batch_size=batch_size,
        packed=packed,
        abreast=wide,
        each=side_by_side if wide > 1 else map,
    )


def accelerator() -> str | None:
    """The kind of accelerator this machine has ("cuda", "mps", ...), if any."""
    found = torch.accelerator.current_accelerator(check_available=True)
    return None if found is None else found.type


def choose_device(device: int | str | torch.device | None, current: torch.device) -> torch.device:
    """The device that `device` names: None is accelerator 0, -1 where the model is, a number that accelerator.

    A number means the CPU on a machine without accelerator, so that one script runs on both.
    """
    if device == -1:
        return current
    if device is None or (isinstance(device, int) and device >= 0):
        kind = accelerator()
        if kind is None:
            return torch.device("cpu")
        count = torch.accelerator.device_count()
        if (device or 0) >= count:
            raise PipelineError(f"device={device} is not available: this machine has {count}, counted from 0")
        return torch.device(kind, device or 0)
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise PipelineError(f"device={device!r} names no device; pass 'cpu', 'cuda', 'cuda:1' or a number") from error
    if chosen.type not in ("cpu", "meta", accelerator()):
        raise PipelineError(f"device={device!r} is not available on this machine; pass device='cpu'")
    return chosen
