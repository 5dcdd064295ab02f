"""The names of tensors: one table per family, read in both directions.

A table maps our module path to the checkpoint's. Six marks make up the notation:

`*`      the layer number, the same on both sides
`{a,b}`  tensors stored apart that we hold joined along the first axis
`^T`     a matrix stored transposed
`^row`   a vector stored as one row
`^heads:N` queries, keys and values of N heads stored head by head, held one kind after the other
`a | b`  an older spelling, read but never written

A row may name a module (`.weight` and `.bias` follow) or one tensor. Where both exist, the tensor's row wins.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Table = Mapping[str, str]

NUMBER = re.compile(r"\.\d+\.|\.\d+$")


@dataclass(frozen=True)
class Spelling:
    """One way a checkpoint may spell a tensor of ours: the names to join and how they are stored."""

    names: tuple[str, ...]
    mark: str  # "" | "T" | "row" | "heads"
    heads: int = 0  # how many, where the mark is "heads"

    def views(self, tensor: Any) -> list[Any]:
        """A tensor of ours as the checkpoint has it: for each name a view, to write from and to read into.

        Rows stored head by head are a copy, and what is read of them goes through `by_kind`.

        Whatever reads, checks or writes a stored tensor goes through this: a new mark is one more line here.
        """
        parts = tensor.chunk(len(self.names))
        if self.mark == "row":
            return [part[None] for part in parts]
        if self.mark == "heads":
            return [part.unflatten(0, (3, self.heads, -1)).transpose(0, 1).flatten(0, 2) for part in parts]
        return [part.T if self.mark == "T" and part.dim() == 2 else part for part in parts]

    def by_kind(self, rows: Any) -> Any:
        """Rows stored head by head, [heads, 3, head_dim] joined, as we hold them: all queries, all keys, all values."""
        return rows.unflatten(0, (self.heads, 3, -1)).transpose(0, 1).flatten(0, 2)


def under(ours: str, theirs: str, table: Table) -> dict[str, str]:
    """The same table one level down on both sides."""
    return {ours + left: " | ".join(theirs + way for way in right.split(" | ")) for left, right in table.items()}


def spell(table: Table, key: str) -> list[Spelling]:
    """Every way the checkpoint may spell our `key`, today's spelling first.

    Raises KeyError where no row covers it: a gap in the family's table, never a user's mistake.
    """
    number = next((part for part in key.split(".") if part.isdigit()), "")
    wildcard = NUMBER.sub(lambda m: ".*." if m.group().endswith(".") else ".*", key, count=1)
    module, _, leaf = wildcard.rpartition(".")
    exact_module = key.rpartition(".")[0]
    for pattern, suffix in ((key, ""), (wildcard, ""), (exact_module, "." + leaf), (module, "." + leaf)):
        if pattern in table:
            return [_spelling(way, number, suffix) for way in table[pattern].split(" | ")]
    raise KeyError(f"no name for {key}")


def _spelling(way: str, number: str, suffix: str) -> Spelling:
    name, _, marks = way.partition("^")
    mark, _, count = marks.partition(":")
    head, brace, rest = name.replace("*", number).partition("{")
    middle, _, tail = rest.partition("}")
    parts = [head + part + tail for part in middle.split(",")] if brace else [head]
    return Spelling(tuple(part + suffix for part in parts), mark, int(count or 0))
