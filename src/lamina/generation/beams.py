"""Beam search, beam sampling and groups of beams: the best few sequences of every source, kept side by side."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import torch
from torch import Tensor

from ..errors import GenerationError
from .job import Job, Record
from .processors import (
    HammingDiversity,
    best_tokens,
    log_normalizer,
    power,
    require_sound,
    to_log_probabilities,
)
from .protocol import GenerateOutput

NEVER = -1.0e9  # score of what is not to be chosen; finite, so that a beam with nothing else goes on


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


class BeamSearch:
    """One search; `run` is all there is to call."""

    def __init__(self, job: Job):
        self.job, self.record = job, Record(job.config)
        self.beams = job.config.num_beams
        self.candidates = max(2, 1 + len(job.eos)) * self.beams
        self.prompt_length = self.length = job.prompt.length
        self.all = self._empty()
        self.now = self.all  # the sources still in the batch ..
        self.live = torch.arange(job.prompt.size, device=self.all.running.device)  # .. and their numbers
        self.leaving = not (job.config.do_sample or self.record.wanted)
        self.leaving = self.leaving and job.processors.let_rows_leave and job.stopping.let_rows_leave

    def _empty(self) -> Beams:
        # The reference takes a pad token of 0 (T5's) for none at all here and fills with the end token instead.
        filler = self.job.pad or next(iter(self.job.eos), self.job.filler)
        size, beams, room = self.job.prompt.size, self.beams, self.job.buffer(filler=filler)
        running = room[:, None].repeat(1, beams, 1)
        scores = torch.full((size, beams), NEVER, device=room.device)
        running_scores = scores.clone()
        running_scores[:, 0] = 0  # the first step continues one beam only: the others are its copies
        steps = self.job.max_length - self.prompt_length
        origins = torch.full((size, beams, steps), -1, dtype=torch.int32, device=room.device)
        filled = torch.zeros_like(scores, dtype=torch.bool)
        improvable = torch.ones(size, dtype=torch.bool, device=room.device)
        return Beams(running, running_scores, origins, running.clone(), scores, origins.clone(), filled, improvable)

    def run(self) -> Tensor | GenerateOutput:
        """Search; the sequences [sources * num_return_sequences, tokens], best first, or an output."""
        state, logits = self.job.begin(self.beams)
        while True:
            candidates = self._continue(logits)
            stopped = self._stopped(candidates)
            self._finish(candidates, stopped)
            rows = self._advance(candidates, stopped)
            self.length += 1
            self._judge_improvable()
            settled = self._settled()
            if bool((settled.all() | stopped.all()).item()):
                break
            if self.leaving and bool(settled.any()):
                rows = self._drop(settled, rows)
            state.reorder(rows)
            self.job.processors.reorder(rows)
            self.job.stopping.reorder(rows)
            logits = self.job.step(self.now.running[:, :, self.length - 1].reshape(-1), state)
        self._write_back()
        return self._answer()

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
        values, tokens = best_tokens(scores, self.candidates)
        require_sound(values[:, 0])
        if normalizer is not None:
            values = values - normalizer
        size, width = len(self.now.running), values.shape[1]
        sums = values.view(size, self.beams, width) + self.now.running_scores[:, :, None]
        best, places = sums.view(size, -1).topk(min(self.candidates, self.beams * width))
        return Candidates(best, places // width, tokens.view(size, -1).gather(1, places))

    def _processed(self, scores: Tensor) -> Tensor:
        if len(self.job.processors):
            sources = self.live.repeat_interleave(self.beams)
            ids = self.now.running[:, :, : self.length].flatten(0, 1)
            scores = self.job.processors(ids, scores, sources, self.beams)
        self.record.after(scores)
        return scores

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
        origins[:, :, self.length - self.prompt_length] = rows.to(origins.dtype)
        return origins

    def _finish(self, candidates: Candidates, stopped: Tensor) -> None:
        """Put sequences that ended among the finished ones where they are better than the worst of these."""
        ended = stopped.clone()
        ended[:, self.beams :] = False  # a source's candidates beyond its beams only stand by
        if not bool(ended.any()):
            return
        now, config = self.now, self.job.config
        scores = candidates.scores / power(self.length + 1 - self.prompt_length, config.length_penalty)
        scores = scores + (~ended | self._settled()[:, None]) * NEVER
        now.done_scores, order = torch.cat([now.done_scores, scores], 1).topk(self.beams)
        now.done = _gather(torch.cat([now.done, self._sequences(candidates)], 1), order)
        now.done_origins = _gather(torch.cat([now.done_origins, self._origins(candidates)], 1), order)
        now.filled = torch.cat([now.filled, ended], 1).gather(1, order)

    def _advance(self, candidates: Candidates, stopped: Tensor) -> Tensor:
        """Let the best unfinished candidates be the running beams; the rows of the state that these continue."""
        scores, chosen = (candidates.scores + stopped * NEVER).topk(self.beams)
        kept = Candidates(scores, candidates.parents.gather(1, chosen), candidates.tokens.gather(1, chosen))
        now = self.now
        now.running, now.origins = self._sequences(kept), self._origins(kept)
        now.running_scores = scores
        first = torch.arange(len(scores), device=scores.device)[:, None] * self.beams
        return (kept.parents + first).view(-1)

    def _judge_improvable(self) -> None:
        """Whether the best running beam could still beat the worst finished one: a guess that early_stopping steers."""
        now, config = self.now, self.job.config
        hopeful = config.early_stopping == "never" and config.length_penalty > 0
        length = (self.job.max_length if hopeful else self.length) - self.prompt_length
        best = now.running_scores[:, :1] / power(length, config.length_penalty)
        worst = torch.where(now.filled, now.done_scores.amin(1, keepdim=True), NEVER)
        now.improvable = now.improvable & (best > worst).any(1)

    def _settled(self) -> Tensor:
        """Which sources cannot change any more: [sources]."""
        settled = ~self.now.improvable
        if self.job.config.early_stopping is True:
            settled = settled | self.now.filled.all(1)
        return settled

    def _drop(self, settled: Tensor, rows: Tensor) -> Tensor:
        """Take settled sources out of the batch; the rows of the state that stay."""
        self._write_back()
        stay = (~settled).nonzero()[:, 0]
        self.now, self.live = self.now.select(stay), self.live.index_select(0, stay)
        return rows.view(-1, self.beams).index_select(0, stay).view(-1)

    def _write_back(self) -> None:
        if len(self.live) == self.job.prompt.size:
            self.all = self.now
        else:
            self.all.put(self.live, self.now)

    def _answer(self) -> Tensor | GenerateOutput:
        count = self.job.config.num_return_sequences
        origins = self.all.done_origins[:, :count].flatten(0, 1)
        steps = int((origins >= 0).sum(1).max())
        sequences = self.all.done[:, :count].flatten(0, 1)[:, : self.prompt_length + steps]
        scores = self.all.done_scores[:, :count].flatten()
        return self.job.beam_answer(sequences, scores, origins[:, :steps], self.record)


def _gather(values: Tensor, places: Tensor) -> Tensor:
    """`values` [sources, beams, n] at `places` [sources, m]: a new tensor [sources, m, n]."""
    return values.gather(1, places[:, :, None].expand(-1, -1, values.shape[2]))


@dataclass
class Hypothesis:
    """A finished sequence without its end token, and the row that each of its generated tokens came from."""

    score: float  # with the length penalty
    ids: list[int]
    origins: list[int]


@dataclass
class Hypotheses:
    job: Job
    count: int
    kept: list[Hypothesis] = field(default_factory=list)
    complete: bool = False

    def add(self, ids: list[int], log_probability: float, origins: list[int], generated: int) -> None:
        """Keep a sequence of `generated` new tokens if it is among the best."""
        score = log_probability / power(generated, self.job.config.length_penalty)
        if len(self.kept) < self.count or score > self.worst:
            self.kept.append(Hypothesis(score, ids, origins))
            if len(self.kept) > self.count:
                worst = min(range(len(self.kept)), key=lambda index: self.kept[index].score)
                del self.kept[worst]

    @property
    def worst(self) -> float:
        return min(hypothesis.score for hypothesis in self.kept)

    def close_if_unbeatable(self, best_log_probability: float, generated: int) -> None:
        """Be complete once the best running sequence cannot get among these, as far as early_stopping looks."""
        config = self.job.config
        if self.complete or len(self.kept) < self.count:
            return
        if config.early_stopping == "never" and config.length_penalty > 0:
            generated = self.job.max_length - self.job.prompt.length
        attainable = best_log_probability / power(generated, config.length_penalty)
        self.complete = config.early_stopping is True or self.worst >= attainable


def best_of(groups: list[Hypotheses], count: int) -> list[Hypothesis]:
    """The best `count` over several keepers, best first; of equals the one found later."""
    every = [hypothesis for group in groups for hypothesis in group.kept]
    return sorted(every, key=lambda hypothesis: hypothesis.score)[::-1][:count]


def laid_out(job: Job, found: list[Hypothesis]) -> tuple[Tensor, Tensor, Tensor]:
    """Sequences with their end token where there is room, their scores, and the rows of their tokens."""
    device = job.prompt.input_ids.device
    longest = min(max(len(one.ids) for one in found) + 1, job.max_length)
    sequences = torch.full((len(found), longest), job.filler, device=device)
    steps = max(len(one.origins) for one in found)
    origins = torch.full((len(found), steps), -1, dtype=torch.int32, device=device)
    for row, one in enumerate(found):
        ids = one.ids if len(one.ids) >= longest or not job.eos else [*one.ids, job.eos[0]]
        sequences[row, : len(ids)] = torch.tensor(ids, device=device)
        origins[row, : len(one.origins)] = torch.tensor(one.origins, dtype=torch.int32, device=device)
    scores = torch.tensor([one.score for one in found], dtype=torch.float32, device=device)
    return sequences, scores, origins


class HypothesisSearch:
    """What group and constrained search share: beams, and a keeper of finished sequences for each group of them."""

    def __init__(self, job: Job):
        self.job, self.record = job, Record(job.config)
        self.beams, self.groups = job.config.num_beams, job.config.num_beam_groups
        self.width = self.beams // self.groups
        self.candidates = max(2, 1 + len(job.eos)) * self.width
        self.length = job.prompt.length
        size, device = job.prompt.size, job.prompt.input_ids.device
        self.ids = job.buffer()[:, None].repeat(1, self.beams, 1)  # [sources, beams, max_length]
        self.scores = torch.full((size, self.beams), NEVER, device=device)
        self.scores[:, :: self.width] = 0
        self.origins: list[list[list[int]]] = [[[] for _ in range(self.beams)] for _ in range(size)]
        self.found = [[Hypotheses(job, self.width) for _ in range(self.groups)] for _ in range(size)]

    @property
    def generated(self) -> int:
        """Tokens of each beam without its prompt."""
        return self.length - self.job.prompt.length

    def run(self) -> Tensor | GenerateOutput:
        """Search; the sequences [sources * num_return_sequences, tokens], best first, or an output."""
        state, logits = self.job.begin(self.beams)
        while True:
            self.record.before(logits)
            logs = to_log_probabilities(logits)
            require_sound(logs[:, 0])
            tokens, parents = self.step(logs)
            rows = (parents + torch.arange(len(parents), device=parents.device)[:, None] * self.beams).view(-1)
            self.ids = self.ids.flatten(0, 1).index_select(0, rows).view_as(self.ids)
            self.ids[:, :, self.length] = tokens
            self.origins = [
                [[*self.origins[row // self.beams][row % self.beams], row] for row in source]
                for source in rows.view_as(parents).tolist()
            ]
            self.length += 1
            ids = self.ids[:, :, : self.length].flatten(0, 1)
            complete = all(group.complete for source in self.found for group in source)
            if complete or bool(self.job.stopping(ids, self.record.scores).all()):
                return self._answer()
            state.reorder(rows)
            self.job.processors.reorder(rows)
            self.job.stopping.reorder(rows)
            logits = self.job.step(tokens.view(-1), state)

    def step(self, logs: Tensor) -> tuple[Tensor, Tensor]:
        """From log-probabilities [sources * beams, vocab], the next tokens and the beams they continue.

        Each is [sources, beams]; `scores` follow, and what ended goes to `found`.
        """
        raise NotImplementedError

    def keep(self, source: int, beam: int, score: float, ended: bool = False) -> None:
        """Put a beam, `ended` by a token of this step or as it is, among the finished sequences of its group."""
        origins = [*self.origins[source][beam], *([source * self.beams + beam] if ended else [])]
        ids = self.ids[source, beam, : self.length].tolist()
        self.found[source][beam // self.width].add(ids, score, origins, self.generated + ended)

    def unfinished(self, source: int) -> list[int]:
        """Beams that count as finished where the search is over."""
        return [beam for beam in range(self.beams) if not self.found[source][beam // self.width].complete]

    def _answer(self) -> Tensor | GenerateOutput:
        best = []
        for source, groups in enumerate(self.found):
            for beam in self.unfinished(source):
                self.keep(source, beam, float(self.scores[source, beam]))
            best += best_of(groups, self.job.config.num_return_sequences)
        return self.job.beam_answer(*laid_out(self.job, best), self.record)


class GroupSearch(HypothesisSearch):
    """Diverse beam search: each group searches alone, but sees which tokens the groups before it took at this step."""

    def __init__(self, job: Job):
        if job.processors.follow_rows:
            raise GenerationError(
                "num_beam_groups does not work with guidance_scale, nor with a logits processor that follows rows: "
                "each group of beams is scored apart."
            )
        super().__init__(job)

    def step(self, logs: Tensor) -> tuple[Tensor, Tensor]:
        logs = logs.view(len(self.ids), self.beams, -1)
        tokens = torch.zeros(len(self.ids), self.beams, dtype=torch.long, device=logs.device)
        parents = torch.zeros_like(tokens)
        for group in range(self.groups):
            first, last = group * self.width, (group + 1) * self.width
            for diversity in self.job.processors.of_type(HammingDiversity):
                diversity.chosen = tokens[:, :first] if group else None
            processed = self._processed(logs[:, first:last], first)
            logs[:, first:last] = processed
            best, chosen, beam = self._best(processed, self.scores[:, first:last])
            for source in range(len(self.ids)):
                kept = self._sort_out(source, group, best[source], chosen[source], beam[source])
                self.scores[source, first:last], tokens[source, first:last] = kept[0], kept[1]
                parents[source, first:last] = kept[2] + first
        self.record.after(logs.flatten(0, 1))
        return tokens, parents

    def _processed(self, logs: Tensor, first: int) -> Tensor:
        if not len(self.job.processors):
            return logs
        flat = logs.clone().flatten(0, 1)  # processors change what they are given, and `logs` is a part of it all
        ids = self.ids[:, first : first + self.width, : self.length].flatten(0, 1)
        return self.job.processors(ids, flat, self.job.sources(self.width), self.width).view_as(logs)

    def _best(self, logs: Tensor, running: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The best continuations of a group: scores, tokens and the beam within the group."""
        values, tokens = best_tokens(logs.flatten(0, 1), self.candidates)
        width = values.shape[1]
        sums = (values.view(len(logs), -1, width) + running[:, :, None]).flatten(1)
        best, places = sums.topk(min(self.candidates, sums.shape[1]))
        return best, tokens.view(len(logs), -1).gather(1, places), places // width

    def _sort_out(
        self, source: int, group: int, scores: Tensor, tokens: Tensor, beams: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Keep what ended among the found ones; the candidates that go on."""
        found = self.found[source][group]
        if found.complete:
            idle = torch.zeros(self.width, dtype=torch.long, device=tokens.device)
            return torch.zeros_like(scores[: self.width]), idle + self.job.filler, idle
        ends = self.job.stopping.ends(tokens)
        for rank in ends[: self.width].nonzero()[:, 0].tolist():
            self.keep(source, group * self.width + int(beams[rank]), float(scores[rank]), ended=True)
        going = (~ends).nonzero()[: self.width, 0]
        found.close_if_unbeatable(float(scores.max()), self.generated + 1)
        return scores[going], tokens[going], beams[going]
