"""Diverse beam search: groups of beams that are kept from saying the same (Vijayakumar et al., 2016)."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import GenerationError
from .beams import NEVER
from .choosing import best_tokens, to_log_probabilities
from .hypotheses import Hypotheses, best_of, laid_out
from .job import Job, Record, require_sound
from .logits import Processors
from .outputs import GenerateOutput
from .penalties import HammingDiversity


class GroupSearch:
    """Each group searches alone, seeing only which tokens the groups before it took at this step."""

    def __init__(self, job: Job):
        if job.processors.follow_rows:
            raise GenerationError(
                "num_beam_groups does not work with guidance_scale, nor with a logits processor that follows rows: "
                "each group of beams is scored apart."
            )
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

    def run(self) -> Tensor | GenerateOutput:
        """Search; the sequences [sources * num_return_sequences, tokens], best first, or an output."""
        state, logits = self.job.begin(self.beams)
        while True:
            tokens, parents = self._step(logits)
            rows = (parents + torch.arange(len(parents), device=parents.device)[:, None] * self.beams).view(-1)
            self.ids = self.ids.flatten(0, 1).index_select(0, rows).view_as(self.ids)
            self.ids[:, :, self.length] = tokens
            self._follow(rows.view_as(parents).tolist())
            self.length += 1
            ids = self.ids[:, :, : self.length].flatten(0, 1)
            if self._complete() or bool(self.job.stopping(ids, self.record.scores).all()):
                break
            state.reorder(rows)
            self.job.processors.reorder(rows)
            self.job.stopping.reorder(rows)
            logits = self.job.step(tokens.view(-1), state)
        return self._answer()

    def _step(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """The next token of every beam and the beam it continues, [sources, beams] each."""
        self.record.before(logits)
        logs = to_log_probabilities(logits)
        require_sound(logs[:, 0])
        logs = logs.view(len(self.ids), self.beams, -1)
        tokens = torch.zeros(len(self.ids), self.beams, dtype=torch.long, device=logits.device)
        parents = torch.zeros_like(tokens)
        for group in range(self.groups):
            first, last = group * self.width, (group + 1) * self.width
            _observe(self.job.processors, tokens[:, :first] if group else None)
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
        generated = self.length + 1 - self.job.prompt.length
        for rank in ends[: self.width].nonzero()[:, 0].tolist():
            beam = group * self.width + int(beams[rank])
            origins = [*self.origins[source][beam], source * self.beams + beam]
            found.add(self.ids[source, beam, : self.length].tolist(), float(scores[rank]), origins, generated)
        going = (~ends).nonzero()[: self.width, 0]
        found.close_if_unbeatable(float(scores.max()), generated)
        return scores[going], tokens[going], beams[going]

    def _follow(self, rows: list[list[int]]) -> None:
        beams = self.beams
        self.origins = [[[*self.origins[row // beams][row % beams], row] for row in source] for source in rows]

    def _complete(self) -> bool:
        return all(group.complete for source in self.found for group in source)

    def _answer(self) -> Tensor | GenerateOutput:
        best = []
        for source, groups in enumerate(self.found):
            for beam in range(self.beams):
                group = groups[beam // self.width]
                if not group.complete:
                    generated = self.length - self.job.prompt.length
                    ids = self.ids[source, beam, : self.length].tolist()
                    group.add(ids, float(self.scores[source, beam]), self.origins[source][beam], generated)
            best += best_of(groups, self.job.config.num_return_sequences)
        return self.job.beam_answer(*laid_out(self.job, best), self.record)


def _observe(processors: Processors, chosen: Tensor | None) -> None:
    for processor in processors.of_type(HammingDiversity):
        processor.observe(chosen)
