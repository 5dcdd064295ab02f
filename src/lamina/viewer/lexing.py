"""The words of a filter: names, texts, numbers, operators, each with its place."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import InvalidParameter

LONGEST = 20_000  # characters of a filter
# One step of the expression per character, whatever the text: no alternative can match what another one does.
WORD = re.compile(
    r"""(?P<string>'(?:[^']|'')*')|(?P<name>"(?:[^"]|"")+")|(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)"""
    r"""|(?P<word>[^\W\d]\w*)|(?P<mark><>|!=|<=|>=|==|[<>=(),.\-])""",
    re.ASCII,
)
SPACE = re.compile(r"[ \t\r\n\f\v]*", re.ASCII)


def words_in(text: str) -> frozenset[str]:
    """The words of a list written as a text."""
    return frozenset(text.split())


@dataclass(frozen=True)
class Word:
    """A word and where it stands. `kind`: string, name, number, word, mark or end; `text` without quotes."""

    kind: str
    text: str
    place: int

    @property
    def said(self) -> str:
        """The word as an error message names it."""
        return "the end" if self.kind == "end" else repr(self.text[:60])

    def is_word(self, *words: str) -> bool:
        """Whether it is one of these keywords, in any case."""
        return self.kind == "word" and self.text.lower() in words


def words_of(text: str, parameter: str) -> list[Word]:
    """The words of a filter, closed by an `end`. Raises InvalidParameter, with the place."""
    if len(text) > LONGEST:
        raise InvalidParameter(f"Parameter '{parameter}' is longer than {LONGEST:,} characters")
    if "\0" in text:
        raise InvalidParameter(f"Parameter '{parameter}' holds a null character")
    found = []
    place = _after_space(text, 0)
    while place < len(text):
        match = WORD.match(text, place)
        if match is None:
            raise InvalidParameter(
                f"Parameter '{parameter}' is invalid: {_unknown(text[place])} at character {place + 1}"
            )
        kind = str(match.lastgroup)
        found.append(Word(kind, _unquoted(kind, match.group()), place))
        place = _after_space(text, match.end())
    return [*found, Word("end", "", len(text))]


class Words:
    """A filter, read word by word with one look ahead."""

    def __init__(self, text: str, parameter: str) -> None:
        self._parameter = parameter
        self._words = words_of(text, parameter)
        self._place = 0

    @property
    def word(self) -> Word:
        return self._words[self._place]

    @property
    def next(self) -> Word:
        return self._words[min(self._place + 1, len(self._words) - 1)]

    def advance(self) -> None:
        """Go on to the next word; the end stays."""
        self._place = min(self._place + 1, len(self._words) - 1)

    def take_word(self, *words: str) -> bool:
        """Go past one of these keywords, if one comes now."""
        found = self.word.is_word(*words)
        if found:
            self.advance()
        return found

    def take_mark(self, mark: str) -> bool:
        """Go past this mark, if it comes now."""
        found = self.word.kind == "mark" and self.word.text == mark
        if found:
            self.advance()
        return found

    def expect_mark(self, mark: str) -> None:
        """Go past this mark, or raise."""
        if not self.take_mark(mark):
            raise self.error(f"expected {mark!r}")

    def expect_end(self) -> None:
        if self.word.kind != "end":
            raise self.error("expected the end, or a word that joins conditions")

    def error(self, what: str) -> InvalidParameter:
        where = f"at character {self.word.place + 1}, before {self.word.said}"
        return InvalidParameter(f"Parameter '{self._parameter}' is invalid: {what}, {where}")


def _after_space(text: str, place: int) -> int:
    match = SPACE.match(text, place)
    return match.end() if match else place


def _unquoted(kind: str, text: str) -> str:
    if kind == "string":
        return text[1:-1].replace("''", "'")
    return text[1:-1].replace('""', '"') if kind == "name" else text


def _unknown(character: str) -> str:
    if character == "'":
        return "a text is not closed with ' (write '' for a quote inside it), it begins"
    if character == '"':
        return "a column's name is empty or not closed with \", it begins"
    return f"{character!r} is not expected"
