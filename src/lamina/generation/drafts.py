"""Who proposes tokens for a model to confirm: a smaller model, or the text so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..errors import GenerationError
from ..files.shown import shown
from .choosing import best_token
from .job import Job, require_sound
from .protocol import Decodes, State

Written = list[list[int]]  # ids of each row, its padding left out


@dataclass
class Draft:
    """Proposed ids of each row and, where they were sampled, the distributions they were drawn from."""

    ids: Written
    distributions: list[list[Tensor]] | None = None


class Drafter(Protocol):
    """Proposes."""

    def propose(self, written: Written, room: int) -> Draft:
        """At most `room` ids for each row."""

    def keep(self, lengths: Tensor) -> None:
        """Rows hold `lengths` confirmed ids; forget what was proposed beyond them."""

    def learn(self, proposed: int, accepted: int) -> None:
        """How many ids of the last draft were taken."""

    def reorder(self, rows: Tensor) -> None:
        """Row i goes on as what row `rows[i]` was."""


class PromptLookup:
    """Proposes what followed the row's last n-gram the first time it stood there (Saxena, 2023)."""

    def __init__(self, count: int, longest: int, eos: tuple[int, ...]):
        self.count, self.longest, self.eos = count, longest, eos

    def propose(self, written: Written, room: int) -> Draft:
        """Copies from the text, up to an end token."""
        return Draft([self._lookup(ids, min(self.count, room)) for ids in written])

    def _lookup(self, ids: list[int], count: int) -> list[int]:
        for size in range(min(self.longest, len(ids) - 1), 0, -1):
            end = ids[-size:]
            for start in range(len(ids) - size):
                if ids[start : start + size] == end:
                    return self._until_end(ids[start + size : start + size + count])
        return []

    def _until_end(self, ids: list[int]) -> list[int]:
        stop = next((place for place, token in enumerate(ids) if token in self.eos), len(ids))
        return ids[:stop]

    def keep(self, lengths: Tensor) -> None:
        """Nothing is remembered."""

    def learn(self, proposed: int, accepted: int) -> None:
        """Nothing to learn."""

    def reorder(self, rows: Tensor) -> None:
        """Nothing is remembered."""


class Assistant:
    """A smaller model that writes ahead with a state of its own."""

    def __init__(self, job: Job, model: Decodes):
        self.job, self.model = job, model
        options = model.generation_config
        self.count = float(options.num_assistant_tokens)
        self.schedule = options.num_assistant_tokens_schedule
        self.confidence = options.assistant_confidence_threshold or 0.0
        _require_same_kind(job.model, model)
        self.state: State = job.prompt.start(model, job.max_length)
        self.processors = job.processors
        self.sources = job.sources(1)

    def propose(self, written: Written, room: int) -> Draft:
        """Writes on greedily, or samples; a row stops where its confidence falls below the threshold."""
        room = min(int(self.count), room, self._room(written))
        drafts: Written = [[] for _ in written]
        distributions: list[list[Tensor]] = [[] for _ in written]
        ends = [room] * len(written)
        held = self.state.lengths.tolist()
        feed = [ids[place:] for ids, place in zip(written, held, strict=True)]
        for place in range(room):
            logits = self._advance(feed)
            for row, draft in enumerate(drafts):
                token, distribution = self._choose(written[row] + draft, logits[row : row + 1], row)
                draft.append(token)
                distributions[row].append(distribution)
                if token in self.job.eos or bool(distribution[token] < self.confidence):
                    ends[row] = min(ends[row], place + 1)
            if max(ends) <= place + 1:
                break
            feed = [draft[-1:] for draft in drafts]
        drafts = [draft[:end] for draft, end in zip(drafts, ends, strict=True)]
        return Draft(drafts, distributions if self.job.config.do_sample else None)

    def _room(self, written: Written) -> int:
        room = self.model.writing_room
        return self.job.max_length if room is None else max(0, room - max(map(len, written)))

    def _advance(self, feed: Written) -> Tensor:
        longest = max(map(len, feed))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in feed], device=self.model.device)
        lengths = torch.tensor([len(row) for row in feed], device=self.model.device)
        return self.model.step(ids, self.state, lengths).logits.float()

    def _choose(self, ids: list[int], logits: Tensor, row: int) -> tuple[int, Tensor]:
        if len(self.processors):
            rows = torch.tensor([ids], device=logits.device)
            logits = self.processors(rows, logits, self.sources[row : row + 1])
        distribution = logits.softmax(-1)
        require_sound(distribution[:, 0])
        if self.job.config.do_sample:
            return int(torch.multinomial(distribution, 1)), distribution[0]
        return int(best_token(logits)[1]), distribution[0]

    def keep(self, lengths: Tensor) -> None:
        """Forget what was proposed and not taken."""
        self.state.truncate(torch.minimum(self.state.lengths, lengths))

    def learn(self, proposed: int, accepted: int) -> None:
        """With the heuristic schedule: two more ids next time when all were taken, one less otherwise."""
        if self.schedule.startswith("heuristic") and proposed:
            self.count = self.count + 2 if accepted == proposed else max(1.0, self.count - 1)

    def reorder(self, rows: Tensor) -> None:
        """Follow the rows."""
        self.state.reorder(rows)
        self.sources = self.sources.index_select(0, rows)


def _require_same_kind(model: Decodes, assistant: Decodes) -> None:
    """An assistant must have the model's vocabulary, and an encoder where the model has one."""
    for name, what in (("vocab_size", "vocabulary"), ("is_encoder_decoder", "kind (with or without an encoder)")):
        ours, theirs = getattr(model.config, name, None), getattr(assistant.config, name, None)
        if (ours or False) != (theirs or False):
            raise GenerationError(
                f"assistant_model must have the model's {what}: {name} is {shown(theirs)} there, {shown(ours)} here."
            )
