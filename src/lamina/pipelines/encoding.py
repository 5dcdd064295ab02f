"""Texts to rows of ids, many in one call of the tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import PipelineError
from ..tokenizers.tokenizer import Tokenizer
from .checks import unknown_argument
from .limits import truncation_length
from .rows import Row

TOKENIZER_ARGUMENTS = (
    "add_special_tokens",
    "padding",
    "truncation",
    "max_length",
    "stride",
    "is_split_into_words",
    "pad_to_multiple_of",
    "padding_side",
    "return_token_type_ids",
    "return_attention_mask",
    "verbose",
)


def check_tokenizer_arguments(task: str, given: Mapping[str, Any], own: Sequence[str] = ()) -> None:
    """Refuses what no tokenizer call knows, so that a slip of the pen does not pass silently; `own` are the task's."""
    for name in given:
        if name not in TOKENIZER_ARGUMENTS:
            raise PipelineError(f"{task} {unknown_argument(name, (*own, *TOKENIZER_ARGUMENTS))}")


def tokenizer_call(tokenizer: Tokenizer, model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of the tokenizer for a whole window of texts.

    Padding to the longest is left to the batches, and a truncation without a length takes the model's where the
    tokenizer knows none.
    """
    call = {name: value for name, value in given.items() if name != "padding" or value == "max_length"}
    call.setdefault("verbose", False)  # what is too long is refused here, with a word on what to do
    if call.get("truncation") and call.get("max_length") is None:
        call["max_length"] = truncation_length(tokenizer, model)
    return call


def encode_texts(
    tokenizer: Tokenizer,
    texts: Sequence[Any],
    pairs: Sequence[Any] | None,
    call: Mapping[str, Any],
) -> list[Row]:
    """One row for each text, or pair of texts."""
    encoding = tokenizer(list(texts), None if pairs is None else list(pairs), **call)
    return [model_row(tokenizer, encoding, number) for number in range(len(texts))]


def model_row(tokenizer: Tokenizer, encoding: Any, number: int, memory: Any = None) -> Row:
    """Row `number` of an encoding, reduced to what models read."""
    names = [name for name in tokenizer.model_input_names if name in encoding]
    return Row({name: encoding[name][number] for name in names}, memory)


def encode_inputs(tokenizer: Tokenizer, inputs: Sequence[Mapping[str, Any]], call: Mapping[str, Any]) -> list[Row]:
    """One row for each {"text"} or {"text", "text_pair"}, tokenized in two calls at most."""
    rows: dict[int, Row] = {}
    for paired in (False, True):
        chosen = [number for number, item in enumerate(inputs) if ("text_pair" in item) is paired]
        if chosen:
            pairs = [inputs[number]["text_pair"] for number in chosen] if paired else None
            rows.update(
                zip(chosen, encode_texts(tokenizer, [inputs[n]["text"] for n in chosen], pairs, call), strict=True)
            )
    return [rows[number] for number in range(len(inputs))]
