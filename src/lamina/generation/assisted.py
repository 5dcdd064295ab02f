"""Speculative decoding: many tokens confirmed by one step of the model (Leviathan et al., 2022)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import GenerationError
from ..files.shown import shown
from .job import Job
from .processors import best_token, require_sound
from .protocol import Decodes
from .search import RowSearch

DEFAULT_NGRAM = 2


@dataclass
class Draft:
    """Proposed ids [rows, n] and, where they were drawn, the distributions [rows, n, vocab] that they come from."""

    ids: Tensor
    chances: Tensor | None = None

    @property
    def size(self) -> int:
        return self.ids.shape[1]

    def select(self, rows: Tensor) -> Draft:
        chances = None if self.chances is None else self.chances.index_select(0, rows)
        return Draft(self.ids.index_select(0, rows), chances)


class PromptLookup:
    """Proposes what followed the row's last n-gram the first time it stood there (Saxena, 2023)."""

    def __init__(self, job: Job):
        self.eos, self.count = job.eos, job.config.prompt_lookup_num_tokens or 1
        self.longest = job.config.max_matching_ngram_size or DEFAULT_NGRAM

    def propose(self, written: Tensor, room: int) -> Draft:
        """At most `room` ids for each row, as many for one as for another."""
        found = [self._lookup(ids, min(self.count, room)) for ids in written.tolist()]
        size = min(map(len, found))
        return Draft(torch.tensor([ids[:size] for ids in found], dtype=torch.long, device=written.device))

    def _lookup(self, ids: list[int], count: int) -> list[int]:
        for size in range(min(self.longest, len(ids) - 1), 0, -1):
            end = ids[-size:]
            for start in range(len(ids) - size):
                if ids[start : start + size] == end:
                    following = ids[start + size : start + size + count]
                    stop = next((place for place, token in enumerate(following) if token in self.eos), len(following))
                    return following[:stop]
        return []

    def learn(self, proposed: int, accepted: int) -> None:
        """How many ids of the last draft were taken: all the same to a text."""

    def reorder(self, rows: Tensor) -> None:
        """Nothing is remembered of a row."""


class Assistant:
    """A smaller model that writes ahead with a state of its own."""

    def __init__(self, job: Job, model: Decodes):
        _require_same_kind(job.model, model)
        self.job, self.model, options = job, model, model.generation_config
        self.count = float(options.num_assistant_tokens)
        self.schedule = options.num_assistant_tokens_schedule
        self.confidence = options.assistant_confidence_threshold or 0.0
        self.state = job.prompt.start(model, job.max_length)
        model.step(job.prompt.tokens, self.state, job.prompt.lengths)
        self.sources, self.held = job.sources(1), job.prompt.length  # columns that the state holds

    def propose(self, written: Tensor, room: int) -> Draft:
        """Writes on greedily, or samples, until a row ends or its confidence falls below the threshold."""
        forgotten = self.held - (written.shape[1] - 1)
        if forgotten > 0:
            self.state.truncate(self.state.lengths - forgotten)
            self.held -= forgotten
        drafted, chances = [written], []
        feed = written[:, self.held :]
        for _ in range(min(int(self.count), room, self._room(feed.shape[1]))):
            logits = self.model.step(feed, self.state).logits.float()
            self.held += feed.shape[1]
            if len(self.job.processors):
                logits = self.job.processors(torch.cat(drafted, 1), logits, self.sources)
            distribution = logits.softmax(-1)
            require_sound(distribution[:, 0])
            feed = torch.multinomial(distribution, 1) if self.job.config.do_sample else best_token(logits)[1][:, None]
            drafted.append(feed)
            chances.append(distribution)
            unsure = distribution.gather(1, feed) < self.confidence
            if bool((unsure | self.job.stopping.ends(feed)).any()):
                break
        ids = torch.cat(drafted, 1)[:, written.shape[1] :]
        return Draft(ids, torch.stack(chances, 1) if chances and self.job.config.do_sample else None)

    def _room(self, tokens: int) -> int:
        """How many tokens the model has positions for once it has read these."""
        room = self.model.writing_room
        return self.job.max_length if room is None else room - int(self.state.lengths.max()) - tokens

    def learn(self, proposed: int, accepted: int) -> None:
        """With the heuristic schedule: two more ids next time when all were taken, one less otherwise."""
        if self.schedule.startswith("heuristic") and proposed:
            self.count = self.count + 2 if accepted == proposed else max(1.0, self.count - 1)

    def reorder(self, rows: Tensor) -> None:
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


class AssistedSearch(RowSearch):
    """Greedy search or sampling with a draft model, or with look-up in the text where there is none.

    The result is that of the search without: ids equal under greedy search, equally distributed under sampling. Rows of
    a batch go on together, so the first that rejects a proposed token ends the draft of all.
    """

    ahead: Tensor  # [rows, 1 + drafted, vocab]: logits after the last token before the draft, and after each of it

    def __init__(self, job: Job, assistant: Decodes | None):
        super().__init__(job)
        if job.config.guidance_scale not in (None, 1, 1.0):
            raise GenerationError("guidance_scale does not work with an assistant; leave one of them out.")
        self.drafter = PromptLookup(job) if assistant is None else Assistant(job, assistant)
        self.draft, self.accepted = Draft(job.prompt.input_ids[:, :0]), 0

    def read_prompt(self) -> Tensor:
        logits = super().read_prompt()
        self.ahead = logits[:, None]
        return logits

    def chosen(self, scores: Tensor) -> Tensor:
        """Drawn so that tokens are distributed as without an assistant."""
        chances, place = self.draft.chances, self.accepted
        if chances is None or place == self.draft.size:
            return super().chosen(scores)
        probabilities, chances, proposed = scores.softmax(-1), chances[:, place], self.draft.ids[:, place, None]
        require_sound(probabilities[:, 0])
        luck = torch.rand(len(proposed), 1, device=scores.device)
        taken = luck * chances.gather(1, proposed) <= probabilities.gather(1, proposed)
        rest = (probabilities - chances).clamp_(min=0)
        rest = torch.where(rest.sum(-1, keepdim=True) > 0, rest, probabilities)
        return torch.where(taken, proposed, torch.multinomial(rest, 1))[:, 0]

    def follow(self, tokens: Tensor) -> Tensor:
        agreed = self.accepted < self.draft.size
        if agreed:
            agreed = bool(((tokens == self.draft.ids[:, self.accepted]) | self.finished).all())
        tokens = self.staying(tokens)
        if agreed:
            self.accepted += 1
            return self.ahead[:, self.accepted]
        self.drafter.learn(self.draft.size, self.accepted)
        if rejected := self.draft.size - self.accepted:
            self.state.truncate(self.state.lengths - rejected)
        self.draft, self.accepted = self.drafter.propose(self.written(), self.job.max_length - self.length - 1), 0
        self.ahead = self.job.step(torch.cat([tokens[:, None], self.draft.ids], 1), self.state, every=True)
        return self.ahead[:, 0]

    def reorder(self, rows: Tensor) -> None:
        super().reorder(rows)
        self.drafter.reorder(rows)
        self.draft, self.ahead = self.draft.select(rows), self.ahead.index_select(0, rows)
