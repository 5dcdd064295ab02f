"""Tokens of one question as they are written, for whoever streams them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

from starlette.requests import Request

from ..pipelines.base import Prepared
from .answering import Answer, PendingRequest, Question, ask, release
from .errors import DeadlinePassed
from .state import Serving
from .waiting import deadline_of, unless_gone
from .writing import Token


class Listening:
    """A question whose tokens are listened to. Made by `listen`, which raises what refuses it before the first byte."""

    def __init__(
        self, asked: PendingRequest, prepared: Prepared, heard: asyncio.Queue[tuple[int, Token] | None], seconds: float
    ):
        self.asked, self.prepared = asked, prepared
        self._heard, self._deadline = heard, seconds
        asked.answered.add_done_callback(self._ended)

    @property
    def sequences(self) -> int:
        """How many are written, of all inputs together."""
        return sum(map(len, self.asked.writings))

    async def tokens(self) -> AsyncIterator[tuple[int, Token]]:
        """Each token with the number of its sequence, until all sequences are over; raises what went wrong."""
        left = self.sequences
        while left:
            item = await self._next()
            if item is None:  # something went wrong
                self.asked.answered.result()
                return
            left -= item[1].ending is not None
            yield item

    async def _next(self) -> tuple[int, Token] | None:
        if not self._heard.empty():
            return self._heard.get_nowait()
        spent = time.perf_counter() - self.asked.permit.entered
        try:
            return await asyncio.wait_for(self._heard.get(), max(self._deadline - spent, 0.001))
        except asyncio.TimeoutError:
            self.asked.permit.cancelled = True
            raise DeadlinePassed(f"the text was not finished within {self._deadline:g} s") from None

    def _ended(self, answered: asyncio.Future[Answer]) -> None:
        release(self.asked)  # a client that reads slowly holds nothing of the queue
        if answered.cancelled() or answered.exception() is not None:
            self._heard.put_nowait(None)

    def close(self) -> None:
        """Nobody listens any more: what is still to be written is not."""
        release(self.asked)


async def listen(serving: Serving, question: Question, request: Request) -> Listening:
    """Ask, and hear each token; raises what refuses the question."""
    heard: asyncio.Queue[tuple[int, Token] | None] = asyncio.Queue()

    def hear(number: int, token: Token) -> None:
        heard.put_nowait((number, token))

    deadline = deadline_of(serving, request)
    asked = ask(serving, replace(question, wanted=replace(question.wanted, sink=hear, logprobs=True)))
    try:
        prepared = await unless_gone(asked.begun, request.receive, deadline, asked.permit)
    except BaseException:
        release(asked)
        raise
    return Listening(asked, prepared, heard, deadline)
