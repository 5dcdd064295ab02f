"""Words that must appear, and how far a sequence has come with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import GenerationError
from ..files.shown import shown

Trie = dict[int, Any]


class Constraint:
    """One of several words, each a sequence of ids, that must appear: a single one is a phrase.

    No word may begin another one: it could never be told which of them was meant.
    """

    def __init__(self, words: Sequence[Sequence[int]]):
        self.words = [list(word) for word in words]
        self.trie: Trie = {}
        for word in self.words:
            node = self.trie
            for token in word:
                node = node.setdefault(token, {})
        if _leaves(self.trie) != len(self.words):
            raise GenerationError(f"force_words_ids: of the alternatives {shown(self.words)}, one begins another.")
        self.length = max(map(len, self.words))


def phrasal(token_ids: Sequence[int]) -> Constraint:
    """These ids must appear one after the other."""
    return Constraint([token_ids])


PhrasalConstraint = phrasal
DisjunctiveConstraint = Constraint


def _leaves(node: Trie) -> int:
    return sum(map(_leaves, node.values())) if node else 1


@dataclass
class Progress:
    """How far a sequence has come: constraints met, the one under way, those still open.

    Only one constraint is under way at a time. A token that does not continue it sets it back to the open ones.
    """

    constraints: Sequence[Constraint]
    open: list[int]
    met: int = 0
    current: int | None = None
    path: list[int] = field(default_factory=list)  # ids of the current constraint already there

    @classmethod
    def after(cls, constraints: Sequence[Constraint], ids: Sequence[int]) -> Progress:
        """Progress of a sequence of ids."""
        progress = cls(constraints, list(range(len(constraints))))
        for token in ids:
            if progress.complete:
                break
            progress.add(token)
        return progress

    @property
    def complete(self) -> bool:
        """Whether everything is met."""
        return self.met == len(self.constraints)

    @property
    def bank(self) -> int:
        """Steps made, for comparing sequences: met constraints count as much as the longest of them."""
        unit = max(constraint.length for constraint in self.constraints)
        partial = 0 if self.current is None else unit - (self.constraints[self.current].length - len(self.path))
        return self.met * unit + partial

    def wanted(self) -> list[int]:
        """Ids that would bring a constraint further."""
        if self.current is not None:
            return list(self._node())
        return [token for index in self.open for token in self.constraints[index].trie]

    def _node(self) -> Trie:
        node: Trie = self.constraints[self.current or 0].trie
        for token in self.path:
            node = node[token]
        return node

    def add(self, token: int) -> None:
        """Take one more token."""
        if self.complete:
            return
        if self.current is None:
            self._begin(token)
        elif token in self._node():
            self.path.append(token)
            self._close_if_met()
        else:
            self.open.append(self.current)
            self.current, self.path = None, []

    def _begin(self, token: int) -> None:
        for place, index in enumerate(self.open):
            if token in self.constraints[index].trie:
                del self.open[place]
                self.current, self.path = index, [token]
                self._close_if_met()
                return

    def _close_if_met(self) -> None:
        if not self._node():
            self.met += 1
            self.current, self.path = None, []

    def with_token(self, token: int) -> Progress:
        """What progress would be after one more token."""
        result = Progress(self.constraints, list(self.open), self.met, self.current, list(self.path))
        result.add(token)
        return result


def constraints_of(constraints: Sequence[Any] | None, force_words_ids: Sequence[Any] | None) -> list[Constraint]:
    """From the options: ready constraints, and words: [id, ...] or, where one of several will do, [[id, ...], ...]."""
    found = list(constraints or [])
    if any(not isinstance(constraint, Constraint) for constraint in found):
        raise GenerationError("constraints must be made by generation.constraints.Constraint or phrasal.")
    for word in force_words_ids or []:
        alternatives = (
            word if isinstance(word, (list, tuple)) and word and isinstance(word[0], (list, tuple)) else [word]
        )
        found.append(Constraint(alternatives))
    if not found:
        raise GenerationError("force_words_ids and constraints are empty: name at least one word, or leave them out.")
    return found
