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
        return self.sources if self.live is None else self.sources.index_select(0, self.live)

    def write(self, tokens: Tensor, place: int) -> None:
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


def search(job: Job, contrastive: bool = False) -> Tensor | GenerateOutput:
    """Greedy search, sampling where `do_sample` is set, or contrastive search; [rows, tokens] or an output."""
    copies = job.config.num_return_sequences
    rows = Rows(job.buffer(copies), job.sources(copies), torch.zeros(0))
    rows.finished = torch.zeros(len(rows.buffer), dtype=torch.bool, device=rows.buffer.device)
    record, contrast = Record(job.config), Contrast(job) if contrastive else None
    leaving = contrast is None and _may_leave(job, record)
    length = job.prompt.length
    if job.streamer is not None:
        job.streamer.put(rows.buffer[:, :length].cpu())
    state, logits = contrast.begin() if contrast else job.begin(copies)
    while True:
        scores = _scored(job, rows, logits, length, record)
        tokens = contrast.choose(scores, state) if contrast else _chosen(job, rows, scores)
        if job.pad is not None:
            tokens = tokens.masked_fill(rows.finished, job.pad)
        rows.write(tokens, length)
        length += 1
        if job.streamer is not None:
            job.streamer.put(tokens.cpu())
        rows.finished = rows.finished | job.stopping(rows.ids(length), record.scores)
        if bool(rows.finished.all()):
            break
        if leaving:
            tokens = _drop_finished(job, rows, state, tokens)
        logits = contrast.logits if contrast else job.step(tokens, state)
    if job.streamer is not None:
        job.streamer.end()
    return job.answer(rows.buffer[:, :length], record)


def _may_leave(job: Job, record: Record) -> bool:
    """Rows stay where someone watches them by their number: a streamer, kept scores, a processor with a memory."""
    watched = job.streamer is not None or record.wanted
    return not watched and job.processors.let_rows_leave and job.stopping.let_rows_leave


def _scored(job: Job, rows: Rows, logits: Tensor, length: int, record: Record) -> Tensor:
    record.before(logits)
    if len(job.processors):
        logits = job.processors(rows.ids(length), logits, rows.live_sources())
    record.after(logits)
    return logits


def _chosen(job: Job, rows: Rows, scores: Tensor) -> Tensor:
    """The next token of each row, drawn or the best."""
    if job.config.do_sample:
        probabilities = scores.softmax(-1)
        require_sound(probabilities[:, 0])
        return draw(probabilities, len(rows.buffer), rows.live)
    best, tokens = best_token(scores)
    require_sound(best)
    return tokens


def _drop_finished(job: Job, rows: Rows, state: State, tokens: Tensor) -> Tensor:
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
        rows = torch.arange(len(hidden), device=hidden.device)
        self.directions[rows, self.lengths] = _direction(hidden)
        self.lengths = self.lengths + 1


def _direction(hidden: Tensor) -> Tensor:
    return hidden.div(hidden.norm(dim=-1, keepdim=True))


class Contrast:
    """Contrastive search: likely, but unlike what was said before (Su et al., 2022, "A Contrastive Framework").

    Of the `top_k` likeliest tokens it takes the best by (1 - alpha) * probability - alpha * likeness, the greatest
    cosine between the candidate's hidden state and those before it, padding left out. Candidates are consumed before
    one is chosen, so what follows the chosen one is known at once: `logits`.
    """

    def __init__(self, job: Job):
        self.job = job
        self.k = int(job.config.top_k or 1)
        self.alpha = float(job.config.penalty_alpha or 0)

    def begin(self) -> tuple[State, Tensor]:
        prompt, model = self.job.prompt, self.job.model
        state = prompt.start(model, self.job.max_length)
        output = model.step(prompt.tokens, state, prompt.lengths, every=True, hidden=True)
        lengths = prompt.lengths
        if lengths is None:
            lengths = torch.full((prompt.size,), prompt.tokens.shape[1], device=prompt.tokens.device)
        self.context = _Context(_states(output.hidden), lengths, self.job.max_length)
        self.logits = output.logits[torch.arange(prompt.size, device=lengths.device), lengths - 1].float()
        return state, self.logits

    def choose(self, scores: Tensor, state: State) -> Tensor:
        probabilities, candidates = best_tokens(scores.softmax(-1), self.k)
        require_sound(probabilities[:, 0])
        rows, k = candidates.shape
        everyone = torch.arange(rows, device=candidates.device)
        state.reorder(everyone.repeat_interleave(k))
        output = self.job.model.step(candidates.reshape(-1, 1), state, hidden=True)
        hidden = _states(output.hidden).view(rows, k, -1)
        chosen = ((1 - self.alpha) * probabilities - self.alpha * self.context.likeness(hidden)).argmax(-1)
        self.context.add(hidden[everyone, chosen])
        place = everyone * k + chosen
        state.reorder(place)
        self.logits = output.logits.index_select(0, place).float()
        return candidates[everyone, chosen]


def _states(hidden: Tensor | None) -> Tensor:
    assert hidden is not None  # the protocol's promise for hidden=True
    return hidden.float()
