"""Beam search and its relatives: the best few sequences of every source, kept side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from ..errors import GenerationError
from ..files.shown import shown
from .job import Job
from .processors import (
    HammingDiversity,
    best_tokens,
    log_normalizer,
    power,
    require_sound,
    require_words,
    to_log_probabilities,
)
from .protocol import GenerateOutput
from .search import Search

NEVER = -1.0e9  # score of what is not to be chosen; finite, so that a beam with nothing else goes on
Trie = dict[int, Any]
BANK = 100  # a step towards a constraint outweighs any difference in log-probability


@dataclass
class Candidates:
    """The best continuations of each source, in order: [sources, candidates] each."""

    scores: Tensor
    parents: Tensor  # beam they continue, 0 to beams - 1
    tokens: Tensor


@dataclass
class Beams:
    """The sources still being searched. All tensors are [sources, beams, ...]."""

    running: Tensor  # [.., tokens]
    running_scores: Tensor
    origins: Tensor  # [.., steps]: row that each token of `running` came from
    done: Tensor  # [.., tokens]: finished sequences, best first
    done_scores: Tensor  # with the length penalty
    done_origins: Tensor
    filled: Tensor  # whether `done` holds a sequence there
    improvable: Tensor  # [sources]: whether a running beam may still beat a finished one

    def select(self, sources: Tensor) -> Beams:
        return Beams(**{each.name: getattr(self, each.name).index_select(0, sources) for each in fields(self)})

    def put(self, sources: Tensor, other: Beams) -> None:
        """Write back what became of these sources."""
        for each in fields(self):
            getattr(self, each.name)[sources] = getattr(other, each.name)


class BeamSearch(Search):
    """Beam search, and sampling of beams."""

    groups = 1  # of a source's beams, each searched as a source of its own

    def __init__(self, job: Job):
        super().__init__(job)
        self.beams = job.config.num_beams // self.groups
        self.candidates = max(2, 1 + len(job.eos)) * self.beams
        self.all = self._empty()
        self.now = self.all  # the sources still in the batch ..
        self.live = torch.arange(len(self.all.running), device=self.all.running.device)  # .. and their numbers
        self.leaving = self.leaving and not job.config.do_sample

    def _empty(self) -> Beams:
        running = self.job.buffer(self.groups, self._filler())[:, None].repeat(1, self.beams, 1)
        size, beams, room = running.shape
        running_scores = torch.full((size, beams), NEVER, device=running.device)
        running_scores[:, 0] = 0  # the first step continues one beam only: the others are its copies
        origins = torch.full((size, beams, room - self.length), -1, dtype=torch.int32, device=running.device)
        done_scores = torch.full_like(running_scores, -torch.inf)
        filled = torch.zeros_like(done_scores, dtype=torch.bool)
        improvable = torch.ones(size, dtype=torch.bool, device=running.device)
        return Beams(
            running, running_scores, origins, running.clone(), done_scores, origins.clone(), filled, improvable
        )

    def _filler(self) -> int:
        # The reference takes a pad token of 0 (T5's) for none at all here and fills with the end token instead.
        return self.job.pad or next(iter(self.job.eos), self.job.filler)

    @property
    def generated(self) -> int:
        """Tokens of each beam without its prompt."""
        return self.length - self.job.prompt.length

    def begin(self) -> Tensor:
        self.state, logits = self.job.begin(self.job.config.num_beams)
        return logits

    def choose(self, logits: Tensor) -> Tensor:
        candidates = self._continue(logits)
        self.stopped = self._stopped(candidates)
        self._finish(candidates, self.stopped)
        kept = self._going_on(candidates, self.stopped)
        now = self.now
        now.running, now.origins, now.running_scores = self._sequences(kept), self._origins(kept), kept.scores
        self.best = self._best_hope(candidates)
        first = torch.arange(len(kept.parents), device=kept.parents.device)[:, None] * self.beams
        self.parents = (kept.parents + first).view(-1)  # rows of the state that the running beams continue
        return kept.tokens.view(-1)

    def over(self, tokens: Tensor) -> bool:
        self._judge_improvable()
        self.settled = self._settled()
        return bool((self.settled.all() | self.stopped.all()).item())

    def follow(self, tokens: Tensor) -> Tensor:
        rows = self.parents
        if self.leaving and bool(self.settled.any()):
            self._write_back()
            stay = (~self.settled).nonzero()[:, 0]
            self.now, self.live = self.now.select(stay), self.live.index_select(0, stay)
            rows, tokens = (v.view(-1, self.beams).index_select(0, stay).view(-1) for v in (rows, tokens))
        self.reorder(rows)
        return self.job.step(tokens[:, None], self.state)

    def _continue(self, logits: Tensor) -> Candidates:
        """The best, or sampled, continuations of every source among those of all its beams."""
        self.record.before(logits)
        normalizer = None
        if len(self.job.processors) or self.record.scores is not None or self.job.config.do_sample:
            scores = self._processed(to_log_probabilities(logits))
        else:
            scores, normalizer = logits, log_normalizer(logits)
        if self.job.config.do_sample:
            return self._sampled(scores)
        return self._best(scores, self.now.running_scores, normalizer)

    def _processed(self, scores: Tensor) -> Tensor:
        if len(self.job.processors):
            sources = self.live.repeat_interleave(self.beams)
            ids = self.now.running[:, :, : self.length].flatten(0, 1)
            scores = self.job.processors(ids, scores, sources, self.beams)
        self.record.after(scores)
        return scores

    def _best(self, scores: Tensor, running_scores: Tensor, normalizer: Tensor | None = None) -> Candidates:
        values, tokens = best_tokens(scores, self.candidates)
        require_sound(values[:, 0])
        if normalizer is not None:
            values = values - normalizer
        size, width = len(running_scores), values.shape[1]
        sums = values.view(size, self.beams, width) + running_scores[:, :, None]
        best, places = sums.view(size, -1).topk(min(self.candidates, self.beams * width))
        return Candidates(best, places // width, tokens.view(size, -1).gather(1, places))

    def _sampled(self, scores: Tensor) -> Candidates:
        size, vocab = len(self.now.running), scores.shape[1]
        sums = (scores.view(size, self.beams, vocab) + self.now.running_scores[:, :, None]).view(size, -1)
        probabilities = sums.softmax(-1)
        require_sound(probabilities[:, 0])
        places = torch.multinomial(probabilities, num_samples=self.candidates)
        return Candidates(sums.gather(1, places), places // vocab, places % vocab)

    def _stopped(self, candidates: Candidates) -> Tensor:
        """Which candidates are finished sequences: [sources, candidates]."""
        stopping = self.job.stopping
        if self.length + 1 >= self.job.max_length:
            return torch.ones_like(candidates.tokens, dtype=torch.bool)
        if stopping.by_token_only:
            return stopping.ends(candidates.tokens)
        ids = self._sequences(candidates)[:, :, : self.length + 1]
        return stopping(ids.flatten(0, 1), self.record.scores).view_as(candidates.tokens)

    def _sequences(self, candidates: Candidates) -> Tensor:
        ids = _gather(self.now.running, candidates.parents)
        ids[:, :, self.length] = candidates.tokens
        return ids

    def _origins(self, candidates: Candidates) -> Tensor:
        origins = _gather(self.now.origins, candidates.parents)
        rows = candidates.parents + self.beams * self.live[:, None]
        origins[:, :, self.generated] = rows.to(origins.dtype)
        return origins

    def _finish(self, candidates: Candidates, stopped: Tensor) -> None:
        """Put sequences that ended among the finished ones where they are better than the worst of these."""
        ended = self._ended(candidates, stopped)
        if bool(ended.any()):
            scores, ids, origins = candidates.scores, self._sequences(candidates), self._origins(candidates)
            self._keep(scores / self._penalty(self.generated + 1), ended, ids, origins)

    def _ended(self, candidates: Candidates, stopped: Tensor) -> Tensor:
        ended = stopped.clone()
        ended[:, self.beams :] = False  # a source's candidates beyond its beams only stand by
        return ended

    def _keep(self, scores: Tensor, ended: Tensor, ids: Tensor, origins: Tensor) -> None:
        now = self.now
        scores = scores.masked_fill(~ended | self._settled()[:, None], -torch.inf)
        now.done_scores, order = torch.cat([now.done_scores, scores], 1).topk(self.beams)
        now.done = _gather(torch.cat([now.done, ids], 1), order)
        now.done_origins = _gather(torch.cat([now.done_origins, origins], 1), order)
        now.filled = torch.cat([now.filled, ended], 1).gather(1, order)

    def _penalty(self, generated: int) -> float:
        """What the score of a sequence of so many new tokens is divided by."""
        return power(generated, self.job.config.length_penalty)

    def _going_on(self, candidates: Candidates, stopped: Tensor) -> Candidates:
        """The best unfinished candidates, which are the running beams from now on."""
        scores, chosen = (candidates.scores + stopped * NEVER).topk(self.beams)
        return Candidates(scores, candidates.parents.gather(1, chosen), candidates.tokens.gather(1, chosen))

    def _best_hope(self, candidates: Candidates) -> Tensor:
        """The score [sources, 1] that might still beat a finished sequence."""
        return self.now.running_scores[:, :1]

    def _judge_improvable(self) -> None:
        """Whether the best running beam could still beat the worst finished one: a guess that early_stopping steers."""
        now, config = self.now, self.job.config
        hopeful = config.early_stopping == "never" and config.length_penalty > 0
        generated = self.job.max_length - self.job.prompt.length if hopeful else self.generated
        worst = torch.where(now.filled, now.done_scores.amin(1, keepdim=True), NEVER)
        now.improvable = now.improvable & (self.best / self._penalty(generated) > worst).any(1)

    def _settled(self) -> Tensor:
        """Which sources cannot change any more: [sources]."""
        settled = ~self.now.improvable
        if self.job.config.early_stopping is True:
            settled = settled | self.now.filled.all(1)
        return settled

    def _write_back(self) -> None:
        if len(self.live) == len(self.all.running):
            self.all = self.now
        else:
            self.all.put(self.live, self.now)

    def answer(self) -> Tensor | GenerateOutput:
        self._write_back()
        count, start = self.job.config.num_return_sequences, self.job.prompt.length
        origins = self.all.done_origins[:, :count].flatten(0, 1)
        steps = int((origins >= 0).sum(1).max())
        sequences = self.all.done[:, :count].flatten(0, 1)[:, : start + steps]
        scores = self.all.done_scores[:, :count].flatten()
        return self.job.beam_answer(sequences, scores, origins[:, :steps], self.record)


def _gather(values: Tensor, places: Tensor) -> Tensor:
    """`values` [sources, beams, n] at `places` [sources, m]: a new tensor [sources, m, n]."""
    return values.gather(1, places[:, :, None].expand(-1, -1, values.shape[2]))


class OlderBeamSearch(BeamSearch):
    """What the reference's two older searches do differently: only an end token ends a beam, and what still runs in
    the end competes with what is finished.
    """

    def __init__(self, job: Job):
        super().__init__(job)
        self.leaving = False

    def _filler(self) -> int:
        return self.job.filler

    def _stopped(self, candidates: Candidates) -> Tensor:
        return self.job.stopping.ends(candidates.tokens)

    def _best_hope(self, candidates: Candidates) -> Tensor:
        return candidates.scores[:, :1]

    def over(self, tokens: Tensor) -> bool:
        self._judge_improvable()
        ids = self.now.running[:, :, : self.length].flatten(0, 1)
        if not (bool(self._settled().all()) or bool(self.job.stopping(ids, self.record.scores).all())):
            return False
        now = self.now
        self._keep(now.running_scores / self._penalty(self.generated), self._unfinished(), now.running, now.origins)
        return True

    def _unfinished(self) -> Tensor:
        """Which running beams may compete: [sources, beams]."""
        return torch.ones_like(self.now.filled)

    def answer(self) -> Tensor | GenerateOutput:
        """The best of all groups, each ended by the first of the end tokens where there is room."""
        job, start, size = self.job, self.job.prompt.length, self.job.prompt.size
        scores, order = self.all.done_scores.view(size, -1).sort(stable=True)  # of equals the last group's is the first
        scores, order = (values.flip(1)[:, : job.config.num_return_sequences] for values in (scores, order))
        kept = (self.all.done, self.all.done_origins)
        ids, origins = (_gather(values.view(size, -1, values.shape[2]), order).flatten(0, 1) for values in kept)
        steps = (origins >= 0).sum(1)
        last = ids.gather(1, start - 1 + steps[:, None])[:, 0]
        end = start + steps - job.stopping.ends(last).long()
        ids = ids[:, : min(int(end.max()) + 1, job.max_length)]
        if job.eos:
            ids = ids.masked_fill(torch.arange(ids.shape[1], device=ids.device) == end[:, None], job.eos[0])
        return job.beam_answer(ids, scores.flatten(), origins[:, : int(steps.max())], self.record)


class GroupSearch(OlderBeamSearch):
    """Diverse beam search: each group searches alone, but sees which tokens the groups before it took at this step."""

    def __init__(self, job: Job):
        if job.processors.follow_rows:
            raise GenerationError(
                "num_beam_groups does not work with guidance_scale, nor with a logits processor that follows rows: "
                "each group of beams is scored apart."
            )
        self.groups = job.config.num_beam_groups
        super().__init__(job)

    def _continue(self, logits: Tensor) -> Candidates:
        self.record.before(logits)
        shape = (self.job.prompt.size, self.groups, self.beams, logits.shape[1])
        logs, ids = to_log_probabilities(logits).view(shape), self.now.running.view(*shape[:3], -1)
        running, settled = self.now.running_scores.view(shape[:3]), self._settled().view(shape[:2])
        found: list[Candidates] = []
        for group in range(self.groups):
            taken = [self._going_on(one, self._stopped(one)).tokens for one in found]
            for diversity in self.job.processors.of_type(HammingDiversity):
                diversity.chosen = torch.cat(taken, 1) if taken else None
            scores = logs[:, group].clone().flatten(0, 1)  # processors change what they are given
            if len(self.job.processors):
                written = ids[:, group, :, : self.length].flatten(0, 1)
                scores = self.job.processors(written, scores, self.job.sources(self.beams), self.beams)
            logs[:, group] = scores.view_as(logs[:, group])
            found.append(self._best(scores, running[:, group]))
            found[-1].tokens.masked_fill_(settled[:, group, None], self.job.filler)
        self.record.after(logs.flatten(0, 2))
        parts = ([getattr(one, each.name) for one in found] for each in fields(Candidates))
        return Candidates(*(torch.stack(part, 1).flatten(0, 1) for part in parts))


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
        raise GenerationError("constraints must be made by PhrasalConstraint or DisjunctiveConstraint.")
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


class ConstrainedSearch(OlderBeamSearch):
    """Beams that make words appear: they are shared out by how many constraints they have met.

    The allocation is Post and Vilar's (2018), "Fast lexically constrained decoding with dynamic beam allocation".
    """

    def __init__(self, job: Job):
        self.constraints = constraints_of(job.config.constraints, job.config.force_words_ids)
        words = [word for constraint in self.constraints for word in constraint.words]
        require_words("force_words_ids", words, job.model.writing_vocabulary)
        super().__init__(job)

    def _continue(self, logits: Tensor) -> Candidates:
        self.record.before(logits)
        self.logs = self._processed(to_log_probabilities(logits))
        return self._best(self.logs, self.now.running_scores)

    def _ended(self, candidates: Candidates, stopped: Tensor) -> Tensor:
        """Those that met all constraints."""
        ended = super()._ended(candidates, stopped)
        for source, rank in ended.nonzero().tolist():
            ids = self.now.running[source, candidates.parents[source, rank], : self.length].tolist()
            ended[source, rank] = Progress.after(self.constraints, ids).complete
        return ended

    def _going_on(self, candidates: Candidates, stopped: Tensor) -> Candidates:
        kept = super()._going_on(candidates, stopped)
        for source, settled in enumerate(self._settled().tolist()):
            if not settled:
                rows = (values[source].tolist() for values in (kept.parents, kept.tokens, kept.scores))
                shared = self._shared_out(source, [_Candidate(*row) for row in zip(*rows, strict=True)])
                kept.parents[source] = torch.tensor([one.beam for one in shared])
                kept.tokens[source] = torch.tensor([one.token for one in shared])
                kept.scores[source] = torch.tensor([one.score for one in shared])
        return kept

    def _shared_out(self, source: int, going: list[_Candidate]) -> list[_Candidate]:
        """Beside the likely continuations, those that come nearer to the constraints; one of each bank in turn."""
        ids = self.now.running[source, :, : self.length].tolist()
        logs = self.logs.view(-1, self.beams, self.logs.shape[1])[source] + self.now.running_scores[source, :, None]
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

    def _unfinished(self) -> Tensor:
        """Beams that met the constraints and, where these are too few, the others too."""
        written = self.now.running[:, :, : self.length].tolist()
        met = [[Progress.after(self.constraints, ids).complete for ids in beams] for beams in written]
        complete = torch.tensor(met, device=self.now.filled.device)
        return complete | (complete.sum(1, keepdim=True) < self.job.config.num_return_sequences)


def _turns(ranked: list[_Candidate]) -> Iterator[tuple[int, _Candidate]]:
    """Each candidate with its place among its neighbors of the same bank."""
    place = 0
    for index, one in enumerate(ranked):
        place = place + 1 if index and one.bank == ranked[index - 1].bank else 0
        yield place, one
