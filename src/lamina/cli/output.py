"""Where JSON lines go: standard output, or a file that a stopped run can be taken up from."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import typer

from ..errors import InputError


def write_json_lines(
    answered: Iterable[tuple[Any, Any, Any]], output: Path | None, finished: int, total: int | None
) -> None:
    """One object a line, each written as soon as it is known; a progress bar where the lines go elsewhere.

    `finished` rows stand in `output` already and are kept; `total` rows there will be, where that is known.
    """
    from ..pipelines.progress import track

    with ExitStack() as closing:
        stream = sys.stdout
        if output is not None:
            try:
                stream = closing.enter_context(output.open("a" if finished else "w", encoding="utf-8"))
            except OSError as error:
                raise typer.BadParameter(f"cannot be written: {error.strerror}", param_hint="--output") from None
        left = None if total is None else total - finished
        seen = stream is sys.stdout and sys.stdout.isatty()
        for row, _, found in answered if seen else track(answered, left, "texts"):
            line = {"input": row, "output": found}
            print(json.dumps(line, ensure_ascii=False, default=plain), file=stream, flush=True)


def count_finished(output: Path | None) -> int:
    """How many whole rows a stopped run has left in its file; a last line that was cut off is taken away."""
    if output is None:
        raise typer.BadParameter("there is nothing to go on from without --output", param_hint="--resume")
    if not output.is_file():
        return 0
    count = whole = 0
    with output.open("r+b") as opened:
        for line in opened:
            if not line.endswith(b"\n"):
                break
            if not line.startswith(b'{"input"'):
                raise InputError(f"{output}, line {count + 1}: no row of lamina run; name another --output")
            count, whole = count + 1, whole + len(line)
        opened.truncate(whole)
    return count


def plain(value: Any) -> Any:
    """What JSON can hold of a tensor, an array or one of their numbers."""
    return value.tolist()
