"""Rows of ids that were made elsewhere: cut, bracketed and padded by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lamina.errors import TokenizerError
from lamina.files.shown import shown
from lamina.tokenizers.calling import TextEncoder
from lamina.tokenizers.encoding import BatchEncoding
from lamina.tokenizers.limits import Limits, check_room, check_side, pad_row, settle, share, shorten
from lamina.tokenizers.template import fill_template, read_template

FILLS = {"attention_mask": 0, "special_tokens_mask": 1, "offset_mapping": (0, 0)}


class IdRows(TextEncoder):
    """The part of a tokenizer that works on ids instead of text."""

    def pad(
        self,
        encoded_inputs: Any,
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
        verbose: bool = True,
    ) -> BatchEncoding:
        """Pad rows that were tokenized before: one, a batch, or a list of rows as a data loader collects them."""
        columns = as_columns(encoded_inputs)
        name = self.model_input_names[0]
        if name not in columns:
            raise TokenizerError(f"pad needs {name}, but got {', '.join(map(str, columns)) or 'nothing'}.")
        if return_tensors is None:
            return_tensors = tensor_type_of(columns[name])
        columns = {key: plain(value) for key, value in columns.items()}
        rows = columns[name]
        if not rows:
            return BatchEncoding({**columns, **({"attention_mask": []} if return_attention_mask else {})})
        notices = self._notices if verbose else None
        limits = settle(padding, False, max_length, 0, pad_to_multiple_of, self.model_max_length, notices)
        if limits.padding and self.pad_token_id is None:
            raise TokenizerError("Padding needs a pad token: set tokenizer.pad_token, for example to its eos_token.")
        left = check_side("padding_side", padding_side or self.padding_side) == "left"
        single = not isinstance(rows[0], list | tuple)
        if single:
            columns = {key: [value] for key, value in columns.items()}
        wanted = "attention_mask" in self.model_input_names if return_attention_mask is None else return_attention_mask
        padded = self._pad_columns(columns, limits, left, wanted)
        if single:
            padded = {key: value[0] for key, value in padded.items()}
        return BatchEncoding(padded, tensor_type=return_tensors)

    def _pad_columns(self, columns: dict[str, Any], limits: Limits, left: bool, masked: bool) -> dict[str, Any]:
        name = self.model_input_names[0]
        rows = columns[name]
        if any(isinstance(value, list) and len(value) != len(rows) for value in columns.values()):
            raise TokenizerError("The columns of a batch to pad differ in their number of rows.")
        if masked and "attention_mask" not in columns:
            columns["attention_mask"] = [[1] * len(row) for row in rows]
        if not limits.padding:
            return columns
        length = limits.padded_length([len(row) for row in rows])
        fills = {**FILLS, "token_type_ids": self.pad_token_type_id, name: self.pad_token_id}
        return {
            key: [pad_row(list(row), length, fills[key], left) for row in value] if key in fills else value
            for key, value in columns.items()
        }

    def prepare_for_model(
        self,
        ids: Sequence[int],
        pair_ids: Sequence[int] | None = None,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_length: bool = False,
        verbose: bool = True,
        prepend_batch_axis: bool = False,
    ) -> BatchEncoding:
        """Cut ids to length, put special tokens around them and pad them, as a call does with text."""
        limits = settle(
            padding, truncation, max_length, stride, pad_to_multiple_of, self.model_max_length, self._notices
        )
        pair = pair_ids is not None
        specials = self.num_special_tokens_to_add(pair) if add_special_tokens else 0
        check_room(limits, specials)
        first, second = list(ids), list(pair_ids) if pair_ids is not None else None
        excess = 0
        overflow: list[int] = []
        if limits.truncation and limits.max_length is not None:
            excess = len(first) + len(second or ()) + specials - limits.max_length
            first, second, overflow = self.truncate_sequences(first, second, excess, limits.truncation, stride)
        columns: dict[str, Any] = {}
        if return_overflowing_tokens:
            columns |= {"overflowing_tokens": overflow, "num_truncated_tokens": excess}
        names = self.model_input_names
        types = "token_type_ids" in names if return_token_type_ids is None else return_token_type_ids
        columns |= self._bracket(first, second, add_special_tokens, types, return_special_tokens_mask)
        padded = BatchEncoding(columns)
        if columns["input_ids"]:
            padded = self.pad(
                columns,
                limits.padding or False,
                limits.max_length,
                pad_to_multiple_of,
                padding_side,
                return_attention_mask,
                verbose=False,
            )
        if return_length:
            padded["length"] = len(padded["input_ids"])
        return padded.convert_to_tensors(return_tensors, prepend_batch_axis)

    def _bracket(
        self, first: list[int], second: list[int] | None, specials: bool, types: bool, mask: bool
    ) -> dict[str, list[int]]:
        """The columns of ids with, or without, special tokens around them."""
        parts = read_template(self._backend, second is not None)
        rows = fill_template(parts if specials else [p for p in parts if p.sequence is not None], first, second)
        names = ["input_ids", *(["token_type_ids"] if types else []), *(["special_tokens_mask"] if mask else [])]
        found = dict(zip(("input_ids", "token_type_ids", "special_tokens_mask"), rows, strict=True))
        return {name: found[name] for name in names}

    def truncate_sequences(
        self,
        ids: list[int],
        pair_ids: list[int] | None = None,
        num_tokens_to_remove: int = 0,
        truncation_strategy: str = "longest_first",
        stride: int = 0,
    ) -> tuple[list[int], list[int] | None, list[int]]:
        """Cut ids by so many tokens; returns both rows and, where one was cut, what was removed plus `stride` more."""
        count = num_tokens_to_remove
        if count <= 0:
            return ids, pair_ids, []
        left = self.truncation_side == "left"
        if truncation_strategy == "longest_first" and pair_ids is not None:
            from_first, from_second = share(len(ids), len(pair_ids), count)
            return shorten(ids, from_first, left), shorten(pair_ids, from_second, left), []
        second = truncation_strategy == "only_second"
        row = pair_ids if second else ids
        if row is None or len(row) <= count:
            have = 0 if row is None else len(row)
            raise TokenizerError(
                f"truncation={shown(truncation_strategy)} should remove {count} tokens from a text of {have}. "
                "Use 'longest_first', or a larger max_length."
            )
        size = min(len(row), stride + count)
        removed = row[:size] if left else row[-size:]
        kept = shorten(row, count, left)
        return (ids, kept, removed) if second else (kept, pair_ids, removed)

    def get_special_tokens_mask(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None, already_has_special_tokens: bool = False
    ) -> list[int]:
        """1 for special tokens and 0 for those of the text."""
        if already_has_special_tokens:
            special = set(self.all_special_ids)
            return [int(index in special) for index in token_ids_0]
        return fill_template(read_template(self._backend, token_ids_1 is not None), token_ids_0, token_ids_1)[2]


def as_columns(encoded: Any) -> dict[str, Any]:
    """Columns out of a mapping or a list of mappings."""
    if isinstance(encoded, Mapping):
        return dict(encoded.items())
    if isinstance(encoded, list | tuple) and encoded and all(isinstance(row, Mapping) for row in encoded):
        keys = encoded[0].keys()
        if any(row.keys() != keys for row in encoded):
            raise TokenizerError("The rows to pad do not all have the same fields.")
        return {key: [row[key] for row in encoded] for key in keys}
    raise TokenizerError("pad takes what a tokenizer call returned: a mapping, or a list of mappings.")


def tensor_type_of(rows: Any) -> str | None:
    """ "pt" or "np" where rows are tensors or arrays."""
    probe = rows[0] if isinstance(rows, list | tuple) and rows else rows
    module = type(probe).__module__.split(".")[0]
    return {"torch": "pt", "numpy": "np"}.get(module)


def plain(value: Any) -> Any:
    """Lists out of tensors and arrays."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value] if any(hasattr(item, "tolist") for item in value) else list(value)
    return value
