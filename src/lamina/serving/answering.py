"""From a request's inputs to its answers: read on a text thread, computed on the model's, waited for on the loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from ..errors import LaminaError
from ..generation.job import Job
from ..pipelines.base import Prepared
from .admission import Permit
from .batcher import Work, pieces_of
from .dialects import PLAIN, Dialect
from .engine import log_failure
from .errors import BackendFailed, Invalid, Refusal, no_new_work, work_dropped
from .models import Served
from .state import Serving
from .waiting import deadline_of, unless_gone
from .writing import GenerationSpec, Writing

LITTLE, LITTLE_TEXT = 8, 4096  # inputs and characters that are read in less time than a hand-over is worth


@dataclass(frozen=True)
class Question:
    """What one request asks of a model: inputs of a task, its options, and what is wanted beside the answers.

    `change` is made of each input before it is read, `shape` of each answer before it is sent; both on a text thread.
    """

    served: Served
    pipe: Any  # a Pipeline, or one that writes where the question is of text to write
    items: Sequence[Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    wanted: GenerationSpec = field(default_factory=GenerationSpec)
    change: Callable[[Any], Any] | None = None
    shape: Callable[[Any], Any] | None = None
    dialect: Dialect = PLAIN


@dataclass
class Answer:
    """What was found, and at what cost."""

    answers: list[Any]
    permit: Permit
    prepared: Prepared
    writings: list[list[Writing]] = field(default_factory=list)  # of each input, where text was written token by token
    seconds: float = 0.0

    def headers(self, device: str) -> dict[str, str]:
        """Where the time went, in seconds, as the clients of the Inference API show it."""
        permit = self.permit
        return {
            "x-compute-type": device,
            "x-compute-time": f"{self.seconds:.4f}",
            "x-queue-time": f"{permit.waited:.4f}",
            "x-inference-time": f"{permit.computing:.4f}",
            "x-compute-tokens": str(permit.read),
            "x-compute-characters": str(permit.characters),
        }


class PendingRequest:
    """A question under way. `begun` is done once it is read and admitted, `answered` once it is answered."""

    def __init__(self, serving: Serving, question: Question, permit: Permit):
        self.serving, self.question, self.pipe, self.permit = serving, question, question.pipe, permit
        self._loop = asyncio.get_running_loop()
        self.begun: asyncio.Future[Prepared] = self._loop.create_future()
        self.answered: asyncio.Future[Answer] = self._loop.create_future()
        self.answered.add_done_callback(_seen)
        self.begun.add_done_callback(_seen)
        self.writings: list[list[Writing]] = []
        self._prepared: Prepared | None = None

    def begin(self) -> None:
        """Have the question read: by a text thread, or where there is little to read and the model sleeps, by its own.

        Raises RuntimeError where the pool is closed.
        """
        little = self.permit.inputs <= LITTLE and self.permit.characters <= LITTLE_TEXT
        if not (little and self.serving.engine.offer(self.read)):
            self.submit(self.read)

    def submit(self, step: Callable[..., None], *args: Any) -> None:
        """Have a step taken on a text thread; raises RuntimeError where the pool is closed."""
        self.serving.texts.submit(step, *args).add_done_callback(self._taken)

    def _taken(self, step: Future[None]) -> None:
        if step.cancelled():  # the pool was closed before the step's turn came
            self._fail(work_dropped())

    def read(self) -> None:
        """Turn the texts into rows and queue them; on a text thread."""
        try:
            if self.permit.cancelled:
                return
            settings = self.pipe.resolve_options(self.question.options)
            change = self.question.change
            items = self.question.items if change is None else [change(item) for item in self.question.items]
            self._prepared = prepared = self.pipe.prepare(items, settings)
            rows = prepared.rows
            self._check(rows)
            self.permit.hold(sum(self.pipe.cost(row, settings) for row in rows))
            work = Work(self.pipe, settings, rows, self.permit, self._computed)
            jobs = [self.pipe.job(row, settings) for row in rows] if self.pipe.writes else []
            stepwise = bool(jobs) and all(job is not None for job in jobs)
            if self.question.wanted.sink is not None and not stepwise:
                raise Invalid("only a text without beams can be told while it is written; set num_beams to 1")
            if jobs and not stepwise:
                _check_search(self.question)
            if stepwise:  # before `begun` is told: who listens counts the sequences then
                self._make_writings([job for job in jobs if job is not None], work)
            if self.question.wanted.sink is not None:
                self._tell(self.begun, prepared)
            if stepwise:
                self.serving.writer(self.question.served).put([one for own in self.writings for one in own])
            else:
                self.serving.batcher(self.question.served).put(work, pieces_of(work))
            if self.serving.engine.over:  # the lane was given up before these rows were in it
                self._fail(work_dropped())
        except BaseException as error:  # the Rust tokenizer panics with a BaseException
            self._fail(error)

    def _check(self, rows: Sequence[Any]) -> None:
        limit = self.serving.settings.limits.input_tokens
        for row in rows:
            if len(row) > limit:
                raise Invalid(f"an input has {len(row)} tokens, and {limit} are taken; shorten it")

    def _make_writings(self, jobs: Sequence[Job], work: Work) -> None:
        """What is written token by token: as many sequences of each row as are asked for."""
        copies = int(jobs[0].config.num_return_sequences)
        for number, job in enumerate(jobs):
            left = set(range(copies))
            own = [
                Writing(
                    job,
                    self.permit,
                    self.question.wanted,
                    copy,
                    number * copies + copy,
                    self._over(work, number, left),
                )
                for copy in range(copies)
            ]
            self.writings.append(own)

    def _over(self, work: Work, number: int, left: set[int]) -> Callable[[Writing], None]:
        def over(writing: Writing) -> None:
            left.discard(writing.number)
            if writing.error is not None and work.error is None:
                work.error = writing.error
                self.permit.cancelled = True  # the other sequences of this request are of no use
                self._computed(work)
            elif not left and work.error is None:
                own = self.writings[number]
                work.keep(number, self.pipe.written(writing.job, [one.new for one in own]))

        return over

    def _computed(self, work: Work) -> None:
        """Everything is found, or nothing will be; on the model thread."""
        if work.error is not None:
            error = work.error
            self.serving.engine.tell(lambda: _resolve(self.answered, error))
            return
        if len(work.rows) <= LITTLE and self.serving.engine.idle:
            self._finish(work)  # nobody waits for the model, so that handing over would cost more than it frees
            return
        try:
            self.submit(self._finish, work)
        except RuntimeError:  # the pool is closed
            self._fail(work_dropped())

    def _finish(self, work: Work) -> None:
        """Turn what was found into answers; on a text thread."""
        try:
            prepared = self._prepared
            assert prepared is not None
            answers, shape = list(self.pipe.finish(prepared, work.found)), self.question.shape
            if shape is not None:
                answers = [shape(one) for one in answers]
            seconds = time.perf_counter() - self.permit.entered
            self._tell(self.answered, Answer(answers, self.permit, prepared, self.writings, seconds))
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        refusal = _refusal(error, self.question.dialect)
        self._tell(self.begun, refusal)
        self._tell(self.answered, refusal)

    def _tell(self, future: asyncio.Future[Any], result: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(_resolve, future, result)
        except RuntimeError:  # the loop is closed: nobody is left to tell
            self.permit.cancelled = True


def ask(serving: Serving, question: Question) -> PendingRequest:
    """Let a question in and have it read; raises what refuses it. `release` must follow, whatever happens."""
    if serving.draining:
        raise no_new_work()
    if not question.items:
        raise Invalid("the list of inputs is empty")
    permit = serving.admission.enter(len(question.items), *_characters(question.items))
    asked = PendingRequest(serving, question, permit)
    try:
        asked.begin()
    except RuntimeError:  # the pool is closed
        permit.leave()
        raise work_dropped() from None
    return asked


def release(asked: PendingRequest) -> None:
    """Give back what a question holds, once; whatever of it is still to be computed is dropped."""
    permit = asked.permit
    if permit.released:
        return
    if not asked.answered.done():
        permit.cancelled = True
    if permit.started is not None:
        asked.serving.metrics.waited(asked.question.served.id, permit.waited, permit.read)
    permit.leave()


async def answer(serving: Serving, question: Question, request: Request) -> Answer:
    """The answer to a question; raises a Refusal, DeadlinePassed or, where the client leaves first, ClientGone."""
    deadline = deadline_of(serving, request)
    asked = ask(serving, question)
    try:
        found: Answer = await unless_gone(asked.answered, request.receive, deadline, asked.permit)
        return found
    finally:
        release(asked)


def _check_search(question: Question) -> None:
    """Refuse what only a text that is written token by token can have."""
    wanted = question.wanted
    asked = {
        "frequency_penalty": wanted.frequency,
        "presence_penalty": wanted.presence,
        "top_n_tokens": wanted.top,
        "seed": wanted.seed is not None and question.options.get("do_sample"),
    }
    named = next((name for name, value in asked.items() if value), None)
    if named is not None:
        raise Invalid(f"{named} is for texts that are written token by token; set num_beams to 1")


def _characters(items: Sequence[Any]) -> tuple[int, int]:
    """Of all texts in there, however deep, and how many texts there are."""
    found, texts, left = 0, 0, list(items)
    while left:
        item = left.pop()
        if isinstance(item, str):
            found, texts = found + len(item), texts + 1
        elif isinstance(item, Mapping):
            left += item.values()
        elif isinstance(item, list | tuple):
            left += item
    return found, texts


def _refusal(error: BaseException, dialect: Dialect) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, LaminaError):
        return Invalid(dialect.said(error))
    log_failure("an input could not be read", error)
    return BackendFailed("this input could not be read; the log says where")


def _resolve(future: asyncio.Future[Any], result: Any) -> None:
    if future.done():
        return
    if isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)


def _seen(future: asyncio.Future[Any]) -> None:
    """Look at the exception, or asyncio complains of one that nobody saw."""
    if not future.cancelled():
        future.exception()
