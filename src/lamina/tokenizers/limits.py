"""How long a row may be and how rows are made equally long: the padding and truncation of one call."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from lamina.errors import TokenizerError
from lamina.files.shown import shown

logger = logging.getLogger("lamina.tokenizers")

Item = TypeVar("Item")
UNLIMITED = int(1e30)  # model_max_length where the checkpoint names none
LARGE = int(1e20)
LARGEST = 1e38  # that a model_max_length may be
MOST_PADDED = 2**24  # tokens that rows may be filled up to

PADDING = {
    False: None,
    None: None,
    "do_not_pad": None,
    True: "longest",
    "longest": "longest",
    "max_length": "max_length",
}
TRUNCATION = dict.fromkeys((False, None, "do_not_truncate")) | dict.fromkeys((True, "longest_first"), "longest_first")
TRUNCATION |= {"only_first": "only_first", "only_second": "only_second"}
SIDES = ("right", "left")


@dataclass(frozen=True, slots=True)
class Limits:
    """Padding and truncation settled: what to do, up to which length, in which direction."""

    padding: str | None = None
    truncation: str | None = None
    max_length: int | None = None
    stride: int = 0
    multiple: int | None = None

    def padded_length(self, lengths: Sequence[int]) -> int:
        most = max(lengths, default=0)
        longest = self.max_length if self.padding == "max_length" and self.max_length is not None else most
        if self.multiple:
            longest += -longest % self.multiple
        if longest > max(most, MOST_PADDED):
            raise TokenizerError(f"Padding to {shown(longest)} tokens: rows are filled up to {MOST_PADDED} at most.")
        return longest


FREE = Limits()
UNKNOWN_MAXIMUM = "No max_length was given and the model names none: texts are neither padded to it nor cut."


class Notices:
    def __init__(self) -> None:
        self.given: set[str] = set()

    def once(self, name: str, message: str) -> None:
        if name not in self.given:
            self.given.add(name)
            logger.warning(message)

    def long(self, rows: Sequence[Sequence[int]], most: int) -> None:
        longest = max(map(len, rows))
        if longest > most > 0:
            self.once(
                "long",
                f"A text of {longest} tokens is longer than the {most} this model takes. "
                "Pass truncation=True, or the model will fail.",
            )


def choose(argument: str, value: Any, table: dict[Any, str | None]) -> str | None:
    value = getattr(value, "value", value)
    try:
        return table[value]
    except (KeyError, TypeError):
        names = ", ".join(repr(key) for key in table if key is not None)
        raise TokenizerError(f"{argument}={shown(value)} is unknown: use one of {names}.") from None


def settle(
    padding: Any,
    truncation: Any,
    max_length: int | None,
    stride: int,
    multiple: int | None,
    model_max_length: int,
    notices: Notices | None,
) -> Limits:
    """Settle the padding and truncation arguments of a call as Transformers 4.57 understands them."""
    if max_length is None and not padding and not truncation and not stride and not multiple:
        return FREE
    cut = choose("truncation", truncation, TRUNCATION)
    fill = choose("padding", padding, PADDING)
    check_numbers({"max_length": max_length, "stride": stride, "pad_to_multiple_of": multiple})
    if max_length is not None and padding is False and truncation is None:
        if notices:
            notices.once(
                "truncation",
                "max_length was given without truncation: texts are cut to it, as with truncation='longest_first'. "
                "Say truncation=True (or False) to silence this.",
            )
        cut = "longest_first"
    if padding is True and max_length is not None and cut is None and notices:
        warnings.warn(
            "max_length has no effect with padding=True and no truncation: use padding='max_length'.", stacklevel=4
        )
    if max_length is None and (fill == "max_length" or cut):
        if model_max_length > LARGE:
            fill, cut = (None if fill == "max_length" else fill), None
            if notices:
                notices.once("maximum", UNKNOWN_MAXIMUM)
        else:
            max_length = model_max_length
    if cut and fill and multiple and max_length is not None and max_length % multiple:
        raise TokenizerError(f"max_length={max_length} is not a multiple of pad_to_multiple_of={multiple}.")
    return Limits(fill, cut, max_length, stride, multiple)


def check_whole(name: str, value: Any, least: int, most: float = math.inf) -> None:
    if isinstance(value, bool) or not hasattr(value, "__index__") or not least <= value.__index__() <= most:
        bound = "" if most == math.inf else f" and at most {most}"
        raise TokenizerError(f"{name}={shown(value)} should be a whole number of at least {least}{bound}.")


def check_numbers(numbers: dict[str, int | None]) -> None:
    for name, value in numbers.items():
        if value is not None:
            check_whole(name, value, 1 if name == "pad_to_multiple_of" else 0)


def check_room(limits: Limits, specials: int) -> None:
    """Refuse a length that special tokens fill alone, or a stride as large as the text that fits."""
    if limits.truncation is None or limits.max_length is None:
        return
    room = limits.max_length - specials
    if room < 0:
        raise TokenizerError(
            f"max_length={limits.max_length} leaves no room for the {specials} special tokens of a row."
        )
    if limits.stride and limits.stride >= room:
        raise TokenizerError(
            f"stride={limits.stride} should be smaller than the {room} tokens of text that fit in a row "
            f"(max_length={limits.max_length} less {specials} special tokens)."
        )


def read_length(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LARGEST:
        raise TokenizerError(f"model_max_length={shown(value)} should be a positive number of at most {LARGEST:g}.")
    return int(value)


def read_names(value: Any, where: object = "Loading a tokenizer") -> list[str]:
    """The columns that a call returns, the first of them the ids."""
    if not isinstance(value, list | tuple) or not value or not all(isinstance(name, str) for name in value):
        raise TokenizerError(f"{where}: model_input_names={shown(value)} is not a list of names such as 'input_ids'.")
    return list(value)


def check_side(name: str, side: Any) -> str:
    if side not in SIDES:
        raise TokenizerError(f"{name}={shown(side)} should be 'right' or 'left'.")
    return str(side)


def pad_row(row: Sequence[Any], length: int, value: Any, left: bool) -> list[Any]:
    missing = [value] * (length - len(row))
    return [*missing, *row] if left else [*row, *missing]


def share(first: int, second: int, count: int) -> tuple[int, int]:
    """How many tokens each of a pair loses when the longer one is cut first."""
    uneven = min(abs(first - second), count)
    even = count - uneven
    if first > second:
        return uneven + even // 2, even - even // 2
    return even // 2, uneven + even - even // 2


def shorten(row: list[Item], count: int, left: bool) -> list[Item]:
    return row[count:] if left else row[: max(len(row) - count, 0)]
