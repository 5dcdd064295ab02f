"""Where JSON lines go: standard output, or a file that a stopped run can be taken up from."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import typer


def write_json_lines(
    answered: Iterable[tuple[Any, Any, Any]], output: Path | None, finished: int, total: int | None
) -> None:
    """One object a line, each written as soon as it is known; a progress bar where the lines go elsewhere.

    Lines are added to `output`, where `finished` rows stand already; `total` rows there will be, where that is known.
    """
    from ..pipelines.progress import track

    with ExitStack() as closing:
        stream = sys.stdout
        if output is not None:
            try:
                stream = closing.enter_context(output.open("a", encoding="utf-8"))
            except OSError as error:
                raise typer.BadParameter(f"cannot be written: {error.strerror}", param_hint="--output") from None
        seen = stream is sys.stdout and sys.stdout.isatty()
        for row, _, found in answered if seen else track(answered, total, "texts", finished):
            line = {"input": row, "output": found}
            print(json.dumps(line, ensure_ascii=False, default=plain), file=stream, flush=True)


def plain(value: Any) -> Any:
    """What JSON can hold of a tensor, an array or one of their numbers."""
    return value.tolist()
