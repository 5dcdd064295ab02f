"""Who is let in: permits for inputs and for tokens, given at once or not at all."""

from __future__ import annotations

import math
import time
from threading import Lock

from .errors import Invalid, Overloaded
from .settings import Limits

SMOOTHING = 0.1  # weight of the newest pass in the measured speed
USUAL_SPEED = 2000.0  # tokens a second, before anything was measured
CHARACTERS = 8  # of a token, at most, while its text has not been read
LONGEST_WAIT = 60  # seconds, the most that a client is told to stay away


class Admission:
    """Counts what is waiting or being computed, of all clients together.

    A request gets permits for all of its inputs or is refused, so that batches are treated as single ones are.
    """

    def __init__(self, limits: Limits):
        self.limits = limits
        self.inputs = 0
        self.tokens = 0
        self.speed: float | None = None  # tokens a second of full passes; None before there was any
        self.refused = 0
        self._lock = Lock()

    def enter(self, inputs: int, characters: int = 0, texts: int = 0) -> Permit:
        """A permit for a request of so many inputs; raises Overloaded or, where it could never fit, Invalid.

        Until its tokens are counted, by `hold`, the least that its characters and texts can come to stand for them.
        """
        limits = self.limits
        if inputs > limits.batch_inputs:
            raise Invalid(f"the request has {inputs} inputs, and {limits.batch_inputs} are taken at once; split it")
        least = max(characters // CHARACTERS, texts)
        self._check_size(least)
        with self._lock:
            if self.inputs + inputs > limits.queue_requests:
                raise self._full(f"{self.inputs} of {limits.queue_requests} places are taken")
            self._check_room(least)
            self.inputs += inputs
            self.tokens += least
        return Permit(self, inputs, least, characters)

    def hold(self, permit: Permit, tokens: int) -> None:
        """Count the tokens of an admitted request as well, once they are known."""
        self._check_size(tokens)
        with self._lock:
            if permit.released:
                return
            self._check_room(tokens - permit.tokens)
            self.tokens += tokens - permit.tokens
            permit.tokens = tokens

    def _check_size(self, tokens: int) -> None:
        most = self.limits.queue_tokens
        if tokens > most:
            raise Invalid(f"the request comes to {tokens} tokens or more, and {most} are taken at once; split it")

    def _check_room(self, tokens: int) -> None:
        """Called with the lock held."""
        limits = self.limits
        if self.tokens + tokens > limits.queue_tokens:
            raise self._full(f"{self.tokens} of {limits.queue_tokens} tokens are waiting")
        wait = 0.0 if self.speed is None else self.tokens / self.speed
        if wait > limits.deadline:
            raise self._full(f"the answer would take {wait:.0f} s, and {limits.deadline:g} s is the deadline")

    def leave(self, permit: Permit) -> None:
        """Give a permit back; giving it back again changes nothing."""
        with self._lock:
            if not permit.released:
                permit.released = True
                self.inputs -= permit.inputs
                self.tokens -= permit.tokens

    def learn(self, tokens: int, seconds: float) -> None:
        """Take note of how fast a full pass was: others say nothing of how fast a queue would be worked off."""
        if seconds > 0:
            newest = tokens / seconds
            self.speed = newest if self.speed is None else self.speed + SMOOTHING * (newest - self.speed)

    def _full(self, why: str) -> Overloaded:
        """Called with the lock held."""
        self.refused += 1
        seconds = min(max(math.ceil(self.tokens / max(self.speed or USUAL_SPEED, 1.0)), 1), LONGEST_WAIT)
        return Overloaded(f"the server is overloaded: {why}; try again in {seconds} s", retry_after=seconds)


class Permit:
    """What one request holds of the queue, and how its time was spent."""

    def __init__(self, admission: Admission, inputs: int, tokens: int = 0, characters: int = 0):
        self._admission = admission
        self.inputs, self.tokens, self.characters = inputs, tokens, characters
        self.released = False
        self.cancelled = False  # nobody waits for the answer any more: work not begun is dropped
        self.entered = time.perf_counter()
        self.started: float | None = None  # when the first of its rows was computed
        self.read = 0  # tokens computed
        self.computing = 0.0  # seconds in passes that its rows took part in

    def hold(self, tokens: int) -> None:
        self._admission.hold(self, tokens)

    def leave(self) -> None:
        self._admission.leave(self)

    def begin(self) -> None:
        """Note that work on it has begun."""
        if self.started is None:
            self.started = time.perf_counter()

    @property
    def waited(self) -> float:
        return (self.started or time.perf_counter()) - self.entered
