"""Rows of one length for language modeling, cut from documents that are laid end to end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from ..errors import DataError

Row = dict[str, Any]
NOTEBOOK_BATCH = 1000  # texts after which the course's notebook throws the rest away


def pack_blocks(rows: Iterable[Row], block_size: int) -> Iterator[Row]:
    """Blocks of `block_size` tokens from documents laid end to end; the last block holds what remains.

    Every column of a row is a list with a value a token. No token is lost.
    """
    if block_size < 2:
        raise DataError(f"block_size is {block_size}; a token needs another one to follow it, so at least 2")
    kept: Row = {}
    for row in rows:
        for name, values in row.items():
            kept.setdefault(name, []).extend(values)
        ready = len(next(iter(kept.values()), ())) // block_size * block_size
        for start in range(0, ready, block_size):
            yield {name: values[start : start + block_size] for name, values in kept.items()}
        kept = {name: values[ready:] for name, values in kept.items()}
    if kept and next(iter(kept.values())):
        yield kept


def group_texts(rows: Sequence[Row], block_size: int, batch: int = NOTEBOOK_BATCH) -> Iterator[Row]:
    """The notebook's way: blocks of each 1000 documents apart, what remains of these thrown away.

    For numbers that compare with the notebook's; `pack_blocks` loses nothing.
    """
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        columns = {name: list(chain.from_iterable(row[name] for row in part)) for name in part[0]}
        total = len(next(iter(columns.values()))) // block_size * block_size
        for place in range(0, total, block_size):
            yield {name: values[place : place + block_size] for name, values in columns.items()}


def ended(rows: Iterable[Row], end: int) -> Iterator[Row]:
    """Documents with an end mark after each, so that a causal model sees where one stops and the next begins."""
    fillers = {"input_ids": end, "attention_mask": 1}
    for row in rows:
        yield {name: [*values, fillers.get(name, 0)] for name, values in row.items()}


def numbered_words(rows: Iterable[Row]) -> Iterator[Row]:
    """Documents whose words are numbered on from one to the next, so that a block never holds two alike.

    The column `word_ids` has -1 for special tokens.
    """
    first = 0
    for row in rows:
        words = [word + first if word >= 0 else -1 for word in row["word_ids"]]
        first = max(words, default=-1) + 1 if any(word >= 0 for word in words) else first
        yield {**row, "word_ids": words}
