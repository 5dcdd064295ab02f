"""Rows through a pipeline, where one that cannot be answered costs its neighbours nothing; messages in our options."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import HubError, InputError, LaminaError
from .tasks import Asked, CommandTask

if TYPE_CHECKING:
    from ..pipelines.rows import Spelling

SPELLINGS = {
    "aggregation_strategy": "--aggregation",
    "candidate_labels": "--labels",
    "hypothesis_template": "--hypothesis",
    "src_lang": "--from",
    "tgt_lang": "--to",
}
SUBJECTS = (*SPELLINGS, "top_k", "max_new_tokens", "multi_label")  # what a message may be about
ALWAYS = ("model", "device", "batch_size", "precision", "revision")
ARGUMENT = re.compile(r"\b(pass|or|and) ([a-z_]+)=(?:(\"[^\"]*\"|'[^']*'|\w+)|(?=[\s,;]|$))")
BUILT_IN = "builtin"
PRECISIONS = "What linear layers compute in: fp32-packed, bf16, int8, int8-accurate, ..."


class Answered(NamedTuple):
    """A row with its answer, or with what is wrong with it."""

    asked: Asked
    output: Any = None
    error: str | None = None


def spelled(name: str) -> str:
    """A parameter as it is typed."""
    return SPELLINGS.get(name, "--" + name.replace("_", "-"))


def answers(
    pipe: Any, task: CommandTask, asked: Iterable[Asked], settings: Mapping[str, Any], batch_size: int | None
) -> Iterator[Answered]:
    """Each row and its answer, as they come."""
    from ..inference.batching import windows

    for window in windows(asked, batch_size or pipe.window, batch_size or 1):
        fine = [each for each in window if each.error is None]
        found = _found(pipe, task, [each.item for each in fine], {"batch_size": batch_size, **settings})
        for each in window:
            if each.error is not None:
                yield Answered(each, error=each.error)
            else:
                yield Answered(each, *next(found))


class _Several:
    """Inputs whose answers come as a stream, so that no bar is drawn for them, but which are looked at together."""

    def __init__(self, items: Sequence[Any]):
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)


def _found(
    pipe: Any, task: CommandTask, items: Sequence[Any], settings: Mapping[str, Any]
) -> Iterator[tuple[Any, str | None]]:
    """The answer to every item, or why there is none; a failure of several is looked for in either half."""
    if not items:
        return
    try:
        found = list(pipe(_Several(items), **settings))
    except LaminaError as error:
        if len(items) > 1:
            half = len(items) // 2
            yield from _found(pipe, task, items[:half], settings)
            yield from _found(pipe, task, items[half:], settings)
        else:
            yield None, in_our_words(error, spelling(task, pipe)).removeprefix("input 0: ")
    else:
        yield from ((answer, None) for answer in found)


def spelling(task: CommandTask, pipe: Any = None) -> Spelling:
    """How an option of the pipeline is typed: by its own name, or with --set where the pipeline alone knows it."""
    known = pipe.options if pipe is not None else {}
    open_ended = pipe is not None and pipe.open_ended

    def typed(name: str, value: Any) -> str | None:
        if name in (*task.options, *ALWAYS):
            flag = value in (True, None) or name == "chunk"
            return spelled(name) if flag else f"{spelled(name)} {value}"
        if name not in known and not open_ended:
            return None
        return f"--set {name}={json.dumps(value) if not isinstance(value, str) else value}"

    return typed


def in_our_words(error: LaminaError, typed: Spelling) -> str:
    """What a pipeline says, with the options of the command line where it names Python's arguments."""
    from ..pipelines.rows import AdvisedError

    message = error.said(typed) if isinstance(error, AdvisedError) else str(error)

    def option(found: re.Match[str]) -> str:
        verb, name, value = found.groups()
        option = typed(name, value.strip("\"'") if value else None)
        return f"{verb} {option}" if option else found[0]

    for name in SUBJECTS:
        if typed(name, None) == spelled(name):
            message = re.sub(rf"(?<![\w.='\"-]){name}(?= is | must | needs )", spelled(name), message)
    message = message.replace("; several texts go in a list", "").replace(
        "pass token=... or set HF_TOKEN", "set HF_TOKEN"
    )
    return ARGUMENT.sub(option, message)


def model_name(name: str | None, task: str | None = None) -> str | None:
    """The model to load: a folder, a name on the Hub, or the folder of the one inside the package for BUILT_IN.

    InputError for a path that is not there.
    """
    if name is None:
        return None
    if name == BUILT_IN and not os.path.exists(name):
        from ..pipelines.create import ALIASES, EMBEDDED

        if task is not None and ALIASES.get(task, task) not in EMBEDDED:
            raise InputError(f"the built-in model is for {', '.join(EMBEDDED)}, not for {task}; choose another --model")
        return str(next(iter(EMBEDDED.values())))
    path = name = os.path.expanduser(name)
    if os.path.isfile(path):
        raise InputError(f"{name} is a file: give the folder that holds the model")
    if not os.path.exists(path) and (name.startswith((".", "/", "~")) or name.endswith("/") or name.count("/") > 1):
        raise InputError(f"there is no folder {name}")
    return name


def load(task: CommandTask | None, name: str | None, model: str | None, **options: Any) -> Any:
    """The pipeline for a task, or for what the model is for; InputError where the model cannot answer."""
    from ..pipelines import pipeline
    from ..pipelines.base import refuse_untrained

    given = {key: value for key, value in options.items() if value is not None}
    if "revision" in given and model is not None and os.path.exists(model):
        raise InputError(f"--revision is of models on the Hub, and {model} is a folder here")
    try:
        pipe = pipeline(name, model=model, **given)
    except HubError as error:
        if model is None or os.path.exists(model) or str(error).startswith(f"{model!r} is neither"):
            raise
        raise HubError(f"there is no folder {model} here, and {error}") from None
    except LaminaError as error:
        if task is None:
            raise
        raise InputError(in_our_words(error, spelling(task))) from None
    refuse_untrained(pipe)
    return pipe
