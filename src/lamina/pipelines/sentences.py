"""Where a long text may be cut, its windows of whole sentences, and one text of the answers to them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator

from ..errors import PipelineError
from ..files.shown import shown

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

Count = Callable[[list[str]], list[int]]  # tokens of the model's row for each text, prefix and special tokens included


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


def cut_into_windows(text: str, limit: int, count: Count, repeated: int = 0) -> list[str]:
    """Windows of at most `limit` tokens that together are the text; each begins with `repeated` sentences of the last.

    A sentence that is too long by itself is cut between words, or between characters where it has no spaces. Raises
    PipelineError where not even one character fits.
    """
    fixed = count([""])[0]
    whole = split_sentences(text)
    sentences: list[str] = []
    for sentence, size in zip(whole, count(whole), strict=True):
        sentences += [sentence] if size <= limit else _fitting(sentence, limit, count)
    sizes = [size - fixed for size in count(sentences)]
    windows: list[str] = []
    start, end = 0, 0
    while end < len(sentences):
        first_new, total = end, sum(sizes[start:end])
        while start < first_new and total + sizes[first_new] + fixed > limit:
            total -= sizes[start]
            start += 1
        while end < len(sentences) and (end == first_new or total + sizes[end] + fixed <= limit):
            total += sizes[end]
            end += 1
        # Joined, sentences may have other tokens than alone.
        while end > first_new + 1 and count(["".join(sentences[start:end])])[0] > limit:
            end -= 1
        while start < first_new and count(["".join(sentences[start:end])])[0] > limit:
            start += 1
        windows.append("".join(sentences[start:end]))
        start = max(end - repeated, 0)
    return windows


def _fitting(sentence: str, limit: int, count: Count) -> list[str]:
    if count([sentence])[0] <= limit:
        return [sentence]
    parts = halves(sentence)
    if parts is None:
        raise PipelineError(f"chunk_length is {limit}, and not even {shown(sentence)} has so few tokens; raise it")
    return [piece for part in parts for piece in _fitting(part, limit, count)]


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
