"""One call put in order: its rows of text, what is wanted of them, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lamina.errors import TokenizerError
from lamina.files.shown import shown
from lamina.tokenizers.limits import Limits

SHAPES = "Pass a string, a list of strings, or with is_split_into_words=True lists of words."


@dataclass(frozen=True, slots=True)
class Fields:
    """Which columns a call returns."""

    token_type_ids: bool
    attention_mask: bool
    overflow: bool = False
    special_tokens_mask: bool = False
    offsets: bool = False
    length: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """The texts of one call and how they are to be cut into tokens."""

    texts: Sequence[Any]
    limits: Limits
    add_special_tokens: bool
    presplit: bool
    split_special_tokens: bool
    single: bool


def zip_pairs(texts: Any, pairs: Any) -> list[Any]:
    """The rows of a batch: texts, or texts with their second texts."""
    if not isinstance(texts, list | tuple):
        raise TokenizerError(f"Cannot tokenize a {type(texts).__name__}. {SHAPES}")
    if pairs is None:
        return list(texts)
    if isinstance(pairs, str) or not isinstance(pairs, list | tuple):
        raise TokenizerError("A batch of texts needs a batch of second texts: text_pair should be a list too.")
    if len(texts) != len(pairs):
        raise TokenizerError(
            f"{len(texts)} texts, but {len(pairs)} second texts: a batch of pairs needs as many of both."
        )
    return list(zip(texts, pairs, strict=True))


def is_words(value: tuple[Any, ...], presplit: bool) -> bool:
    """Whether a tuple is one text split into words rather than a pair of texts."""
    return presplit and isinstance(value[0], str)


def describe_bad_text(job: Job) -> str:
    """Say which row of a batch is no text."""
    good = (list, tuple) if job.presplit else (str,)
    for index, row in enumerate(job.texts):
        parts = row if isinstance(row, tuple) and not is_words(row, job.presplit) else (row,)
        for part in parts:
            words = part if job.presplit and isinstance(part, list | tuple) else ()
            if not isinstance(part, good) or not all(isinstance(word, str) for word in words):
                return f"Row {index} of the batch is {shown(part)} ({type(part).__name__}), not text. {SHAPES}"
        if not can_be_written(parts):
            return f"Row {index} of the batch holds half a surrogate pair, which is no character. Decode the text anew."
    return f"These are no texts. {SHAPES}"


def can_be_written(value: Any) -> bool:
    """Whether a text, or every text of a row, can be written as UTF-8."""
    try:
        str(
            "".join(value) if isinstance(value, list | tuple) and all(isinstance(v, str) for v in value) else value
        ).encode()
    except UnicodeEncodeError:
        return False
    return True
