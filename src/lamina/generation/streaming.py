"""Text from ids as they come: no character is ever cut, and nothing of a stop string is shown."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from queue import Queue
from typing import Any

from torch import Tensor

from ..errors import GenerationError
from .protocol import Decodable

INCOMPLETE = "\ufffd"  # what bytes decode to that are no whole character yet
CONTEXT_TOKENS = 8  # of a prompt, which decide how the next one is spaced
PLAIN: Mapping[str, Any] = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}
# Scripts written without spaces between words, and Hangul: each of their characters stands for itself.
WHOLE = re.compile(
    "[\u2e80-\u2fff\u3005-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff01-\uff60\U00020000-\U0003134f]"
)
BOUNDARY = re.compile(rf"\s|{WHOLE.pattern}")


class StopFilter:
    """Text up to the first of some stop strings, which is not shown itself, nor any beginning of it."""

    def __init__(self, stops: Sequence[str]):
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.stopped = False

    def add(self, text: str, last: bool = False) -> str:
        """What may be shown now that `text` has come; `last` says that nothing will follow."""
        if self.stopped:
            return ""
        text = self._held + text
        places = [place for place in (text.find(stop) for stop in self._stops) if place >= 0]
        if places:
            self.stopped, self._held = True, ""
            return text[: min(places)]
        kept = 0 if last else max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - kept :]
        return text[: len(text) - kept]


def _overlap(text: str, stop: str) -> int:
    """The longest end of `text` that begins `stop`."""
    return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0)


class Detokenizer:
    """The text of each new token. What is no whole character yet comes with the token that completes it.

    `prompt` is the tokens that the text goes on from, `decode_kwargs` what the tokenizer's `decode` is asked for.
    """

    def __init__(self, tokenizer: Any, prompt: Sequence[int] = (), decode_kwargs: Mapping[str, Any] = PLAIN):
        self._tokenizer, self._options = tokenizer, decode_kwargs
        self._ids = list(prompt[-CONTEXT_TOKENS:])
        self._shown = len(self._ids)  # tokens whose text has been given out
        self._first = 0  # tokens before this one no longer matter

    def add(self, *ids: int) -> str:
        """The text that these tokens settle; perhaps none."""
        self._ids += ids
        before, now = self._text(self._shown), self._text()
        if now.endswith(INCOMPLETE):
            return ""
        if now != before:  # a special token, which is not shown, says nothing of how the next one is spaced
            self._first = self._shown
        self._shown = len(self._ids)
        return now[len(before) :]

    def rest(self) -> str:
        """What is left at the end: bytes that never became a character."""
        before, now = self._text(self._shown), self._text()
        self._shown = len(self._ids)
        return now[len(before) :]

    def _text(self, end: int | None = None) -> str:
        ids = self._ids[self._first : end]
        text: str = self._tokenizer.decode(ids, **self._options) if ids else ""
        return text


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
        self._pieces = Detokenizer(self.tokenizer, (), self.decode_kwargs)
        self._held = ""  # the word that may still go on
        self._filter = StopFilter(self._stop_strings)
        self._in_prompt = True

    def hold_back(self, stop_strings: Sequence[str]) -> None:
        """Never show these strings, nor what comes after: `generate` says so before the first token."""
        self._stop_strings = stop_strings
        self._filter = StopFilter(stop_strings)

    def put(self, value: Tensor) -> None:
        """Take the ids of the prompt [1, tokens], then those of each step [1]."""
        if value.ndim > 1 and len(value) > 1:
            raise GenerationError(f"A text streamer follows one row, but was given {len(value)}.")
        prompt, self._in_prompt = self._in_prompt, False
        if prompt and self.skip_prompt:
            return
        text = self._held + self._pieces.add(*value.flatten().tolist())
        if prompt:
            self._emit(text)
            return
        settled = max((match.end() for match in BOUNDARY.finditer(text)), default=0)
        self._held = text[settled:]
        self._emit(self._filter.add(text[:settled]))

    def _emit(self, text: str) -> None:
        if text:
            self.on_finalized_text(text)

    def end(self) -> None:
        """Show what was waiting; the stream is over, and the streamer ready for another."""
        self._emit(self._filter.add(self._held + self._pieces.rest(), last=True))
        self._reset()
        self.on_finalized_text("", stream_end=True)

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Take text that will not change: print it, with a newline at the end of the stream."""
        print(text, flush=True, end="\n" if stream_end else "")


class _Queued(TextStreamer):
    """Hands text, the end (None) and what `generate` raised to whoever iterates."""

    def __init__(
        self, tokenizer: Decodable, skip_prompt: bool = False, timeout: float | None = None, **decode_kwargs: Any
    ):
        super().__init__(tokenizer, skip_prompt, **decode_kwargs)
        self.timeout = timeout
        self._open()

    def _open(self) -> None:
        """Make the queue."""
        raise NotImplementedError

    def _hand_over(self, item: str | BaseException | None) -> None:
        raise NotImplementedError

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        if text:
            self._hand_over(text)
        if stream_end:
            self._hand_over(None)

    def fail(self, error: BaseException) -> None:
        """Let the iterator raise what `generate` raised."""
        self._hand_over(error)


class TextIteratorStreamer(_Queued):
    """An iterator over the text that another thread's `generate` writes.

    `timeout` is in seconds; where no text comes within it, `queue.Empty` is raised. What `generate` raises is raised
    here too, so that nobody waits for text that will not come.
    """

    def _open(self) -> None:
        self.text_queue: Queue[str | BaseException | None] = Queue()

    def _hand_over(self, item: str | BaseException | None) -> None:
        self.text_queue.put(item)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return _text_or_end(self.text_queue.get(timeout=self.timeout), StopIteration)


class AsyncTextIteratorStreamer(_Queued):
    """An asynchronous iterator over the text that another thread's `generate` writes; made inside a coroutine.

    `timeout` is in seconds; where no text comes within it, `TimeoutError` is raised.
    """

    def _open(self) -> None:
        self.text_queue: asyncio.Queue[str | BaseException | None] = asyncio.Queue()
        self.loop = asyncio.get_running_loop()

    def _hand_over(self, item: str | BaseException | None) -> None:
        self.loop.call_soon_threadsafe(self.text_queue.put_nowait, item)

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
