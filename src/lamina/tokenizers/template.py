"""The special tokens a tokenizer puts around ids: read from its post-processor, to be laid around ids by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer as Backend

from lamina.tokenizers.files import backend_errors


@dataclass(frozen=True)
class Part:
    """Special tokens (`ids`), or with `sequence` the place of the first (0) or second (1) text."""

    ids: tuple[int, ...]
    type_id: int
    sequence: int | None = None


@backend_errors("Reading the post-processor")
def read_template(backend: Backend, pair: bool) -> list[Part]:
    """What the tokenizer makes of one text, or of a pair."""
    if backend.post_processor is None:
        return [Part((), 0, 0), Part((), 1, 1)] if pair else [Part((), 0, 0)]
    return parts_of(json.loads(backend.post_processor.__getstate__()), pair)


def parts_of(state: dict[str, Any], pair: bool) -> list[Part]:
    """The parts that a post-processor's state describes."""
    kind = state["type"]
    if kind == "TemplateProcessing":
        return [part_of(item, state["special_tokens"]) for item in state["pair" if pair else "single"]]
    if kind in ("RobertaProcessing", "BertProcessing"):
        second_type = 0 if kind == "RobertaProcessing" else 1
        cls, sep = (state["cls"][1],), (state["sep"][1],)
        parts = [Part(cls, 0), Part((), 0, 0), Part(sep, 0)]
        if pair:
            between = [Part(sep, 0)] if kind == "RobertaProcessing" else []
            parts += [*between, Part((), second_type, 1), Part(sep, second_type)]
        return parts
    if kind == "Sequence":
        for processor in reversed(state["processors"]):
            parts = parts_of(processor, pair)
            if any(part.ids for part in parts):
                return parts
    return [Part((), 0, 0), Part((), 0, 1)] if pair else [Part((), 0, 0)]


def part_of(item: dict[str, Any], specials: dict[str, Any]) -> Part:
    """One item of a TemplateProcessing."""
    if "SpecialToken" in item:
        token = item["SpecialToken"]
        return Part(tuple(specials[token["id"]]["ids"]), token["type_id"])
    sequence = item["Sequence"]
    return Part((), sequence["type_id"], 0 if sequence["id"] == "A" else 1)


def fill_template(parts: Sequence[Part], first: Sequence[int], second: Sequence[int] | None) -> list[list[int]]:
    """Ids, token types and special-token mask of texts laid into a template."""
    columns: list[list[int]] = [[], [], []]
    for part in parts:
        special = part.sequence is None
        ids = part.ids if special else (second or ()) if part.sequence else first
        columns[0] += ids
        columns[1] += [part.type_id] * len(ids)
        columns[2] += [int(special)] * len(ids)
    return columns
