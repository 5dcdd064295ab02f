"""Text while it is being written. No character is ever cut, and nothing of a stop string is shown."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from queue import Queue
from typing import Any

from torch import Tensor

from ..errors import GenerationError
from .protocol import Decodable

INCOMPLETE = "\ufffd"  # what bytes decode to that are no whole character yet
KEPT_TOKENS = 64  # once this many tokens are shown, all but the last few are forgotten ..
CONTEXT_TOKENS = 8  # .. which still decide how the next ones are spaced
# Scripts written without spaces between words, and Hangul: each of their characters stands for itself.
WHOLE = re.compile(
    "[\u2e80-\u2fff\u3005-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff01-\uff60\U00020000-\U0003134f]"
)
BOUNDARY = re.compile(rf"\s|{WHOLE.pattern}")


class TextStreamer:
    """Prints text as soon as words are whole.

    Shown is everything up to the last space, or the last character of a script that has none; what may still change
    (half a word, half a character, the beginning of a stop string) waits for the next token. `decode_kwargs` go to the
    tokenizer's `decode`.
    """

    def __init__(self, tokenizer: Decodable, skip_prompt: bool = False, **decode_kwargs: Any):
        self.tokenizer, self.skip_prompt, self.decode_kwargs = tokenizer, skip_prompt, decode_kwargs
        self._stop_strings: Sequence[str] = ()
        self._reset()

    def _reset(self) -> None:
        self._tokens: list[int] = []
        self._shown = 0  # characters of the text of `_tokens` that were shown
        self._waiting = ""  # whole text that may yet be the beginning of a stop string
        self._stopped = False
        self._in_prompt = True

    def hold_back(self, stop_strings: Sequence[str]) -> None:
        """Never show these strings, nor what comes after: `generate` says so before the first token."""
        self._stop_strings = stop_strings

    def put(self, value: Tensor) -> None:
        """Take the ids of the prompt [1, tokens], then those of each step [1]."""
        if value.ndim > 1 and len(value) > 1:
            raise GenerationError(f"A text streamer follows one row, but was given {len(value)}.")
        prompt, self._in_prompt = self._in_prompt, False
        if prompt and self.skip_prompt:
            return
        self._tokens += value.flatten().tolist()
        text = self._text()
        until = len(text.rstrip(INCOMPLETE)) if prompt else _whole_until(text)
        if prompt:
            self._emit(self._next(text, until))
        else:
            self._release(self._next(text, until), last=False)
        if self._shown == len(text) and (text.endswith("\n") or len(self._tokens) > KEPT_TOKENS):
            self._tokens = [] if text.endswith("\n") else self._tokens[-CONTEXT_TOKENS:]
            self._shown = len(self._text())

    def _text(self) -> str:
        return self.tokenizer.decode(self._tokens, **self.decode_kwargs) if self._tokens else ""

    def _next(self, text: str, until: int) -> str:
        start, self._shown = self._shown, max(self._shown, until)
        return text[start:until]

    def _emit(self, text: str) -> None:
        if text:
            self.on_finalized_text(text)

    def _release(self, text: str, last: bool) -> None:
        """Show what cannot belong to a stop string any more."""
        if self._stopped:
            return
        text = self._waiting + text
        places = [place for place in (text.find(string) for string in self._stop_strings) if place >= 0]
        if places:
            self._stopped, self._waiting = True, ""
            self._emit(text[: min(places)])
            return
        kept = 0 if last else max((_overlap(text, string) for string in self._stop_strings), default=0)
        self._waiting = text[len(text) - kept :]
        self._emit(text[: len(text) - kept])

    def end(self) -> None:
        """Show what was waiting; the stream is over, and the streamer ready for another."""
        text = self._text()
        self._release(self._next(text, len(text)), last=True)
        self._reset()
        self.on_finalized_text("", stream_end=True)

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Take text that will not change: print it, with a newline at the end of the stream."""
        print(text, flush=True, end="\n" if stream_end else "")


def _whole_until(text: str) -> int:
    """How much of a text that may go on is settled: up to its last space or self-standing character."""
    whole = text.rstrip(INCOMPLETE)
    end = 0
    for match in BOUNDARY.finditer(whole):
        end = match.end()
    return end


def _overlap(text: str, string: str) -> int:
    """The longest end of `text` that begins `string`."""
    return next((size for size in range(min(len(string) - 1, len(text)), 0, -1) if text.endswith(string[:size])), 0)


class TextIteratorStreamer(TextStreamer):
    """An iterator over the text that another thread's `generate` writes.

    `timeout` is in seconds; where no text comes within it, `queue.Empty` is raised. What `generate` raises is raised
    here too, so that nobody waits for text that will not come.
    """

    def __init__(
        self, tokenizer: Decodable, skip_prompt: bool = False, timeout: float | None = None, **decode_kwargs: Any
    ):
        super().__init__(tokenizer, skip_prompt, **decode_kwargs)
        self.text_queue: Queue[str | BaseException | None] = Queue()
        self.timeout = timeout

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Hand the text to the iterator."""
        if text:
            self.text_queue.put(text)
        if stream_end:
            self.text_queue.put(None)

    def fail(self, error: BaseException) -> None:
        """Let the iterator raise what `generate` raised."""
        self.text_queue.put(error)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return _text_or_end(self.text_queue.get(timeout=self.timeout), StopIteration)


class AsyncTextIteratorStreamer(TextStreamer):
    """An asynchronous iterator over the text that another thread's `generate` writes; made inside a coroutine.

    `timeout` is in seconds; where no text comes within it, `TimeoutError` is raised.
    """

    def __init__(
        self, tokenizer: Decodable, skip_prompt: bool = False, timeout: float | None = None, **decode_kwargs: Any
    ):
        super().__init__(tokenizer, skip_prompt, **decode_kwargs)
        self.text_queue: asyncio.Queue[str | BaseException | None] = asyncio.Queue()
        self.timeout = timeout
        self.loop = asyncio.get_running_loop()

    def _hand_over(self, item: str | BaseException | None) -> None:
        self.loop.call_soon_threadsafe(self.text_queue.put_nowait, item)

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Hand the text to the iterator."""
        if text:
            self._hand_over(text)
        if stream_end:
            self._hand_over(None)

    def fail(self, error: BaseException) -> None:
        """Let the iterator raise what `generate` raised."""
        self._hand_over(error)

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        try:
            item = await asyncio.wait_for(self.text_queue.get(), self.timeout)
        except asyncio.TimeoutError:
            raise TimeoutError(f"no text came within {self.timeout} seconds") from None
        return _text_or_end(item, StopAsyncIteration)


def _text_or_end(item: str | BaseException | None, end: type[Exception]) -> str:
    if item is None:
        raise end
    if isinstance(item, BaseException):
        raise item
    return item
