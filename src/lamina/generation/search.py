"""One sequence per row: greedy search, sampling and contrastive search."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .job import Job, Record
from .processors import best_token, best_tokens, draw, require_sound
from .protocol import GenerateOutput, State


@dataclass
class Rows:
    """The rows still being written: where they stand in the buffer, which source they have, which are finished."""

    buffer: Tensor  # [all rows, max_length]
    sources: Tensor  # [all rows]
    finished: Tensor  # [rows in the batch]
    live: Tensor | None = None  # [rows in the batch]: their places in the buffer; None: all of them

    def ids(self, length: int) -> Tensor:
        """What is written so far, of the rows in the batch."""
        return self.buffer[:, :length] if self.live is None else self.buffer.index_select(0, self.live)[:, :length]

    def live_sources(self) -> Tensor:
        """The source of each row in the batch."""
        return self.sources if self.live is None else self.sources.index_select(0, self.live)

    def write(self, tokens: Tensor, place: int) -> None:
        """Put one token into each row."""
        if self.live is None:
            self.buffer[:, place] = tokens
        else:
            self.buffer[self.live, place] = tokens

    def leave(self) -> Tensor:
        """Take finished rows out of the batch; which of its rows stay."""
        stay = (~self.finished).nonzero()[:, 0]
        self.live = stay if self.live is None else self.live.index_select(0, stay)
        self.finished = self.finished.index_select(0, stay)
        return stay


def search(job: Job) -> Tensor | GenerateOutput:
    """Greedy search, or sampling where `do_sample` is set; [rows, tokens] or an output."""
    copies = job.config.num_return_sequences
    rows = Rows(job.buffer(copies), job.sources(copies), torch.zeros(0))
    rows.finished = torch.zeros(len(rows.buffer), dtype=torch.bool, device=rows.buffer.device)
    record = Record(job.config)
    leaving = _may_leave(job, record)
    length = job.prompt.length
    if job.streamer is not None:
        job.streamer.put(rows.buffer[:, :length].cpu())
    state, logits = job.begin(copies)
    while True:
        tokens = _choose(job, rows, logits, length, record)
        rows.write(tokens, length)
        length += 1
        if job.streamer is not None:
            job.streamer.put(tokens.cpu())
        rows.finished = rows.finished | job.stopping(rows.ids(length), record.scores)
        if bool(rows.finished.all()):
            break
        if leaving:
            tokens = _drop_finished(job, rows, state, tokens)
        logits = job.step(tokens, state)
    if job.streamer is not None:
        job.streamer.end()
    return job.answer(rows.buffer[:, :length], record)


def _may_leave(job: Job, record: Record) -> bool:
    """Rows stay where someone watches them by their number: a streamer, kept scores, a processor with a memory."""
    watched = job.streamer is not None or record.wanted
    return not watched and job.processors.let_rows_leave and job.stopping.let_rows_leave


def _choose(job: Job, rows: Rows, logits: Tensor, length: int, record: Record) -> Tensor:
    """The next token of each row; padding for one that is finished."""
    record.before(logits)
    scores = logits
    if len(job.processors):
        scores = job.processors(rows.ids(length), logits, rows.live_sources())
    record.after(scores)
    if job.config.do_sample:
        probabilities = scores.softmax(-1)
        require_sound(probabilities[:, 0])
        tokens = draw(probabilities, len(rows.buffer), rows.live)
    else:
        best, tokens = best_token(scores)
        require_sound(best)
    if job.pad is not None:
        tokens = tokens.masked_fill(rows.finished, job.pad)
    return tokens


def _drop_finished(job: Job, rows: Rows, state: State, tokens: Tensor) -> Tensor:
    """Go on with the unfinished rows only."""
    if not bool(rows.finished.any()):
        return tokens
    stay = rows.leave()
    state.reorder(stay)
    job.processors.reorder(stay)
    job.stopping.reorder(stay)
    return tokens.index_select(0, stay)


class _Context:
    """Directions of the hidden states of everything written: [rows, max_length, hidden], by each row's own length."""

    def __init__(self, hidden: Tensor, lengths: Tensor, room: int):
        rows, tokens, width = hidden.shape
        self.directions = hidden.new_zeros(rows, room, width)
        self.directions[:, :tokens] = _direction(hidden)
        self.lengths = lengths

    def likeness(self, hidden: Tensor) -> Tensor:
        """The greatest cosine of each candidate's state [rows, k, hidden] to its row: [rows, k]."""
        longest = int(self.lengths.max())
        cosines = _direction(hidden) @ self.directions[:, :longest].transpose(1, 2)
        beyond = torch.arange(longest, device=hidden.device) >= self.lengths[:, None]
        return cosines.masked_fill(beyond[:, None], -torch.inf).amax(-1)

    def add(self, hidden: Tensor) -> None:
        """Append one state per row."""
        rows = torch.arange(len(hidden), device=hidden.device)
        self.directions[rows, self.lengths] = _direction(hidden)
        self.lengths = self.lengths + 1


def _direction(hidden: Tensor) -> Tensor:
    return hidden.div(hidden.norm(dim=-1, keepdim=True))


class _Contrastive:
    def __init__(self, job: Job):
        self.job, self.record = job, Record(job.config)
        self.k = int(job.config.top_k or 1)
        self.alpha = float(job.config.penalty_alpha or 0)
        self.buffer = job.buffer()
        self.length = job.prompt.length
        self.finished = torch.zeros(len(self.buffer), dtype=torch.bool, device=self.buffer.device)

    def run(self) -> Tensor | GenerateOutput:
        job, streamer = self.job, self.job.streamer
        if streamer is not None:
            streamer.put(self.buffer[:, : self.length].cpu())
        state, logits, context = self._begin()
        while True:
            tokens, logits = self._step(logits, state, context)
            if job.pad is not None:
                tokens = tokens.masked_fill(self.finished, job.pad)
            self.buffer[:, self.length] = tokens
            self.length += 1
            if streamer is not None:
                streamer.put(tokens.cpu())
            self.finished = self.finished | job.stopping(self.buffer[:, : self.length], self.record.scores)
            if bool(self.finished.all()):
                break
        if streamer is not None:
            streamer.end()
        return job.answer(self.buffer[:, : self.length], self.record)

    def _begin(self) -> tuple[State, Tensor, _Context]:
        prompt, model = self.job.prompt, self.job.model
        state = prompt.start(model, self.job.max_length)
        output = model.step(prompt.tokens, state, prompt.lengths, every=True, hidden=True)
        lengths = prompt.lengths
        if lengths is None:
            lengths = torch.full((prompt.size,), prompt.tokens.shape[1], device=prompt.tokens.device)
        last = output.logits[torch.arange(prompt.size, device=lengths.device), lengths - 1].float()
        return state, last, _Context(_states(output.hidden), lengths, self.job.max_length)

    def _step(self, logits: Tensor, state: State, context: _Context) -> tuple[Tensor, Tensor]:
        """The next token of each row and the logits after it: of the k likeliest the least repetitive."""
        self.record.before(logits)
        scores = logits
        if len(self.job.processors):
            scores = self.job.processors(self.buffer[:, : self.length], logits, self.job.sources(1))
        self.record.after(scores)
        probabilities, candidates = best_tokens(scores.softmax(-1), self.k)
        require_sound(probabilities[:, 0])
        rows, k = candidates.shape
        everyone = torch.arange(rows, device=candidates.device)
        state.reorder(everyone.repeat_interleave(k))
        output = self.job.model.step(candidates.reshape(-1, 1), state, hidden=True)
        hidden = _states(output.hidden).view(rows, k, -1)
        chosen = ((1 - self.alpha) * probabilities - self.alpha * context.likeness(hidden)).argmax(-1)
        context.add(hidden[everyone, chosen])
        place = everyone * k + chosen
        state.reorder(place)
        return candidates[everyone, chosen], output.logits.index_select(0, place).float()


def _states(hidden: Tensor | None) -> Tensor:
    assert hidden is not None  # the protocol's promise for hidden=True
    return hidden.float()


def contrastive_search(job: Job) -> Tensor | GenerateOutput:
    """Of the `top_k` likeliest tokens, take the best by (1 - alpha) * probability - alpha * likeness to the context.

    The likeness is the greatest cosine between the candidate's hidden state and those before it; padding has none.
    """
    return _Contrastive(job).run()
