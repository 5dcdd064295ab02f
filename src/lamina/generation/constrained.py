"""Beam search that makes words appear: beams are shared out by how many constraints they have met.

The allocation is Post and Vilar's (2018), "Fast lexically constrained decoding with dynamic beam allocation".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..errors import GenerationError
from ..files.shown import shown
from .beams import HypothesisSearch
from .job import Job
from .processors import best_tokens, require_words

Trie = dict[int, Any]
BANK = 100  # a step towards a constraint outweighs any difference in log-probability


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
        progress = cls(constraints, list(range(len(constraints))))
        for token in ids:
            if progress.complete:
                break
            progress.add(token)
        return progress

    @property
    def complete(self) -> bool:
        return self.met == len(self.constraints)

    @property
    def bank(self) -> int:
        """Steps made, for comparing sequences: met constraints count as much as the longest of them."""
        unit = max(constraint.length for constraint in self.constraints)
        partial = 0 if self.current is None else unit - (self.constraints[self.current].length - len(self.path))
        return self.met * unit + partial

    def wanted(self) -> list[int]:
        if self.current is not None:
            return list(self._node())
        return [token for index in self.open for token in self.constraints[index].trie]

    def _node(self) -> Trie:
        node: Trie = self.constraints[self.current or 0].trie
        for token in self.path:
            node = node[token]
        return node

    def add(self, token: int) -> None:
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


@dataclass
class _Candidate:
    beam: int  # of its source
    token: int
    score: float
    bank: int = 0


class ConstrainedSearch(HypothesisSearch):
    def __init__(self, job: Job):
        self.constraints = constraints_of(job.config.constraints, job.config.force_words_ids)
        words = [word for constraint in self.constraints for word in constraint.words]
        require_words("force_words_ids", words, job.model.writing_vocabulary)
        super().__init__(job)

    def step(self, logs: Tensor) -> tuple[Tensor, Tensor]:
        if len(self.job.processors):
            ids = self.ids[:, :, : self.length].flatten(0, 1)
            logs = self.job.processors(ids, logs, self.job.sources(self.beams), self.beams)
        self.record.after(logs)
        logs = logs.add_(self.scores.view(-1, 1)).view(len(self.ids), self.beams, -1)
        chosen = [self._choose(source, logs[source]) for source in range(len(self.ids))]
        self.scores = torch.tensor([[one.score for one in beams] for beams in chosen], device=logs.device)
        tokens = torch.tensor([[one.token for one in beams] for beams in chosen], device=logs.device)
        return tokens, torch.tensor([[one.beam for one in beams] for beams in chosen], device=logs.device)

    def _choose(self, source: int, logs: Tensor) -> list[_Candidate]:
        found = self.found[source][0]
        if found.complete:
            return [_Candidate(0, self.job.filler, 0.0) for _ in range(self.beams)]
        values, tokens = best_tokens(logs, self.candidates)
        best, places = values.flatten().topk(min(self.candidates, values.numel()))
        picked = zip(best.tolist(), places.tolist(), tokens.flatten()[places].tolist(), strict=True)
        ranked = [_Candidate(place // values.shape[1], token, score) for score, place, token in picked]
        written = self.ids[source, :, : self.length].tolist()
        going = self._sort_out(source, written, ranked)
        found.close_if_unbeatable(ranked[0].score, self.generated + 1)
        return self._shared_out(written, going, logs)

    def _sort_out(self, source: int, written: list[list[int]], ranked: list[_Candidate]) -> list[_Candidate]:
        """Keep what ended with all constraints met; the candidates that go on."""
        for one in (one for one in ranked[: self.beams] if one.token in self.job.eos):
            if Progress.after(self.constraints, written[one.beam]).complete:
                self.keep(source, one.beam, one.score, ended=True)
        return [one for one in ranked if one.token not in self.job.eos][: self.beams]

    def _shared_out(self, ids: list[list[int]], going: list[_Candidate], logs: Tensor) -> list[_Candidate]:
        """Beside the likely continuations, those that come nearer to the constraints; one of each bank in turn."""
        seen = {(*ids[one.beam], one.token) for one in going}
        for one in going:
            one.bank = Progress.after(self.constraints, [*ids[one.beam], one.token]).bank
        every = list(going)
        for beam, written in enumerate(ids):
            progress = Progress.after(self.constraints, written)
            for token in [] if progress.complete else progress.wanted():
                if (*written, token) not in seen:
                    seen.add((*written, token))
                    bank = progress.with_token(token).bank
                    every.append(_Candidate(beam, token, float(logs[beam, token]), bank))
        if len(every) == len(going):
            return going
        every.sort(key=lambda one: one.bank * BANK + one.score, reverse=True)
        return [one for _, one in sorted(_turns(every), key=lambda turn: turn[0])][: self.beams]

    def unfinished(self, source: int) -> list[int]:
        """Beams that met the constraints and, where these are too few, the others too."""
        beams = super().unfinished(source)
        written = self.ids[source, :, : self.length].tolist()
        met = [beam for beam in beams if Progress.after(self.constraints, written[beam]).complete]
        enough = len(met) >= self.job.config.num_return_sequences
        return met if enough else met + [beam for beam in beams if beam not in met]


def _turns(ranked: list[_Candidate]) -> Iterator[tuple[int, _Candidate]]:
    """Each candidate with its place among its neighbors of the same bank."""
    place = 0
    for index, one in enumerate(ranked):
        place = place + 1 if index and one.bank == ranked[index - 1].bank else 0
        yield place, one
