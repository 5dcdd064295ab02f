"""Plain text without the Rust library: words met before have their ids already, and most words were met before.

A row of ASCII text that holds no added token is cut by one regular expression, and each word looked up. That gives the
ids of the Rust library for the kinds whose words are cut into tokens one by one, whatever stands beside them; other
texts and kinds take the usual way.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import chain
from typing import Any

from tokenizers import Tokenizer as Backend
from tokenizers import models, normalizers, pre_tokenizers

from lamina.tokenizers.limits import Limits
from lamina.tokenizers.recipe import read_template

MOST_WORDS = 1 << 16  # that are remembered, some 10 MB
LONGEST_WORD = 64  # characters of a word worth remembering

# What the Rust library's pre-tokenizers do to printable ASCII.
BERT_WORDS = re.compile(r"[A-Za-z0-9]+|[!-/:-@\[-`{-~]")
BYTE_LEVEL_WORDS = re.compile(r"'(?:[sdmt]|ll|ve|re)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")


class KnownWords(dict[str, tuple[int, ...]]):
    """The ids of words, learned from the model when a word first comes."""

    def __init__(self, tokenize: Callable[[str], Any]) -> None:
        super().__init__()
        self._tokenize = tokenize

    def __missing__(self, word: str) -> tuple[int, ...]:
        ids = tuple(token.id for token in self._tokenize(word))
        if len(self) < MOST_WORDS and len(word) <= LONGEST_WORD:
            self[word] = ids
        return ids


class TableRow:
    """One text's ids with its special tokens, read as the Rust library's Encoding is."""

    __slots__ = ("_after", "_before", "ids")

    def __init__(self, ids: list[int], before: int, after: int) -> None:
        self.ids, self._before, self._after = ids, before, after

    @property
    def type_ids(self) -> list[int]:
        return [0] * len(self.ids)

    @property
    def special_tokens_mask(self) -> list[int]:
        inner = len(self.ids) - self._before - self._after
        return [1] * self._before + [0] * inner + [1] * self._after


class WordTable:
    """Rows of plain texts; made by `WordTable.of`."""

    def __init__(self, backend: Backend, split: Callable[[str], list[str]], spell: Callable[[str], str]) -> None:
        model = backend.model
        self._words = KnownWords(lambda word: model.tokenize(spell(word)))
        self._split = split
        parts = read_template(backend, pair=False)
        place = next(number for number, part in enumerate(parts) if part.sequence is not None)
        self._before = [index for part in parts[:place] for index in part.ids]
        self._after = [index for part in parts[place + 1 :] for index in part.ids]
        marks = {token.content[0] for token in backend.get_added_tokens_decoder().values()}
        self._added = re.compile("[" + re.escape("".join(sorted(marks))) + "]") if marks else re.compile(r"(?!)")

    @classmethod
    def of(cls, backend: Backend) -> WordTable | None:
        """The table of a tokenizer; None for kinds whose words it cannot tell by themselves."""
        model, cutting, normalizer = backend.model, backend.pre_tokenizer, backend.normalizer
        if isinstance(model, models.BPE):
            if model.dropout:
                return None
        elif not isinstance(model, models.WordPiece):
            return None
        added = backend.get_added_tokens_decoder().values()
        if any(token.content[0].isalnum() or token.content[0].isspace() for token in added):
            return None
        parts = read_template(backend, pair=False)
        if sum(part.sequence is not None for part in parts) != 1 or any(part.type_id for part in parts):
            return None
        if isinstance(cutting, pre_tokenizers.BertPreTokenizer) and isinstance(normalizer, normalizers.BertNormalizer):
            find, lower = BERT_WORDS.findall, normalizer.lowercase
            return cls(backend, (lambda text: find(text.lower())) if lower else find, str)
        if type(cutting) is pre_tokenizers.ByteLevel and normalizer is None and cutting.use_regex:
            find_bytes, prefixed = BYTE_LEVEL_WORDS.findall, cutting.add_prefix_space
            prefix = (lambda text: find_bytes(text if text[:1] == " " else " " + text)) if prefixed else find_bytes
            return cls(backend, prefix, lambda word: word.replace(" ", "Ġ"))
        return None

    def read(self, text: Any, limits: Limits, specials: bool, left: bool) -> TableRow | None:
        """The row of a text, cut to the limits; None where the Rust library must be asked."""
        if type(text) is not str or not text or not text.isascii() or not text.isprintable():
            return None
        if limits.truncation == "only_second" or self._added.search(text):
            return None
        ids = list(chain.from_iterable(map(self._words.__getitem__, self._split(text))))
        before, after = (self._before, self._after) if specials else ([], [])
        if limits.truncation is not None and limits.max_length is not None:
            room = limits.max_length - len(before) - len(after)
            if len(ids) > room:
                ids = ids[len(ids) - room :] if left else ids[:room]
        return TableRow([*before, *ids, *after], len(before), len(after))
