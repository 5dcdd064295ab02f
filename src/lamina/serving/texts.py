"""Tokens to text as they come, and text cut by tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import TokenizerError

INCOMPLETE = "\ufffd"  # what the bytes of an incomplete character decode to
CONTEXT = 6  # tokens before the new ones that may decide how these are spaced


class Detokenizer:
    """The text of each new token. An incomplete character comes with the token that completes it.

    `prompt` is the tokens that the text goes on from.
    """

    def __init__(self, tokenizer: Any, prompt: Sequence[int] = (), skip_special_tokens: bool = True):
        self._tokenizer, self._skip = tokenizer, skip_special_tokens
        self._ids = list(prompt[-CONTEXT:])
        self._shown = len(self._ids)  # tokens whose text has been given out
        self._first = 0  # tokens before this one no longer matter

    def add(self, id: int) -> str:
        """The text that this token settles; perhaps none."""
        self._ids.append(id)
        before, now = self._text(self._ids[self._first : self._shown]), self._text(self._ids[self._first :])
        if now.endswith(INCOMPLETE):
            return ""
        if now != before:  # a special token, which is not shown, says nothing of how the next one is spaced
            self._first = self._shown
        self._shown = len(self._ids)
        return now[len(before) :]

    def rest(self) -> str:
        """What is left at the end: bytes that never became a character."""
        if self._shown == len(self._ids):
            return ""
        before, now = self._text(self._ids[self._first : self._shown]), self._text(self._ids[self._first :])
        self._shown = len(self._ids)
        return now[len(before) :]

    def _text(self, ids: list[int]) -> str:
        if not ids:
            return ""
        text: str = self._tokenizer.decode(ids, skip_special_tokens=self._skip, clean_up_tokenization_spaces=False)
        return text


class StopFilter:
    """Text up to the first of some stop strings, which is not shown itself, nor any beginning of it."""

    def __init__(self, stops: Sequence[str]):
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.stopped = False

    def add(self, text: str, last: bool = False) -> str:
        """What may be shown now that `text` has come; `last` says that nothing will follow."""
        if self.stopped:
            return ""
        text = self._held + text
        places = [place for place in (text.find(stop) for stop in self._stops) if place >= 0]
        if places:
            self.stopped, self._held = True, ""
            return text[: min(places)]
        kept = 0 if last else max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept]


def _overlap(text: str, stop: str) -> int:
    """The longest end of `text` that begins `stop`."""
    return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0)


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
