"""Beam search that makes words appear: beams are shared out by how many constraints they have met.

The allocation is Post and Vilar's (2018), "Fast lexically constrained decoding with dynamic beam allocation".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .beams import NEVER
from .choosing import best_tokens, to_log_probabilities
from .constraints import Progress, constraints_of
from .hypotheses import Hypotheses, best_of, laid_out
from .job import Job, Record, require_sound
from .outputs import GenerateOutput
from .requirements import require_words

BANK = 100  # a step towards a constraint outweighs any difference in log-probability


@dataclass
class _Candidate:
    beam: int  # of its source
    token: int
    score: float
    bank: int = 0


class ConstrainedSearch:
    """One search; `run` is all there is to call."""

    def __init__(self, job: Job):
        self.job, self.record = job, Record(job.config)
        self.constraints = constraints_of(job.config.constraints, job.config.force_words_ids)
        words = [word for constraint in self.constraints for word in constraint.words]
        require_words("force_words_ids", words, job.model.writing_vocabulary)
        self.beams = job.config.num_beams
        self.candidates = max(2, 1 + len(job.eos)) * self.beams
        self.length = job.prompt.length
        size = job.prompt.size
        self.ids = [[row for _ in range(self.beams)] for row in job.prompt.input_ids.tolist()]
        self.scores = torch.full((size, self.beams), NEVER, device=job.prompt.input_ids.device)
        self.scores[:, 0] = 0
        self.origins: list[list[list[int]]] = [[[] for _ in range(self.beams)] for _ in range(size)]
        self.found = [Hypotheses(job, self.beams) for _ in range(size)]

    def run(self) -> Tensor | GenerateOutput:
        """Search; the sequences [sources * num_return_sequences, tokens], best first, or an output."""
        state, logits = self.job.begin(self.beams)
        while True:
            chosen = self._step(logits)
            device = logits.device
            tokens = torch.tensor([[one.token for one in beams] for beams in chosen], device=device).view(-1)
            rows = torch.tensor([[n * self.beams + one.beam for one in beams] for n, beams in enumerate(chosen)])
            rows = rows.view(-1).to(device)
            self.length += 1
            if self._over():
                break
            state.reorder(rows)
            self.job.processors.reorder(rows)
            self.job.stopping.reorder(rows)
            logits = self.job.step(tokens, state)
        return self._answer()

    def _over(self) -> bool:
        if all(found.complete for found in self.found):
            return True
        ids = torch.tensor(self.ids, device=self.scores.device).flatten(0, 1)
        return bool(self.job.stopping(ids, self.record.scores).all())

    def _step(self, logits: Tensor) -> list[list[_Candidate]]:
        """How every beam of every source goes on; `ids`, `scores` and `origins` follow."""
        self.record.before(logits)
        logs = to_log_probabilities(logits)
        require_sound(logs[:, 0])
        if len(self.job.processors):
            ids = torch.tensor(self.ids, device=logits.device).flatten(0, 1)
            logs = self.job.processors(ids, logs, self.job.sources(self.beams), self.beams)
        self.record.after(logs)
        logs = logs.add_(self.scores.view(-1, 1)).view(len(self.ids), self.beams, -1)
        chosen = [self._choose(source, logs[source]) for source in range(len(self.ids))]
        for source, beams in enumerate(chosen):
            self.ids[source] = [[*self.ids[source][one.beam], one.token] for one in beams]
            origins = self.origins[source]
            self.origins[source] = [[*origins[one.beam], source * self.beams + one.beam] for one in beams]
        self.scores = torch.tensor([[one.score for one in beams] for beams in chosen], device=logits.device)
        return chosen

    def _choose(self, source: int, logs: Tensor) -> list[_Candidate]:
        found = self.found[source]
        if found.complete:
            return [_Candidate(0, self.job.filler, 0.0) for _ in range(self.beams)]
        values, tokens = best_tokens(logs, self.candidates)
        best, places = values.flatten().topk(min(self.candidates, values.numel()))
        picked = zip(best.tolist(), places.tolist(), tokens.flatten()[places].tolist(), strict=True)
        ranked = [_Candidate(place // values.shape[1], token, score) for score, place, token in picked]
        going = self._sort_out(source, ranked)
        found.close_if_unbeatable(ranked[0].score, self.length + 1 - self.job.prompt.length)
        return self._shared_out(source, going, logs)

    def _sort_out(self, source: int, ranked: list[_Candidate]) -> list[_Candidate]:
        """Keep what ended with all constraints met; the candidates that go on."""
        going = []
        for rank, one in enumerate(ranked):
            if one.token not in self.job.eos:
                going.append(one)
                continue
            ids = self.ids[source][one.beam]
            if rank < self.beams and Progress.after(self.constraints, ids).complete:
                origins = [*self.origins[source][one.beam], source * self.beams + one.beam]
                self.found[source].add(ids, one.score, origins, self.length + 1 - self.job.prompt.length)
        return going[: self.beams]

    def _shared_out(self, source: int, going: list[_Candidate], logs: Tensor) -> list[_Candidate]:
        """Beside the likely continuations, those that come nearer to the constraints; one of each bank in turn."""
        ids = self.ids[source]
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

    def _answer(self) -> Tensor | GenerateOutput:
        best = []
        for source, found in enumerate(self.found):
            if not found.complete:
                self._take_unfinished(source)
            best += best_of([found], self.job.config.num_return_sequences)
        return self.job.beam_answer(*laid_out(self.job, best), self.record)

    def _take_unfinished(self, source: int) -> None:
        """Running sequences that met the constraints and, where these are too few, the others too."""
        generated, wanted = self.length - self.job.prompt.length, self.job.config.num_return_sequences
        ids, scores = self.ids[source], self.scores[source].tolist()
        met = [beam for beam in range(self.beams) if Progress.after(self.constraints, ids[beam]).complete]
        others = [beam for beam in range(self.beams) if beam not in met] if len(met) < wanted else []
        for beam in met + others:
            self.found[source].add(ids[beam], scores[beam], self.origins[source][beam], generated)


def _turns(ranked: list[_Candidate]) -> Iterator[tuple[int, _Candidate]]:
    """Each candidate with its place among its neighbors of the same bank."""
    place = 0
    for index, one in enumerate(ranked):
        place = place + 1 if index and one.bank == ranked[index - 1].bank else 0
        yield place, one
