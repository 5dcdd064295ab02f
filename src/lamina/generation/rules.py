"""What the value of an option may be: each rule says what is wanted, and judges any value without raising."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from numbers import Integral, Real
from typing import Any

Rule = tuple[str, Callable[[Any], bool]]

LARGEST = 3.0e38  # of float32, in which scores are computed; its inverse is the smallest number above 0
LONGEST_INTEGER = 256  # bits
TOKENS = 2**31  # more than any vocabulary has


def is_whole(value: Any) -> bool:
    """An integer that is no truth value, and short enough to be computed with and shown."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value).bit_length() <= LONGEST_INTEGER


def is_number(value: Any) -> bool:
    """A number that float32 holds."""
    if not isinstance(value, Real) or isinstance(value, bool) or (isinstance(value, Integral) and not is_whole(value)):
        return False
    return abs(float(value)) <= LARGEST


def is_token(value: Any) -> bool:
    """A token id."""
    return is_whole(value) and 0 <= value < TOKENS


def is_special(value: Any) -> bool:
    """A token id, or a number below 0, as some configs say that there is none."""
    return is_whole(value) and abs(value) < TOKENS


def is_list(value: Any) -> bool:
    """Several values, which looking at them does not use up."""
    return isinstance(value, (Sequence, Set)) and not isinstance(value, (str, bytes, bytearray))


def are_tokens(value: Any) -> bool:
    """A list of token ids."""
    return is_list(value) and all(map(is_token, value))


def is_word(value: Any) -> bool:
    """A list of token ids that is not empty."""
    return are_tokens(value) and len(value) > 0


def are_words(value: Any) -> bool:
    """A list of words that is not empty."""
    return isinstance(value, list) and len(value) > 0 and all(map(is_word, value))


def _forced(value: Any) -> bool:
    ours = isinstance(value, (list, tuple))
    return ours and all(
        is_word(word) or (is_list(word) and len(word) > 0 and all(map(is_word, word))) for word in value
    )


def _stops(value: Any) -> bool:
    found = [value] if isinstance(value, str) else value
    return is_list(found) and len(found) > 0 and all(isinstance(item, str) and item for item in found)


def _biases(value: Any) -> bool:
    pairs = list(value.items()) if isinstance(value, Mapping) else value
    if not is_list(pairs) or not pairs:
        return False
    return all(is_list(pair) and len(pair) == 2 and is_word(pair[0]) and _bias(pair[1]) for pair in pairs)


def _bias(value: Any) -> bool:
    return is_number(value) or (isinstance(value, float) and math.isinf(value))


COUNT: Rule = ("a whole number of at least 1", lambda value: is_whole(value) and value >= 1)
SIZE: Rule = ("a whole number of at least 0", lambda value: is_whole(value) and value >= 0)
NUMBER: Rule = ("a finite number", is_number)
POSITIVE: Rule = ("a number above 0", lambda value: is_number(value) and value >= 1 / LARGEST)
ZERO_OR_MORE: Rule = ("a number of at least 0", lambda value: is_number(value) and value >= 0)
SHARE: Rule = ("a number from 0 to 1", lambda value: is_number(value) and 0 <= value <= 1)
SOME: Rule = ("a number above 0, up to 1", lambda value: is_number(value) and 0 < value <= 1)
SECONDS: Rule = (
    "a number above 0",
    lambda value: POSITIVE[1](value) or (isinstance(value, float) and value == math.inf),
)
TRUTH: Rule = ("True or False", lambda value: isinstance(value, bool))
TEXT: Rule = ("text", lambda value: isinstance(value, str))
STOPS: Rule = ("a non-empty string or a list of them", _stops)
TOKEN: Rule = ("a token id", is_token)
SPECIAL: Rule = ("a token id", is_special)
SPECIALS: Rule = (
    "a token id or a list of them",
    lambda value: is_special(value) or (is_list(value) and all(map(is_special, value))),
)
ONE_OR_MORE: Rule = ("a token id or a list of them", lambda value: is_token(value) or is_word(value))
TOKEN_IDS: Rule = ("a list of token ids", are_tokens)
WORDS: Rule = ("a non-empty list of non-empty lists of token ids", are_words)
FORCED: Rule = ("a list of words [id, ...], or of alternatives [[id, ...], ...], with ids of at least 0", _forced)
BIASES: Rule = ("{(id, ...): bias} or [[[id, ...], bias], ...]", _biases)
LIST: Rule = ("a list", lambda value: isinstance(value, (list, tuple)))
PAIR: Rule = (
    "a pair (start, factor)",
    lambda value: isinstance(value, (tuple, list)) and len(value) == 2 and all(map(is_number, value)),
)


def one_of(*choices: Any) -> Rule:
    """One of a few values, text or truth."""
    wanted = ", ".join(f'"{choice}"' if isinstance(choice, str) else str(choice) for choice in choices)
    return wanted, lambda value: isinstance(value, (str, bool)) and value in choices
