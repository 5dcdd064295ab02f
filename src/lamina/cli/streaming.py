"""Text in the terminal while it is being written, and how many tokens it took."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ..generation.streaming import StopFilter, TextStreamer

DIM, PLAIN = "\x1b[2m", "\x1b[0m"


class Shown(TextStreamer):
    """Prints what is written and keeps it: `text`, `tokens`, and `seconds` since the prompt was read.

    `quiet` prints nothing; `prompted` shows the prompt before the text, faintly where the terminal can.
    """

    def __init__(self, tokenizer: Any, quiet: bool = False, prompted: bool = False):
        super().__init__(tokenizer, skip_prompt=not prompted, skip_special_tokens=True)
        self.quiet, self.faint = quiet, prompted and not quiet and sys.stdout.isatty()
        self.text, self.tokens, self.seconds = "", 0, 0.0
        self._began: float | None = None
        self._prompt = False

    def put(self, value: Tensor) -> None:
        """Take the prompt, then the tokens."""
        self._prompt = self._began is None
        if self._began is None:
            self._began = time.perf_counter()
        else:
            self.tokens += value.numel()
            self.seconds = time.perf_counter() - self._began
        super().put(value)

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Print it at once."""
        if not self._prompt:
            self.text += text
        if not self.quiet:
            shown = f"{DIM}{text}{PLAIN}" if self._prompt and self.faint else text
            print(shown, end="\n" if stream_end else "", flush=True)

    def take(self, ids: Tensor | list[int], start: int, stop: Sequence[str]) -> None:
        """Take a text that came whole, `start` tokens of it the prompt, up to the first of `stop`."""
        written = list(map(int, ids))
        prompt, whole = (self.tokenizer.decode(part, **self.decode_kwargs) for part in (written[:start], written))
        text = whole[len(prompt) :]
        self.tokens = len(written) - start
        if not self.skip_prompt:
            self._prompt = True
            self.on_finalized_text(prompt)
            self._prompt = False
        self.on_finalized_text(StopFilter(stop).add(text, last=True), stream_end=True)
