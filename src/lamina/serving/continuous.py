"""Continuous batching: sequences join the batch between two tokens, and leave it when they are over."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import LaminaError
from ..generation.protocol import Decodes, State
from .batcher import out_of_memory
from .engine import Engine, log_failure
from .errors import GenerationFailed
from .metrics import Metrics
from .writing import Writing, next_ids

logger = logging.getLogger(__name__)

SWEEP = 48  # steps between two looks for slots of the state that no sequence sees
ATTEMPTS = 2  # at a sequence whose batch has failed
LONGEST_STATE = 2048  # steps after which a state that cannot be swept takes in nobody until it is empty


@dataclass
class Running:
    """The sequences being written and the model's memory of them, row for row."""

    writings: list[Writing]
    state: State
    steps: int = 0


class Writer:
    """The lane of sequences that are written token by token. A turn is one token of each."""

    def __init__(
        self,
        engine: Engine,
        metrics: Metrics,
        id: str,
        model: Decodes,
        sequences: int,
        tokens: int,
        learn: Callable[[int, float], None],
    ):
        self.engine, self.metrics, self.id, self.model = engine, metrics, id, model
        self.sequences, self.tokens = sequences, tokens  # at most, at once: being written, of prompts being read
        self._learn = learn
        self._waiting: deque[Writing] = deque()
        self._joining: list[Writing] = []  # those whose prompts are being read
        self._running: Running | None = None
        self.suspect = False  # the last pass failed
        self._joins = True  # sequences can join others of another length
        metrics.running(id, lambda: self.running)

    @property
    def running(self) -> int:
        """How many sequences are being written."""
        running = self._running  # metrics ask from another thread
        return len(running.writings) if running else 0

    def put(self, writings: Sequence[Writing]) -> None:
        """Queue sequences; from any thread."""
        self._waiting.extend(writings)
        self.engine.wake()

    def ready(self) -> bool:
        """Whether anything is to be written."""
        return bool(self._waiting) or self._running is not None

    def brief(self) -> bool:
        return self.ready()

    def turn(self) -> None:
        """Let those leave that are over, those in that wait, and write one token of each."""
        with torch.inference_mode():
            self._let_leave()
            joined = self._let_join()
            if self._running and not joined:
                self._step(self._running)

    def abandon(self, error: Exception) -> None:
        running, self._running = self._running, None
        for writing in [*(running.writings if running else ()), *self._joining]:
            self._fail(writing, error)
        while self._waiting:  # one by one: others are put in meanwhile, and must not be dropped without a word
            self._fail(self._waiting.popleft(), error)

    def _let_leave(self) -> None:
        """Take sequences that are over, or that nobody waits for any more, out of the batch."""
        running = self._running
        if running is None or not any(writing.over for writing in running.writings):
            return
        stay = [number for number, writing in enumerate(running.writings) if not writing.over]
        gone = [w for w in running.writings if w.permit.cancelled and w.ending is None and w.error is None]
        if gone:
            self.metrics.dropped(self.id, len(gone))
        if not stay:
            self._running = None
            return
        running.state.reorder(torch.tensor(stay, device=self.model.device))
        running.writings = [running.writings[number] for number in stay]

    def _let_join(self) -> bool:
        """Read the prompts of those that wait, as far as there is room, and write their first token."""
        self._joining = newcomers = self._newcomers()
        if not newcomers:
            return False
        for writing in newcomers:
            writing.permit.begin()
        self._read(newcomers)
        return True

    def _newcomers(self) -> list[Writing]:
        running, found, longest = self._running, list[Writing](), 0
        full = running and running.steps > LONGEST_STATE and not hasattr(running.state, "sweep")
        if full or (running and not self._joins):
            return found
        while self._waiting and len(found) + self.running < self.sequences:
            writing = self._waiting[0]
            if not writing.over:
                longest = max(longest, self._read_length(writing))
                if found and (
                    not self._joins or (len(found) + 1) * longest > self.tokens or writing.attempts or found[0].attempts
                ):
                    break
                found.append(writing)
            else:
                self.metrics.dropped(self.id, 1)
            self._waiting.popleft()
        return found

    def _read_length(self, writing: Writing) -> int:
        prompt = writing.job.prompt
        return max(prompt.source_ids.shape[1], prompt.tokens.shape[1] + len(writing.new))

    def _read(self, writings: list[Writing]) -> None:
        """Read prompts in one pass; where that fails, in smaller ones."""
        started = time.perf_counter()
        try:
            state, logits = self._begin(writings)
        except Exception as error:
            self._apart(writings, error)
            return
        self.suspect = False
        self._spent(writings, sum(map(self._read_length, writings)), started)
        for writing in writings:
            writing.permit.read += self._read_length(writing)
        self._write(writings, logits)
        stay = [number for number, writing in enumerate(writings) if not writing.over]
        if not stay:
            return
        if len(stay) < len(writings):
            state.reorder(torch.tensor(stay, device=self.model.device))
        kept = [writings[number] for number in stay]
        if self._running is None:
            self._running = Running(kept, state)
        else:
            self._join(self._running, kept, state)

    def _join(self, running: Running, writings: list[Writing], state: State) -> None:
        running.writings += writings
        try:
            running.state.join(state)
        except Exception as error:  # what has joined by half is of no use to anyone: all are read anew
            self._joins = self._joins and not isinstance(error, LaminaError)
            self._retreat(running, error, kept=0)

    def _begin(self, writings: list[Writing]) -> tuple[State, Tensor]:
        device = self.model.device
        prompts = [writing.job.prompt for writing in writings]
        sources, mask = _padded([p.source_ids[0][p.source_mask[0] != 0].tolist() for p in prompts], device)
        longest = max(writing.job.max_length for writing in writings)
        state = self.model.start({"input_ids": sources, "attention_mask": mask}, longest)
        ids, real = _padded([writing.read_ids() for writing in writings], device)
        lengths = None if bool(real.all()) else real.sum(1)
        return state, self.model.step(ids, state, lengths).logits.float()

    def _step(self, running: Running) -> None:
        started = time.perf_counter()
        last = torch.tensor([[writing.new[-1]] for writing in running.writings], device=self.model.device)
        try:
            logits = self.model.step(last, running.state).logits.float()
        except Exception as error:
            memory = out_of_memory(error)
            self._retreat(running, error, kept=len(running.writings) // 2 if memory else 0)
            return
        self._write(running.writings, logits)
        running.steps += 1
        self._spent(running.writings, len(running.writings), started)
        sweep = getattr(running.state, "sweep", None)
        if sweep is not None and running.steps % SWEEP == 0 and getattr(running.state, "places", None) is not None:
            sweep()

    def _write(self, writings: Sequence[Writing], logits: Tensor) -> None:
        """Choose and append a token of each, and tell whoever listens."""
        for number, (writing, id) in enumerate(zip(writings, next_ids(writings, logits), strict=True)):
            if isinstance(id, Exception):
                self._fail(writing, _failure(id))
                continue
            try:
                token, seconds = writing.write(id, logits[number : number + 1])
            except Exception as error:
                self._fail(writing, _failure(error))
                continue
            self.metrics.wrote(self.id)
            self.metrics.token(self.id, seconds, first=len(writing.new) == 1)
            sink = writing.wanted.sink
            if sink is not None:
                self.engine.tell(_telling(sink, writing.index, token))
            if writing.ending is not None:
                writing.done(writing)

    def _apart(self, writings: list[Writing], error: Exception) -> None:
        """After prompts could not be read together: in halves where memory ran out, else one by one."""
        memory = out_of_memory(error)
        self.metrics.failed(self.id, "memory" if memory else "poison")
        if len(writings) == 1 and not isinstance(error, LaminaError) and writings[0].attempts < ATTEMPTS:
            writings[0].attempts += 1
            self._read(writings)
        elif len(writings) == 1:
            self.suspect = not isinstance(error, LaminaError)
            self._fail(writings[0], _failure(error))
        elif memory:
            middle = len(writings) // 2
            self._read(writings[:middle])
            self._read(writings[middle:])
        else:
            for writing in writings:
                self._read([writing])

    def _retreat(self, running: Running, error: Exception, kept: int) -> None:
        """After a failure: the first `kept` sequences go on, fewer together; the others are read anew, one by one."""
        self.metrics.failed(self.id, "memory" if out_of_memory(error) else "poison")
        writings = running.writings[kept:]
        self._running = running if kept else None
        if kept:
            running.state.reorder(torch.arange(kept, device=self.model.device))
            running.writings = running.writings[:kept]
            self.sequences = kept
            logger.warning("memory ran out: %s writes %s sequences at once from now on", self.id, kept)
        for writing in reversed(writings):
            writing.attempts += 1
            if writing.attempts > ATTEMPTS:
                self.suspect = not isinstance(error, LaminaError)
                self._fail(writing, _failure(error))
            else:
                self._waiting.appendleft(writing)

    def _spent(self, writings: Sequence[Writing], tokens: int, started: float) -> None:
        seconds = time.perf_counter() - started
        if 2 * len(writings) >= self.sequences:
            self._learn(tokens, seconds)
        self.metrics.batch(self.id, len(writings), tokens, seconds)
        for permit in {writing.permit for writing in writings}:
            permit.computing += seconds

    def _fail(self, writing: Writing, error: Exception) -> None:
        if writing.error is None and writing.ending is None:
            writing.error = error
            writing.done(writing)


def _padded(rows: Sequence[list[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows as [rows, longest], padded on the right with zeros, and a mask of what is real."""
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=device)
    real = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=device)
    return ids, real


def _telling(sink: Callable[[int, Any], None], index: int, token: Any) -> Callable[[], None]:
    return lambda: sink(index, token)


def _failure(error: Exception) -> Exception:
    if isinstance(error, GenerationFailed):
        return error
    if isinstance(error, LaminaError):
        return GenerationFailed(str(error))
    if out_of_memory(error):
        return GenerationFailed("this text needs more memory than there is; send a shorter prompt")
    log_failure("a text could not be written", error)
    return GenerationFailed("the model could not go on writing; the log says where")
