"""Speculative decoding: many tokens confirmed by one step of the model (Leviathan et al., 2022)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import GenerationError
from ..files.shown import shown
from .job import Job, Record
from .processors import best_token, require_sound
from .protocol import Decodes, GenerateOutput, State

Written = list[list[int]]  # ids of each row, its padding left out
DEFAULT_NGRAM = 2


@dataclass
class Draft:
    """Proposed ids of each row and, where they were sampled, the distributions they were drawn from."""

    ids: Written
    distributions: list[list[Tensor]] | None = None


class Drafter:
    """Proposes tokens for the model to confirm; one that remembers nothing of its rows has only `propose`."""

    def propose(self, written: Written, room: int) -> Draft:
        """At most `room` ids for each row."""
        raise NotImplementedError

    def keep(self, lengths: Tensor) -> None:
        """Rows hold `lengths` confirmed ids; forget what was proposed beyond them."""

    def learn(self, proposed: int, accepted: int) -> None:
        """How many ids of the last draft were taken."""

    def reorder(self, rows: Tensor) -> None:
        """Row i goes on as what row `rows[i]` was."""


class PromptLookup(Drafter):
    """Proposes what followed the row's last n-gram the first time it stood there (Saxena, 2023)."""

    def __init__(self, count: int, longest: int, eos: tuple[int, ...]):
        self.count, self.longest, self.eos = count, longest, eos

    def propose(self, written: Written, room: int) -> Draft:
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


class Assistant(Drafter):
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
        self.state.truncate(torch.minimum(self.state.lengths, lengths))

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


@dataclass
class _Row:
    place: int  # in the batch
    shown: list[int]  # ids as processors see them, the padding of the prompt included
    real: list[int]  # the same without padding
    finished: bool = False

    def take(self, ids: list[int]) -> None:
        self.shown += ids
        self.real += ids


class _Search:
    def __init__(self, job: Job, assistant: Decodes | None):
        self.job, self.record = job, Record(job.config)
        if not (job.processors.let_rows_leave and job.stopping.let_rows_leave) and job.prompt.size > 1:
            raise GenerationError("Own processors and criteria need one row at a time with an assistant.")
        self.rows = [
            _Row(place, shown, real)
            for place, (shown, real) in enumerate(zip(job.prompt.input_ids.tolist(), _real(job), strict=True))
        ]
        self.done: list[_Row] = []
        if self.record.wanted and len(self.rows) > 1:
            raise GenerationError("Scores are kept of one row at a time with an assistant; pass prompts one by one.")
        self.state, self.first = job.begin()
        self.drafter = self._drafter(assistant)

    def _drafter(self, assistant: Decodes | None) -> Drafter:
        job, config = self.job, self.job.config
        if assistant is not None:
            return Assistant(job, assistant)
        return PromptLookup(
            config.prompt_lookup_num_tokens or 1, config.max_matching_ngram_size or DEFAULT_NGRAM, job.eos
        )

    def run(self) -> Tensor | GenerateOutput:
        streamer = self.job.streamer
        if streamer is not None:
            if len(self.rows) > 1:
                raise GenerationError("A streamer follows one row; pass prompts one at a time.")
            streamer.put(self.job.prompt.input_ids.cpu())
        nothing = Draft([[] for _ in self.rows])
        for number, row in enumerate(self.rows):
            self._take(row, number, nothing, self.first[number : number + 1])
        self._drop_finished()
        while self.rows:
            self._round()
        if streamer is not None:
            streamer.end()
        return self.job.answer(self._sequences(), self.record)

    def _round(self) -> None:
        longest = max(len(row.shown) for row in self.rows)
        draft = self.drafter.propose([row.real for row in self.rows], self.job.max_length - longest - 1)
        logits = self._confirm(draft)
        held = [len(row.real) for row in self.rows]
        for number, row in enumerate(self.rows):
            self._take(row, number, draft, logits[number])
        kept = [len(row.real) - 1 for row in self.rows]  # the last token has not been consumed yet
        lengths = torch.tensor(kept, device=logits.device)
        self.state.truncate(lengths)
        self.drafter.keep(lengths)
        self.drafter.learn(sum(map(len, draft.ids)), sum(kept) - sum(held))
        self._drop_finished()

    def _confirm(self, draft: Draft) -> Tensor:
        """The model's scores after the last confirmed token and after each drafted one: [rows, 1 + drafted, vocab]."""
        held = self.state.lengths.tolist()
        feed = [row.real[place:] + ids for row, place, ids in zip(self.rows, held, draft.ids, strict=True)]
        longest = max(map(len, feed))
        device = self.job.prompt.tokens.device
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in feed], device=device)
        lengths = torch.tensor(list(map(len, feed)), device=device)
        logits = self.job.model.step(ids, self.state, lengths, every=True).logits.float()
        width = 1 + max(map(len, draft.ids))
        first = lengths - torch.tensor([1 + len(ids) for ids in draft.ids], device=device)
        places = (first[:, None] + torch.arange(width, device=device)).clamp_(max=longest - 1)
        return logits.gather(1, places[:, :, None].expand(-1, -1, logits.shape[2]))

    def _take(self, row: _Row, number: int, draft: Draft, logits: Tensor) -> None:
        """Drafted ids of one row as far as the model agrees, and one id of its own."""
        drafted = draft.ids[number]
        for place in range(len(drafted) + 1):
            scores = self._scored(row, logits[place : place + 1])
            proposed = drafted[place] if place < len(drafted) else None
            chances = draft.distributions[number][place] if draft.distributions and proposed is not None else None
            token = self._choose(scores, proposed, chances)
            row.take([token])
            if self.job.streamer is not None:
                self.job.streamer.put(torch.tensor([token]))
            row.finished = bool(self.job.stopping(torch.tensor([row.shown], device=logits.device), self.record.scores))
            if row.finished or token != proposed:
                return

    def _scored(self, row: _Row, logits: Tensor) -> Tensor:
        self.record.before(logits)
        if len(self.job.processors):
            ids = torch.tensor([row.shown], device=logits.device)
            logits = self.job.processors(ids, logits, torch.tensor([row.place], device=logits.device))
        self.record.after(logits)
        return logits

    def _choose(self, scores: Tensor, proposed: int | None, chances: Tensor | None) -> int:
        """Greedily, or so that the tokens are distributed as without an assistant."""
        if not self.job.config.do_sample:
            best, token = best_token(scores)
            require_sound(best)
            return int(token)
        probabilities = scores.softmax(-1)[0]
        require_sound(probabilities[:1])
        if proposed is None or chances is None:
            return int(torch.multinomial(probabilities, 1))
        if float(torch.rand(())) * float(chances[proposed]) <= float(probabilities[proposed]):
            return proposed
        return int(torch.multinomial((probabilities - chances).clamp_(min=0), 1))

    def _drop_finished(self) -> None:
        if not any(row.finished for row in self.rows):
            return
        stay = [number for number, row in enumerate(self.rows) if not row.finished]
        self.done += [row for row in self.rows if row.finished]
        self.rows = [self.rows[number] for number in stay]
        if stay:
            places = torch.tensor(stay, device=self.job.prompt.tokens.device)
            self.state.reorder(places)
            self.drafter.reorder(places)

    def _sequences(self) -> Tensor:
        longest = max(len(row.shown) for row in self.done)
        found = sorted(self.done, key=lambda row: row.place)
        filled = [row.shown + [self.job.filler] * (longest - len(row.shown)) for row in found]
        return torch.tensor(filled, device=self.job.prompt.input_ids.device)


def _real(job: Job) -> Written:
    ids, lengths = job.prompt.tokens.tolist(), job.prompt.lengths
    return ids if lengths is None else [row[:length] for row, length in zip(ids, lengths.tolist(), strict=True)]


def assisted_search(job: Job, assistant: Decodes | None) -> Tensor | GenerateOutput:
    """Greedy search or sampling with a draft model, or with look-up in the text where there is none.

    The result is that of the search without: ids equal under greedy search, equally distributed under sampling.
    """
    if job.config.guidance_scale not in (None, 1, 1.0):
        raise GenerationError("guidance_scale does not work with an assistant; leave one of them out.")
    return _Search(job, assistant).run()
