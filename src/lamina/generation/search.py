"""One sequence per row: greedy search and sampling."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .choosing import best_token, draw
from .job import Job, Record, require_sound
from .outputs import GenerateOutput
from .protocol import State


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
