"""One sequence while it is written: its prompt, its tokens so far, and how the next one is chosen."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..generation.job import Job
from ..generation.processors import best_token, log_normalizer, require_sound
from .admission import Permit


@dataclass(frozen=True)
class Token:
    """One token as clients are told of it."""

    id: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()  # the likeliest of this step, with their log-probabilities
    ending: str | None = None  # why the sequence ends here: "length", "eos_token" or "stop_sequence"


@dataclass(frozen=True)
class GenerationSpec:
    """What is asked of a sequence besides its ids."""

    seed: int | None = None
    logprobs: bool = False
    top: int = 0
    frequency: float = 0.0  # taken off a token's score for every time it was written
    presence: float = 0.0  # taken off once
    sink: Callable[[int, Token], None] | None = None  # the index of the sequence and each token; on the event loop


@dataclass(eq=False)
class Writing:
    """A sequence. Everything that decides its next token is its own, so that its batch mates change nothing."""

    job: Job
    permit: Permit
    wanted: GenerationSpec
    number: int  # among the sequences of its prompt
    index: int  # among those of its request
    done: Callable[[Writing], None]
    new: list[int] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)
    ending: str | None = None
    error: Exception | None = None
    attempts: int = 0  # at computing it, after failures

    def __post_init__(self) -> None:
        self._ids = self.job.buffer()  # [1, max_length]
        self._length = self.job.prompt.length
        self.last_at = self.permit.entered
        self._generator: torch.Generator | None = None
        if self.job.config.do_sample:
            self._generator = torch.Generator(self._ids.device)
            seed = random.getrandbits(62) if self.wanted.seed is None else self.wanted.seed
            self._generator.manual_seed((seed + self.number) % 2**63)

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is taken as it is."""
        penalized = self.wanted.frequency or self.wanted.presence
        return self._generator is None and not len(self.job.processors) and not penalized

    @property
    def over(self) -> bool:
        """Whether nothing more is to be written."""
        return self.ending is not None or self.error is not None or self.permit.cancelled

    def read_ids(self) -> list[int]:
        """Ids for the decoder to read: the prompt without padding and what is written so far."""
        prompt = self.job.prompt
        kept = prompt.tokens if prompt.lengths is None else prompt.tokens[:, : int(prompt.lengths[0])]
        found: list[int] = kept[0].tolist()
        return found + self.new

    def choose(self, logits: Tensor) -> int:
        """The next token by [1, vocab] scores, which stay as they are; raises GenerationError for scores of NaN."""
        scores = logits.clone()
        if self.wanted.frequency or self.wanted.presence:
            self._penalize(scores)
        if len(self.job.processors):
            scores = self.job.processors(self._ids[:, : self._length], scores, torch.zeros(1, dtype=torch.long))
        if self._generator is None:
            best, tokens = best_token(scores)
            require_sound(best)
            return int(tokens)
        probabilities = scores.softmax(-1)
        require_sound(probabilities[:, 0])
        return int(torch.multinomial(probabilities, 1, generator=self._generator))

    def _penalize(self, scores: Tensor) -> None:
        counts = Counter(self.new)
        if counts:
            ids = torch.tensor(list(counts), device=scores.device)
            times = torch.tensor(list(counts.values()), dtype=scores.dtype, device=scores.device)
            scores[0, ids] -= self.wanted.presence + self.wanted.frequency * times

    def write(self, id: int, logits: Tensor) -> tuple[Token, float]:
        """Append a token chosen by [1, vocab] scores; the token, and the seconds since the last one."""
        self._ids[0, self._length] = id
        self._length += 1
        self.new.append(id)
        self.ending = self._ending(id)
        logprob, top = self._told(id, logits)
        token = Token(id, logprob, top, self.ending)
        self.tokens.append(token)
        now = time.perf_counter()
        seconds, self.last_at = now - self.last_at, now
        return token, seconds

    def _told(self, id: int, logits: Tensor) -> tuple[float | None, tuple[tuple[int, float], ...]]:
        if not self.wanted.logprobs:
            return None, ()
        normalizer = float(log_normalizer(logits))
        values, ids = logits[0].topk(min(self.wanted.top, logits.shape[1])) if self.wanted.top else ((), ())
        top = tuple((int(one), float(value) - normalizer) for value, one in zip(values, ids, strict=True))
        return float(logits[0, id]) - normalizer, top

    def _ending(self, id: int) -> str | None:
        stopping = self.job.stopping
        if id in self.job.eos:
            return "eos_token"
        if self._length >= self.job.max_length:
            return "length"
        if not stopping.by_token_only and bool(stopping(self._ids[:, : self._length]).all()):
            return "stop_sequence" if self.job.config.stop_strings else "length"
        return None


def next_ids(writings: Sequence[Writing], logits: Tensor) -> list[int | Exception]:
    """The next token of each sequence by [sequences, vocab] scores, or why there is none."""
    values, ids = best_token(logits)
    plain: list[int] = ids.tolist()
    unsound: list[bool] = values.isnan().tolist()
    found: list[int | Exception] = []
    for number, writing in enumerate(writings):
        if writing.greedy and not unsound[number]:
            found.append(plain[number])
            continue
        try:
            found.append(writing.choose(logits[number : number + 1]))
        except Exception as error:
            found.append(error)
    return found
