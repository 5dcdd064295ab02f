"""Languages as models name them: mBART's codes, Marian's marks in the text, and the pairs of a model's config."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ..errors import PipelineError
from ..tokenizers.tokenizer import Tokenizer

MARK = re.compile(r">>(.+?)<<")
MARK_BEFORE = re.compile(MARK.pattern + r"\s*")
TASK = re.compile(r"translation_(.+)_to_(.+)")
SHOWN = 60  # codes listed in a message


def task_languages(task: str) -> tuple[str | None, str | None]:
    """The languages that `translation_xx_to_yy` names."""
    found = TASK.fullmatch(task)
    return (found.group(1), found.group(2)) if found else (None, None)


def find_code(known: Iterable[str], name: str, argument: str) -> str:
    """The code that `name` is, or begins: "en" is "en_XX" where no other does. PipelineError lists those known."""
    codes = list(known)
    if name in codes:
        return name
    near = [code for code in codes if code.replace("-", "_").split("_")[0] == name]
    if len(near) == 1:
        return near[0]
    raise PipelineError(f"{argument} is {name!r}, which this model does not know; it knows {listed(near or codes)}")


def listed(codes: Iterable[str]) -> str:
    """Codes in a message, not endlessly many."""
    known = sorted(codes)
    return ", ".join(known[:SHOWN]) + (f" and {len(known) - SHOWN} more" if len(known) > SHOWN else "")


def marked_languages(tokenizer: Tokenizer) -> dict[str, str]:
    """The languages that a text may begin with, as in `>>fra<< Hello`, and these marks; none where a model has one."""
    found = (MARK.fullmatch(token) for token in tokenizer.get_vocab())
    return {match.group(1): match.group() for match in found if match}


def configured_pairs(config: Any) -> dict[tuple[str, str], str]:
    """The pairs that a model's config gives options for, and under which names."""
    params = getattr(config, "task_specific_params", None) or {}
    pairs = ((task_languages(name), name) for name in params)
    return {(source, target): name for (source, target), name in pairs if source and target}
