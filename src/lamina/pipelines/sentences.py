"""Where a text may be cut: between sentences, or between words where a sentence is too long by itself."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

ABBREVIATIONS = frozenset(
    re.findall(
        r"\S+",
        "mr mrs dr prof sr jr st mt vs etc no nr vol fig inc ltd corp gen col sen rep gov capt sgt dept est "
        "e.g i.e u.s u.k u.n a.m p.m z.b d.h bzw ca usw ggf evtl inkl mme mlle sig",
    )
)
CLOSING = "\"'”’»)\\]』」）】"
# A stop of a script with spaces ends a sentence before a space; one of a script without them ends it anywhere.
# Each begins where its run does, so that a long run of stops or of spaces is read once and not from each of its places.
BOUNDARY = re.compile(rf"(?<![.!?…])[.!?…]+[{CLOSING}]*(?=\s)\s+|[。！？｡]+[{CLOSING}]*\s*|(?<!\s)\s*\n\s*")
LAST_WORD = re.compile(r"(\S+?)\.$")
LONGEST_WORD = 64  # characters before a dot that are looked at: abbreviations are shorter
JOINER = "\u200d"


def split_sentences(text: str) -> list[str]:
    """The sentences of a text with the spaces behind them: joined together, they are the text."""
    found, start = [], 0
    for match in BOUNDARY.finditer(text):
        if match.end() < len(text) and _ends_sentence(text, start, match):
            found.append(text[start : match.end()])
            start = match.end()
    return [*found, text[start:]] if start < len(text) or not found else found


def _ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether this stop is one; a single dot may also belong to an abbreviation, an initial or a number."""
    mark = match.group().rstrip()
    if mark != "." or "\n" in match.group():
        return bool(text[start : match.end()].strip())
    if text[match.end()].islower():
        return False
    before = text[max(start, match.start() - LONGEST_WORD) : match.start() + 1]
    word = LAST_WORD.search(before.rsplit(None, 1)[-1])
    name = word.group(1).lstrip("(\"'“‘«[").lower() if word else ""
    return name not in ABBREVIATIONS and not (len(name) == 1 and name.isalpha() and name.isascii())


def halves(text: str) -> tuple[str, str] | None:
    """A text in two, at the space nearest to its middle, else between two characters; None where it is but one."""
    middle = len(text) // 2
    spaces = [match.end() for match in re.finditer(r"\s+", text) if match.end() < len(text)]
    places = spaces or list(_character_starts(text))
    if not places:
        return None
    place = min(places, key=lambda end: abs(end - middle))
    return text[:place], text[place:]


def _character_starts(text: str) -> Iterator[int]:
    """Where a new character begins that people see as one: not before an accent, a joiner, or what is joined."""
    for place in range(1, len(text)):
        here, before = text[place], text[place - 1]
        attached = unicodedata.combining(here) or unicodedata.category(here) in ("Mn", "Me", "Sk")
        if not (attached or JOINER in (here, before) or here == "\ufe0f"):
            yield place


def join_windows(answers: list[str], windows: list[str]) -> str:
    """One text of the answers to successive windows, lines kept apart where the windows were."""
    joined = answers[0].strip()
    for answer, window in zip(answers[1:], windows, strict=False):
        gap = window[len(window.rstrip()) :]
        breaks = gap.count("\n")
        answer = answer.strip()
        spaced = joined and answer and joined[-1] not in "。！？｡"
        joined += ("\n" * breaks if breaks else " " if spaced else "") + answer
    return joined
