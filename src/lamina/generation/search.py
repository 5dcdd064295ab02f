"""The loop that every search runs, and the searches that write one sequence per row."""

from __future__ import annotations

import torch
from torch import Tensor

from .job import Job, Record
from .processors import best_token, best_tokens, draw, require_sound
from .protocol import GenerateOutput, State


class Search:
    """Token after token until nothing goes on. A search says how to begin, choose, end and go on."""

    state: State

    def __init__(self, job: Job):
        self.job, self.record = job, Record(job.config)
        self.length = job.prompt.length  # tokens of every sequence so far, padding included
        self.leaving = not self.record.wanted and job.processors.let_rows_leave and job.stopping.let_rows_leave

    def run(self) -> Tensor | GenerateOutput:
        """The sequences [rows, tokens], or an output."""
        logits = self.begin()
        while True:
            tokens = self.choose(logits)
            self.length += 1
            if self.over(tokens):
                return self.answer()
            logits = self.follow(tokens)

    def begin(self) -> Tensor:
        """Consume the prompt: the logits of what follows it, [rows, vocab]."""
        raise NotImplementedError

    def choose(self, logits: Tensor) -> Tensor:
        """Write the next token of every row: [rows]."""
        raise NotImplementedError

    def over(self, tokens: Tensor) -> bool:
        """Whether these tokens ended the last sequences."""
        raise NotImplementedError

    def follow(self, tokens: Tensor) -> Tensor:
        """Consume the tokens of the rows that go on: the logits of what follows."""
        raise NotImplementedError

    def answer(self) -> Tensor | GenerateOutput:
        raise NotImplementedError

    def reorder(self, rows: Tensor) -> None:
        """Row i goes on as what row `rows[i]` was."""
        self.state.reorder(rows)
        self.job.processors.reorder(rows)
        self.job.stopping.reorder(rows)


class RowSearch(Search):
    """Greedy search, or sampling where `do_sample` is set."""

    def __init__(self, job: Job):
        super().__init__(job)
        copies = job.config.num_return_sequences
        self.buffer, self.sources = job.buffer(copies), job.sources(copies)  # [all rows, max_length], [all rows]
        self.finished = torch.zeros_like(self.sources, dtype=torch.bool)  # [rows in the batch]
        self.live: Tensor | None = None  # [rows in the batch]: their places in the buffer; None: all of them
        self.leaving = self.leaving and job.streamer is None

    def begin(self) -> Tensor:
        if self.job.streamer is not None:
            self.job.streamer.put(self.buffer[:, : self.length].cpu())
        return self.read_prompt()

    def read_prompt(self) -> Tensor:
        self.state, logits = self.job.begin(self.job.config.num_return_sequences)
        return logits

    def choose(self, logits: Tensor) -> Tensor:
        self.record.before(logits)
        if len(self.job.processors):
            logits = self.job.processors(self.written(), logits, self._live(self.sources))
        self.record.after(logits)
        tokens = self.chosen(logits)
        if self.job.pad is not None:
            tokens = tokens.masked_fill(self.finished, self.job.pad)
        if self.live is None:
            self.buffer[:, self.length] = tokens
        else:
            self.buffer[self.live, self.length] = tokens
        return tokens

    def chosen(self, scores: Tensor) -> Tensor:
        """The next token of each row, drawn or the best."""
        if self.job.config.do_sample:
            probabilities = scores.softmax(-1)
            require_sound(probabilities[:, 0])
            return draw(probabilities, len(self.buffer), self.live)
        best, tokens = best_token(scores)
        require_sound(best)
        return tokens

    def over(self, tokens: Tensor) -> bool:
        if self.job.streamer is not None:
            self.job.streamer.put(tokens.cpu())
        self.finished = self.finished | self.job.stopping(self.written(), self.record.scores)
        return bool(self.finished.all())

    def follow(self, tokens: Tensor) -> Tensor:
        return self.job.step(self.staying(tokens)[:, None], self.state)

    def staying(self, tokens: Tensor) -> Tensor:
        """The tokens of the rows that go on, once finished rows have left the batch where they may."""
        if not self.leaving or not bool(self.finished.any()):
            return tokens
        stay = (~self.finished).nonzero()[:, 0]
        self.live = stay if self.live is None else self.live.index_select(0, stay)
        self.finished = self.finished.index_select(0, stay)
        self.reorder(stay)
        return tokens.index_select(0, stay)

    def written(self) -> Tensor:
        """What is written so far, of the rows in the batch."""
        return self._live(self.buffer)[:, : self.length]

    def _live(self, values: Tensor) -> Tensor:
        return values if self.live is None else values.index_select(0, self.live)

    def answer(self) -> Tensor | GenerateOutput:
        if self.job.streamer is not None:
            self.job.streamer.end()
        return self.job.answer(self.buffer[:, : self.length], self.record)


class ContrastiveSearch(RowSearch):
    """Likely, but unlike what was said before (Su et al., 2022, "A Contrastive Framework").

    Of the `top_k` likeliest tokens it takes the best by (1 - alpha) * probability - alpha * likeness, the greatest
    cosine between the candidate's hidden state and those before it, padding left out. Candidates are consumed before
    one is chosen, so what follows the chosen one is known at once.
    """

    def __init__(self, job: Job):
        super().__init__(job)
        self.k, self.alpha = int(job.config.top_k or 1), float(job.config.penalty_alpha or 0)
        self.leaving = False

    def read_prompt(self) -> Tensor:
        prompt, model = self.job.prompt, self.job.model
        self.state = prompt.start(model, self.job.max_length)
        output = model.step(prompt.tokens, self.state, prompt.lengths, every=True, hidden=True)
        self.lengths = self.state.lengths  # of each row, its padding left out
        directions = _directions(output.hidden)
        self.directions = directions.new_zeros(prompt.size, self.job.max_length, directions.shape[2])
        self.directions[:, : prompt.tokens.shape[1]] = directions
        return output.logits[torch.arange(prompt.size, device=self.lengths.device), self.lengths - 1].float()

    def chosen(self, scores: Tensor) -> Tensor:
        probabilities, candidates = best_tokens(scores.softmax(-1), self.k)
        require_sound(probabilities[:, 0])
        rows, k = candidates.shape
        everyone = torch.arange(rows, device=candidates.device)
        self.state.reorder(everyone.repeat_interleave(k))
        output = self.job.model.step(candidates.reshape(-1, 1), self.state, hidden=True)
        directions = _directions(output.hidden).view(rows, k, -1)
        best = ((1 - self.alpha) * probabilities - self.alpha * self._likeness(directions)).argmax(-1)
        self.directions[everyone, self.lengths] = directions[everyone, best]
        self.lengths = self.lengths + 1
        self.state.reorder(everyone * k + best)
        self.logits = output.logits.index_select(0, everyone * k + best).float()
        return candidates[everyone, best]

    def _likeness(self, directions: Tensor) -> Tensor:
        """The greatest cosine of each candidate [rows, k, hidden] to what stands in its row: [rows, k]."""
        longest = int(self.lengths.max())
        cosines = directions @ self.directions[:, :longest].transpose(1, 2)
        beyond = torch.arange(longest, device=cosines.device) >= self.lengths[:, None]
        return cosines.masked_fill(beyond[:, None], -torch.inf).amax(-1)

    def follow(self, tokens: Tensor) -> Tensor:
        return self.logits


def _directions(hidden: Tensor | None) -> Tensor:
    assert hidden is not None  # the protocol's promise for hidden=True
    hidden = hidden.float()
    return hidden.div(hidden.norm(dim=-1, keepdim=True))
