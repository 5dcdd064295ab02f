"""Rows of all clients in one queue: the next pass takes the oldest and, beside it, its neighbors in length."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from ..errors import LaminaError
from ..inference.rows import Row
from ..pipelines.base import Pipeline
from .admission import Permit
from .engine import Engine, log_failure
from .errors import BackendFailed, Invalid, work_dropped
from .metrics import Metrics

MISSING = 0.1  # of a batch: what several at once may lack of being full


@dataclass(eq=False)
class Work:
    """The rows of one request, and where to say that all of them are done. `done` is called on the model thread."""

    pipe: Pipeline
    settings: Any
    rows: Sequence[Row]
    permit: Permit
    done: Callable[[Work], None]
    found: list[Any] = field(default_factory=list)
    left: int = 0
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.found, self.left = [None] * len(self.rows), len(self.rows)

    def keep(self, number: int, result: Any) -> None:
        """What was found for row `number`."""
        self.found[number] = result
        self.left -= 1
        if self.left == 0 and self.error is None:
            self.done(self)


@dataclass(eq=False)
class Piece:
    """One row of a request, as it waits."""

    work: Work
    number: int
    row: Row
    key: Hashable  # rows of one key may be computed together
    packs: bool
    cost: int  # tokens to read and, at most, to write

    @property
    def tokens(self) -> int:
        return len(self.row)


def pieces_of(work: Work) -> list[Piece]:
    """Each row of a request by itself, with what it may be computed with; on any thread, since this takes a while."""
    pipe, settings = work.pipe, work.settings
    return [
        Piece(
            work,
            number,
            row,
            (id(pipe), pipe.shared_key(row, settings)),
            pipe.packs(row),
            pipe.cost(row, settings),
        )
        for number, row in enumerate(work.rows)
    ]


def choose(waiting: Sequence[Piece], tokens: int, most: int | None = None) -> list[Piece]:
    """The next batch of `waiting`, oldest first: the oldest, and of those with its key the nearest to it in length.

    A batch comes to at most `tokens` tokens, padding included where there is any, and to `most` rows; a row longer than
    that is a batch of its own. Nobody starves, since the oldest is always in.
    """
    first = waiting[0]
    alike = [piece for piece in waiting if piece.key == first.key and piece.packs == first.packs]
    if most == 1 or len(alike) == 1:
        return [first]
    alike.sort(key=lambda piece: piece.tokens)  # stable: the older of equally long ones comes first
    place = bisect_left([piece.tokens for piece in alike], first.tokens)
    while alike[place] is not first:
        place += 1
    chosen, total = [first], first.tokens
    low, high = place - 1, place + 1
    while (low >= 0 or high < len(alike)) and len(chosen) != most:
        down = first.tokens - alike[low].tokens if low >= 0 else None
        up = alike[high].tokens - first.tokens if high < len(alike) else None
        shorter = up is None or (down is not None and down <= up)
        piece = alike[low if shorter else high]
        longest = max(alike[high - 1].tokens, piece.tokens)
        total += piece.tokens
        if (total if first.packs else (len(chosen) + 1) * longest) > tokens:
            if shorter:
                break
            total -= piece.tokens  # too long, as are all after it; shorter ones may still fit
            alike = alike[:high]
            continue
        chosen.append(piece)
        low, high = (low - 1, high) if shorter else (low, high + 1)
    return chosen


class Batcher:
    """The lane of rows that one pass, or one search with beams, answers."""

    def __init__(
        self,
        engine: Engine,
        metrics: Metrics,
        model: str,
        tokens: int,
        learn: Callable[[int, float], None],
        abreast: int = 1,
    ):
        """A turn takes `tokens` tokens, or `abreast` times as many where they wait: full batches run at once."""
        self.engine, self.metrics, self.model, self.tokens, self.abreast = engine, metrics, model, tokens, abreast
        self._learn = learn
        self._waiting: list[Piece] = []
        self._taken: list[Piece] = []  # the batch at hand
        self._lock = Lock()
        self.suspect = False  # the last batch failed

    def put(self, work: Work, pieces: list[Piece]) -> None:
        """Queue the rows of a request; from any thread."""
        with self._lock:
            self._waiting += pieces
        self.engine.wake()

    def ready(self) -> bool:
        return bool(self._waiting)

    def brief(self) -> bool:
        """Whether the next piece of work is a single pass."""
        with self._lock:
            return bool(self._waiting) and not self._waiting[0].work.pipe.writes

    def turn(self) -> None:
        batch = self._take()
        if not batch:
            return
        for piece in batch:
            piece.work.permit.begin()
        started = time.perf_counter()
        self._compute(batch)
        seconds = time.perf_counter() - started
        cost = sum(piece.cost for piece in batch)
        if 2 * sum(piece.tokens for piece in batch) >= self.tokens:
            self._learn(cost, seconds)
        self.metrics.batch(self.model, len(batch), cost, seconds)

    def abandon(self, error: Exception) -> None:
        """Give up what waits, and what is left of the batch at hand."""
        with self._lock:
            given_up, self._waiting, self._taken = [*self._taken, *self._waiting], [], []
        for piece in given_up:
            _fail(piece.work, error)

    def _take(self) -> list[Piece]:
        """The next batch, out of the queue; rows that nobody waits for any more leave it."""
        with self._lock:
            live = [piece for piece in self._waiting if not piece.work.permit.cancelled and piece.work.error is None]
            dropped = len(self._waiting) - len(live)
            batch = self._choose(live) if live else []
            taken = set(map(id, batch))
            self._waiting, self._taken = [piece for piece in live if id(piece) not in taken], batch
        if dropped:
            self.metrics.dropped(self.model, dropped)
        return batch

    def _choose(self, live: list[Piece]) -> list[Piece]:
        first = live[0]
        if first.packs and self.abreast > 1:
            wide = choose(live, self.tokens * self.abreast)
            if sum(piece.tokens for piece in wide) > self.tokens * (self.abreast - MISSING):
                return wide
        return choose(live, self.tokens, None if first.packs or first.work.pipe.pads else 1)

    def _compute(self, batch: list[Piece]) -> None:
        """One pass; a batch that fails is taken apart until the failure has the row it belongs to for itself."""
        works = list(dict.fromkeys(piece.work for piece in batch))
        started = time.perf_counter()
        try:
            found = self._infer(batch, works)
        except Abandoned:
            for work in works:
                _fail(work, work_dropped())
            return
        except Exception as error:
            self._apart(batch, works, error)
            return
        seconds = time.perf_counter() - started
        self.suspect = False
        for work in works:
            work.permit.computing += seconds
        for piece, result in zip(batch, found, strict=True):
            piece.work.permit.read += piece.tokens
            piece.work.keep(piece.number, result)

    def _infer(self, batch: list[Piece], works: list[Work]) -> list[Any]:
        pipe, settings = works[0].pipe, works[0].settings
        watch = Watch(works, self._between_tokens) if pipe.writes else None
        return pipe.infer([piece.row for piece in batch], settings, watch)

    def _between_tokens(self) -> None:
        if self.engine.stopping:
            raise Abandoned
        self.engine.between_tokens(self)

    def _apart(self, batch: list[Piece], works: list[Work], error: Exception) -> None:
        """After a failure: halves where memory ran out, single requests otherwise, an answer where it was one alone."""
        if out_of_memory(error):
            self.metrics.failed(self.model, "memory")
            if len(batch) > 1:
                middle = len(batch) // 2
                self._compute(batch[:middle])
                self._compute(batch[middle:])
                return
        elif len(works) > 1:
            self.metrics.failed(self.model, "poison")
            for work in works:
                self._compute([piece for piece in batch if piece.work is work])
            return
        failure = failure_of(error)
        self.suspect = isinstance(failure, BackendFailed)
        for work in works:
            _fail(work, failure)


def _fail(work: Work, error: Exception) -> None:
    """Give a request up; its other rows are dropped where they wait."""
    if work.error is None and work.left:
        work.error = error
        work.done(work)


class Abandoned(Exception):
    """Nobody waits any more for what is being written."""


class Watch:
    """Looks up between two tokens of a search with beams: others may want a turn, those who asked may have left."""

    def __init__(self, works: Sequence[Work], others: Callable[[], None]):
        self._works, self._others = works, others

    def __call__(self, input_ids: Any, scores: Any) -> bool:
        """Never ends a text by itself; raises Abandoned where all who asked have left."""
        if all(work.permit.cancelled for work in self._works):
            raise Abandoned
        self._others()
        return False

    def reorder(self, rows: Any) -> None:
        """Remembers nothing of rows."""


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, of an accelerator or of the machine."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return "OutOfMemoryError" in names or "MemoryError" in names or "not enough memory" in str(error)


def failure_of(error: Exception) -> Exception:
    """What a client is told: our own words where the input was at fault, else that the model failed."""
    if isinstance(error, LaminaError):
        return Invalid(str(error))
    if out_of_memory(error):
        return BackendFailed("this input needs more memory than there is; send less of it at once")
    log_failure("an input could not be computed", error)
    return BackendFailed("the model could not compute this input; the log says where")
