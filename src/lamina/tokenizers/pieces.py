"""Cut text at added tokens, for kinds whose pieces are made in Python."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from tokenizers import AddedToken


def split_at_added(
    text: str, added: Mapping[str, AddedToken], split: Callable[[str], list[str]], lowercase: bool = False
) -> list[str]:
    """The added tokens found in a text, longest first, and the pieces of what lies between them."""
    parts = cut(text, added)
    for index, part in enumerate(parts):
        token = added.get(part) if index % 2 else None
        if token is None:
            continue
        if token.rstrip:
            parts[index + 1] = parts[index + 1].lstrip()
        if token.lstrip:
            parts[index - 1] = parts[index - 1].rstrip()
    pieces: list[str] = []
    for index, part in enumerate(parts):
        if index % 2:
            pieces.append(part)
        elif part:
            pieces += split(part.lower() if lowercase else part)
    return pieces


def cut(text: str, added: Mapping[str, AddedToken]) -> list[str]:
    """Text and added tokens in turn, text first and last."""
    if not added:
        return [text]
    tokens = sorted(added, key=len, reverse=True)
    return re.split("(" + "|".join(map(re.escape, tokens)) + ")", text)
