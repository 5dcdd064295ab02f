"""Text cut into pieces in Python, for the kinds whose rules the Rust library cannot express."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from tokenizers import AddedToken

from lamina.tokenizers.jobs import Job, is_words
from lamina.tokenizers.limits import share, shorten
from lamina.tokenizers.vocabulary import Vocabulary


class PieceCutting(Vocabulary):
    """The part of a tokenizer that feeds pieces to the Rust library, which then looks up, cuts and brackets them."""

    truncation_side: str

    def _pieces_of(self, text: Any, job: Job) -> Any:
        """The pieces of a text, of words, or of a pair, for kinds cut in Python."""
        assert self._assembly.splitter is not None
        if isinstance(text, tuple) and len(text) == 2 and not is_words(text, job.presplit):
            first, second = (self._pieces_of(part, job) for part in text)
            return self._cut_pair(first, second, job)
        if job.presplit:
            pieces = [piece for word in text for piece in self._pieces(word, job.split_special_tokens)]
        else:
            pieces = self._pieces(text, job.split_special_tokens)
        if self.recipe.ends_once and job.add_special_tokens and pieces[-1:] == [self.eos_token]:
            pieces.pop()
        return pieces

    def _cut_pair(self, first: list[str], second: list[str], job: Job) -> tuple[list[str], list[str]]:
        """Share a cut between the texts as the reference's Python tokenizers do; its Rust ones round the other way."""
        limits = job.limits
        if limits.truncation != "longest_first" or limits.max_length is None:
            return first, second
        specials = self.num_special_tokens_to_add(True) if job.add_special_tokens else 0
        excess = len(first) + len(second) + specials - limits.max_length
        if excess <= 0:
            return first, second
        left = self.truncation_side == "left"
        cuts = share(len(first), len(second), excess)
        return shorten(first, cuts[0], left), shorten(second, cuts[1], left)

    def _pieces(self, text: str, split_special: bool = False) -> list[str]:
        if not isinstance(text, str):
            raise TypeError
        assert self._assembly.splitter is not None
        added = {} if split_special else self._added
        return split_at_added(text, added, self._assembly.splitter.split, self._lowercase)

    @property
    def _lowercase(self) -> bool:
        return self._assembly.splitter is not None and bool(self.init_kwargs.get("lower_case"))

    def _follow_python(self, columns: dict[str, Any], job: Job) -> None:
        """What the reference's Python tokenizers return otherwise than its Rust ones."""
        if "token_type_ids" in columns and not job.add_special_tokens:
            columns["token_type_ids"] = [[0] * len(row) for row in columns["token_type_ids"]]


def split_at_added(
    text: str, added: Mapping[str, AddedToken], split: Callable[[str], list[str]], lowercase: bool = False
) -> list[str]:
    """The added tokens found in a text, longest first, and the pieces of what lies between them."""
    parts = cut(text, added)
    for index, part in enumerate(parts):
        token = added.get(part) if index % 2 else None
        if token is None:
            continue
        left, right = parts[index - 1], parts[index + 1]
        if token.rstrip:
            parts[index + 1] = right.lstrip()
        if token.lstrip:
            parts[index - 1] = left.rstrip()
        if token.single_word and left and left[-1] != " ":  # what stood beside it before it took the spaces
            parts[index - 1 : index + 1] = [parts[index - 1] + parts[index], ""]
        elif token.single_word and right and right[0] != " ":
            parts[index : index + 2] = ["", parts[index] + parts[index + 1]]
    pieces: list[str] = []
    for index, part in enumerate(parts):
        if index % 2 and part:
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
