"""What the value of an option may be, and what else is known of each option of generation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, NamedTuple

LARGEST = 3.0e38  # of float32, in which scores are computed; its inverse is the smallest number above 0
LONGEST_INTEGER = 256  # bits
TOKENS = 2**31  # more than any vocabulary has
Words = Callable[[Any], Iterable[Iterable[int]]]


class Rule(NamedTuple):
    """What is wanted in words, a judge of any value that never raises, and the words that must be of the vocabulary."""

    wanted: str
    holds: Callable[[Any], bool]
    words: Words | None = None


@dataclass(frozen=True)
class Option:
    """One option: its default, its rule, and the other option without which it has no effect."""

    default: Any
    rule: Rule
    needs: str = ""


def option(default: Any, rule: Rule, needs: str = "") -> Any:
    """A row of the table that the body of GenerationConfig is; typed as what it will hold."""
    return Option(default, rule, needs)


def is_whole(value: Any) -> bool:
    """An integer, not True or False, short enough to be computed with and shown."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value).bit_length() <= LONGEST_INTEGER


def is_number(value: Any) -> bool:
    """A number that float32 holds."""
    if not isinstance(value, Real) or isinstance(value, bool) or (isinstance(value, Integral) and not is_whole(value)):
        return False
    return abs(float(value)) <= LARGEST


def is_token(value: Any) -> bool:
    return is_whole(value) and 0 <= value < TOKENS


def is_special(value: Any) -> bool:
    """A token id, or a number below 0, with which some configs say that there is no such token."""
    return is_whole(value) and abs(value) < TOKENS


def is_list(value: Any) -> bool:
    """Several values that can be looked at more than once."""
    return isinstance(value, (Sequence, Set)) and not isinstance(value, (str, bytes, bytearray))


def is_list_of(holds: Callable[[Any], bool], value: Any) -> bool:
    """A list, not empty, of what `holds` says."""
    return is_list(value) and len(value) > 0 and all(map(holds, value))


def is_word(value: Any) -> bool:
    """A list of token ids that is not empty."""
    return is_list_of(is_token, value)


def several(tokens: int | Iterable[int] | None) -> tuple[int, ...]:
    """An option that may be one token or several, as several."""
    if tokens is None:
        return ()
    return (int(tokens),) if isinstance(tokens, int | Integral) else tuple(map(int, tokens))


def _forced(value: Any) -> bool:
    ours = isinstance(value, (list, tuple))
    return ours and all(is_word(word) or is_list_of(is_word, word) for word in value)


def _stops(value: Any) -> bool:
    return is_list_of(lambda item: isinstance(item, str) and item != "", [value] if isinstance(value, str) else value)


def _pairs(value: Any) -> Any:
    return list(value.items()) if isinstance(value, Mapping) else value


def _bias(pair: Any) -> bool:
    if not is_list(pair) or len(pair) != 2 or not is_word(pair[0]):
        return False
    return is_number(pair[1]) or (isinstance(pair[1], float) and math.isinf(pair[1]))


def _one(value: Any) -> Iterable[Iterable[int]]:
    return [several(value)]


COUNT = Rule("a whole number of at least 1", lambda value: is_whole(value) and value >= 1)
SIZE = Rule("a whole number of at least 0", lambda value: is_whole(value) and value >= 0)
NUMBER = Rule("a finite number", is_number)
POSITIVE = Rule("a number above 0", lambda value: is_number(value) and value >= 1 / LARGEST)
ZERO_OR_MORE = Rule("a number of at least 0", lambda value: is_number(value) and value >= 0)
SHARE = Rule("a number from 0 to 1", lambda value: is_number(value) and 0 <= value <= 1)
SOME = Rule("a number above 0, up to 1", lambda value: is_number(value) and 0 < value <= 1)
SECONDS = Rule("a number above 0", lambda value: POSITIVE.holds(value) or (type(value) is float and value == math.inf))
TRUTH = Rule("True or False", lambda value: isinstance(value, bool))
TEXT = Rule("text", lambda value: isinstance(value, str))
STOPS = Rule("a non-empty string or a list of them", _stops)
SPECIAL = Rule("a token id", is_special)
SPECIALS = Rule(
    "a token id or a list of them",
    lambda value: is_special(value) or (is_list(value) and all(map(is_special, value))),
)
START = Rule("a token id or a list of them", lambda value: is_token(value) or is_word(value))
TOKEN = Rule("a token id", is_token, _one)
ONE_OR_MORE = Rule(START.wanted, START.holds, _one)
TOKEN_IDS = Rule("a list of token ids", lambda value: is_list(value) and all(map(is_token, value)), _one)
WORDS = Rule(
    "a non-empty list of non-empty lists of token ids",
    lambda value: isinstance(value, list) and is_list_of(is_word, value),
    lambda value: value,
)
FORCED = Rule("a list of words [id, ...], or of alternatives [[id, ...], ...], with ids of at least 0", _forced)
BIASES = Rule(
    "{(id, ...): bias} or [[[id, ...], bias], ...]",
    lambda value: is_list_of(_bias, _pairs(value)),
    lambda value: [word for word, _ in _pairs(value)],
)
LIST = Rule("a list", lambda value: isinstance(value, (list, tuple)))
PAIR = Rule(
    "a pair (start, factor)",
    lambda value: isinstance(value, (tuple, list)) and len(value) == 2 and all(map(is_number, value)),
)


def one_of(*choices: Any) -> Rule:
    """One of a few values, text or truth."""
    wanted = ", ".join(f'"{choice}"' if isinstance(choice, str) else str(choice) for choice in choices)
    return Rule(wanted, lambda value: isinstance(value, (str, bool)) and value in choices)


def _callables(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes)) and not hasattr(value, "dtype")


def _has(*names: str) -> Callable[[Any], bool]:
    return lambda value: not isinstance(value, type) and all(callable(getattr(value, name, None)) for name in names)


ARGUMENTS: Mapping[str, Rule] = {  # of generate(), which are objects rather than options
    "logits_processor": Rule("a list of callables", _callables),
    "stopping_criteria": Rule("a list of callables", _callables),
    "prefix_allowed_tokens_fn": Rule("a function of a row's number and its ids", callable),
    "synced_gpus": Rule("False, as no process waits for another here", lambda value: value is False),
    "assistant_model": Rule("a model that writes", _has("start", "step")),
    "streamer": Rule("an object with put() and end()", _has("put", "end")),
    "tokenizer": Rule("a tokenizer", _has("decode")),
    "negative_prompt_ids": Rule("a [rows, tokens] tensor", lambda value: True),  # more is asked where it is read
    "negative_prompt_attention_mask": Rule("a [rows, tokens] tensor", lambda value: True),
    "use_model_defaults": TRUTH,
}
