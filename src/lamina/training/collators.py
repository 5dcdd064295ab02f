"""Collators: lists of encoded rows to batches of tensors, under the names and arguments that users of Trainer know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import DataError
from ..nn.pair import shifted
from ..spec import IGNORED

LABEL_NAMES = ("label", "label_ids", "labels")
Feature = Mapping[str, Any]


def default_data_collator(features: Sequence[Any], return_tensors: str = "pt") -> dict[str, Tensor]:
    """Stack rows of equal shape; `label` and `label_ids` become `labels`, text and None are left out."""
    check_framework(return_tensors)
    rows = [dict(feature) if isinstance(feature, Mapping) else dict(vars(feature)) for feature in features]
    labels = pop_labels(rows)
    check_columns(rows)
    batch = {name: stacked(name, [row[name] for row in rows]) for name in rows[0] if numeric(rows[0][name])}
    if labels is not None:
        batch["labels"] = label_tensor(labels)
    return batch


@dataclass
class DefaultDataCollator:
    """`default_data_collator` as an object."""

    return_tensors: str = "pt"

    def __call__(self, features: Sequence[Any], return_tensors: str | None = None) -> dict[str, Tensor]:
        """A batch of rows of equal shape."""
        return default_data_collator(features, return_tensors or self.return_tensors)


@dataclass
class DataCollatorWithPadding:
    """Pads the rows of a batch to its longest, or to `max_length`, with the tokenizer: [batch, tokens]."""

    tokenizer: Any
    padding: bool | str = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"

    def __call__(self, features: Sequence[Feature]) -> dict[str, Tensor]:
        """A batch; a `label` or `label_ids` of each row becomes `labels`."""
        check_framework(self.return_tensors)
        rows = [numbers_of(feature) for feature in features]
        labels = pop_labels(rows)
        batch = padded(self.tokenizer, rows, self.padding, self.max_length, self.pad_to_multiple_of)
        if labels is not None:
            batch["labels"] = label_tensor(labels)
        return batch


@dataclass
class DataCollatorForTokenClassification:
    """Pads rows and their label for each token, labels with `label_pad_token_id`: [batch, tokens]."""

    tokenizer: Any
    padding: bool | str = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    label_pad_token_id: int = IGNORED
    return_tensors: str = "pt"

    def __call__(self, features: Sequence[Feature]) -> dict[str, Tensor]:
        """A batch with labels as long as its input."""
        check_framework(self.return_tensors)
        rows = [numbers_of(feature) for feature in features]
        labels = pop_labels(rows)
        if labels is not None:
            check_lengths(rows, labels)
        batch = padded(self.tokenizer, rows, self.padding, self.max_length, self.pad_to_multiple_of)
        if labels is not None:
            left = self.tokenizer.padding_side == "left"
            width = batch["input_ids"].shape[1]
            batch["labels"] = pad_labels(labels, width, self.label_pad_token_id, left)
        return batch


@dataclass
class DataCollatorForMultipleChoice:
    """Flattens the choices of each row, pads them together and views them as [batch, choices, tokens]."""

    tokenizer: Any
    padding: bool | str = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"

    def __call__(self, features: Sequence[Feature]) -> dict[str, Tensor]:
        """A batch; every row must have as many choices."""
        check_framework(self.return_tensors)
        rows = [dict(feature) for feature in features]
        labels = pop_labels(rows)
        counts = {len(row["input_ids"]) for row in rows}
        if len(counts) > 1:
            raise DataError(f"rows of one batch must have as many choices, not {sorted(counts)}")
        choices = counts.pop()
        per_choice = [name for name, value in rows[0].items() if hasattr(value, "__len__") and numeric(value)]
        flat = [{name: row[name][choice] for name in per_choice} for row in rows for choice in range(choices)]
        batch = padded(self.tokenizer, flat, self.padding, self.max_length, self.pad_to_multiple_of)
        batch = {name: values.view(len(rows), choices, -1) for name, values in batch.items()}
        if labels is not None:
            batch["labels"] = label_tensor(labels)
        return batch


@dataclass
class DataCollatorForSeq2Seq:
    """Pads sources and targets apart; with `model`, adds the decoder's input: targets shifted as the model shifts them.

    Label padding is -100 and never reaches the decoder as such.
    """

    tokenizer: Any
    model: Any = None
    padding: bool | str = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    label_pad_token_id: int = IGNORED
    return_tensors: str = "pt"

    def __call__(self, features: Sequence[Feature], return_tensors: str | None = None) -> dict[str, Tensor]:
        """A batch with `labels` [batch, target tokens] and, given a model, `decoder_input_ids` of the same shape."""
        check_framework(return_tensors or self.return_tensors)
        rows = [numbers_of(feature) for feature in features]
        labels = pop_labels(rows)
        batch = padded(self.tokenizer, rows, self.padding, self.max_length, self.pad_to_multiple_of)
        if labels is None:
            return batch
        width = max(len(row) for row in labels)
        if self.padding == "max_length" and self.max_length is not None:
            width = max(width, self.max_length)
        if self.pad_to_multiple_of:
            width = -(-width // self.pad_to_multiple_of) * self.pad_to_multiple_of
        left = self.tokenizer.padding_side == "left"
        batch["labels"] = pad_labels(labels, width, self.label_pad_token_id, left)
        decoder_inputs = self._decoder_inputs(batch["labels"])
        if decoder_inputs is not None:
            batch["decoder_input_ids"] = decoder_inputs
        return batch

    def _decoder_inputs(self, labels: Tensor) -> Tensor | None:
        """What the decoder reads for these labels, as the model itself would make it."""
        labels = labels.masked_fill(labels == self.label_pad_token_id, IGNORED)
        prepare = getattr(self.model, "prepare_decoder_input_ids_from_labels", None)
        if prepare is not None:
            made: Tensor = prepare(labels=labels)
            return made
        shift = getattr(getattr(self.model, "spec", None), "shift", None)
        return shifted(labels, shift) if shift is not None else None


def check_framework(name: str) -> None:
    """Refuse any kind of tensor but torch's."""
    if name != "pt":
        raise DataError(f"return_tensors={name!r}: batches are torch tensors, return_tensors='pt'")


def numeric(value: Any) -> bool:
    """Whether a value can be part of a tensor: no text, none in lists either, and not None."""
    if isinstance(value, list | tuple) and value:
        return numeric(value[0])
    return value is not None and not isinstance(value, str | bytes | Mapping)


def numbers_of(feature: Feature) -> dict[str, Any]:
    """The columns of a row that can be part of a tensor."""
    return {name: value for name, value in feature.items() if numeric(value)}


def pop_labels(rows: list[dict[str, Any]]) -> list[Any] | None:
    """Take the labels out of rows, under whichever of their three names."""
    given = [name for name in LABEL_NAMES if any(row.get(name) is not None for row in rows)]
    if any(plain(row.get(name)) != plain(row.get(given[0])) for row in rows for name in given[1:]):
        raise DataError(f"the columns {given[0]!r} and {given[1]!r} hold different labels: remove one of them")
    name = next(iter(given), None)
    if name is None:
        for row in rows:
            for each in LABEL_NAMES:
                row.pop(each, None)
        return None
    missing = next((index for index, row in enumerate(rows) if row.get(name) is None), None)
    if missing is not None:
        raise DataError(f"row {missing} of a batch has no {name!r}, others have")
    return [plain(row.pop(name)) for row in rows]


def check_columns(rows: list[dict[str, Any]]) -> None:
    """Refuse rows of one batch whose columns differ."""
    for index, row in enumerate(rows):
        if odd := sorted(row.keys() ^ rows[0].keys()):
            has = "no " if odd[0] in rows[0] else ""
            raise DataError(f"row {index} of a batch has {has}{odd[0]!r}, unlike the first")


def plain(value: Any) -> Any:
    """A tensor or array as lists."""
    return value.tolist() if hasattr(value, "tolist") else value


def label_tensor(labels: list[Any]) -> Tensor:
    """One label, or one row of labels, a text: whole numbers stay whole, others become float32."""
    try:
        made = torch.tensor(labels)
    except (TypeError, ValueError) as error:
        raise DataError(f"the labels of a batch make no tensor ({error}): {labels[:4]!r:.120}") from None
    return made.float() if made.is_floating_point() else made.long()


def stacked(name: str, values: list[Any]) -> Tensor:
    """Values of equal shape as one tensor."""
    if isinstance(values[0], Tensor):
        return torch.stack(values)
    try:
        return torch.tensor([plain(value) for value in values])
    except (TypeError, ValueError):
        raise DataError(
            f"the rows of {name!r} differ in length, so they make no tensor; use DataCollatorWithPadding"
        ) from None


def padded(
    tokenizer: Any, rows: list[dict[str, Any]], padding: bool | str, max_length: int | None, multiple: int | None
) -> dict[str, Tensor]:
    """Rows as tensors of one length."""
    if tokenizer.pad_token_id is None:
        raise DataError("the tokenizer has no padding token: set tokenizer.pad_token = tokenizer.eos_token first")
    check_columns(rows)
    columns = {name: [plain(row[name]) for row in rows] for name in rows[0]}
    return dict(
        tokenizer.pad(columns, padding=padding, max_length=max_length, pad_to_multiple_of=multiple, return_tensors="pt")
    )


def check_lengths(rows: list[dict[str, Any]], labels: list[Any]) -> None:
    """Refuse a row whose labels are not as many as its tokens."""
    for index, (row, given) in enumerate(zip(rows, labels, strict=True)):
        if len(given) != len(row["input_ids"]):
            raise DataError(f"row {index} of a batch has {len(row['input_ids'])} tokens but {len(given)} labels")


def pad_labels(labels: Sequence[Sequence[int]], width: int, filler: int, left: bool) -> Tensor:
    """Labels of differing length as [rows, width]."""
    out = torch.full((len(labels), width), filler, dtype=torch.long)
    for row, given in zip(out, labels, strict=True):
        if len(given):
            places = slice(width - len(given), width) if left else slice(0, len(given))
            row[places] = torch.as_tensor(given, dtype=torch.long)
    return out
