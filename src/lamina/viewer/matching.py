"""Globs of a data set's card, matched against names already listed: nothing outside the folder can be reached."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from .dataset import DataFile

LONGEST = 1000


def matching(files: Iterable[DataFile], patterns: Sequence[str], folder: str = "") -> list[DataFile]:
    """The files that any pattern matches, in the order of the patterns, then of their names; each once."""
    known = list(files)
    start = f"{folder}/" if folder else ""
    found: dict[str, DataFile] = {}
    for pattern in patterns:
        parts = tuple(part for part in (start + pattern).split("/") if part not in ("", "."))
        for file in known:
            if len(pattern) <= LONGEST and _matches(parts, tuple(file.name.split("/"))):
                found.setdefault(file.name, file)
    return list(found.values())


def _matches(pattern: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    """Dynamic programming over the parts: `**` is any number of folders, the rest is matched part by part."""
    row = [True] + [False] * len(parts)
    for piece in pattern:
        if piece == "**":
            fresh = [any(row[: place + 1]) for place in range(len(parts) + 1)]
        else:
            fresh = [False] + [row[place] and _one(piece, part) for place, part in enumerate(parts)]
        row = fresh
    return row[-1]


def _one(pattern: str, text: str) -> bool:
    """One path part, by the same method: `*`, `?`, `[...]` and `{a,b}` as shells have them."""
    return any(_simple(tokens, text) for tokens in _alternatives(pattern))


def _alternatives(pattern: str) -> list[list[str]]:
    found = re.fullmatch(r"([^{}]*)\{([^{}]*)\}([^{}]*)", pattern)
    if not found:
        return [_tokens(pattern)]
    return [_tokens(found[1] + choice + found[3]) for choice in found[2].split(",")]


def _tokens(pattern: str) -> list[str]:
    return re.findall(r"\[!?\]?[^\]]*\]|.", pattern, re.DOTALL)


def _simple(tokens: list[str], text: str) -> bool:
    row = [True] + [False] * len(text)
    for token in tokens:
        if token == "*":
            reach, fresh = False, []
            for state in row:
                reach = reach or state
                fresh.append(reach)
        else:
            fresh = [False] + [row[place] and _holds(token, character) for place, character in enumerate(text)]
        row = fresh
    return row[-1]


def _holds(token: str, character: str) -> bool:
    if token == "?":
        return True
    if len(token) < 3 or not token.startswith("["):
        return token == character
    body = token[1:-1]
    negated = body.startswith("!")
    body = body[1:] if negated else body
    ranges = re.findall(r"(.)-(.)|(.)", body, re.DOTALL)
    inside = any(low <= character <= high if low else single == character for low, high, single in ranges)
    return inside != negated
