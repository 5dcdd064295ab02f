"""Finished sequences of one source, the way group and constrained search keep them."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from .job import Job
from .lengths import power


@dataclass
class Hypothesis:
    """A finished sequence without its end token, and the row that each of its generated tokens came from."""

    score: float  # with the length penalty
    ids: list[int]
    origins: list[int]


@dataclass
class Hypotheses:
    """The best `count` finished sequences."""

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
        """The lowest score kept."""
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
