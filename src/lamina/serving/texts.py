"""Text cut by tokens, and tokens with their places in a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import TokenizerError


def last_tokens(tokenizer: Any, text: str, count: int) -> str:
    """The end of `text` that has `count` tokens, or all of it where it has no more."""
    found, offsets = _aligned(tokenizer, text, special=False)
    if len(found["input_ids"]) <= count:
        return text
    if offsets[-count] is None:
        end: str = tokenizer.decode(found["input_ids"][-count:], clean_up_tokenization_spaces=False)
        return end
    return text[offsets[-count][0] :]


def describe_tokens(tokenizer: Any, text: str, special: bool = True) -> list[dict[str, Any]]:
    """Each token of a text: its id, its name, whether it is a special one, and where it stands, in code points.

    A token that stands for no text, and any token of a kind that keeps no alignment, stands nowhere: null.
    """
    found, offsets = _aligned(tokenizer, text, special)
    names = tokenizer.convert_ids_to_tokens(found["input_ids"])
    rows = zip(found["input_ids"], names, found["special_tokens_mask"], offsets, strict=True)
    return [
        {
            "id": id,
            "text": str(name),
            "special": bool(mark),
            "start": None if place is None or place[0] == place[1] else place[0],
            "stop": None if place is None or place[0] == place[1] else place[1],
        }
        for id, name, mark, place in rows
    ]


def _aligned(tokenizer: Any, text: str, special: bool) -> tuple[Any, Sequence[Any]]:
    """The tokens of a text and the places of each, None where the tokenizer does not know."""
    options = {"add_special_tokens": special, "return_special_tokens_mask": True, "verbose": False}
    try:
        found = tokenizer(text, return_offsets_mapping=True, **options)
        return found, found["offset_mapping"]
    except TokenizerError:
        found = tokenizer(text, **options)
        return found, [None] * len(found["input_ids"])
