"""`lamina run`: texts in, answers out."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from .inputs import FILE_KINDS, count_rows, read_settings, read_standard_input, read_texts, text_or_file
from .output import write_json_lines
from .resuming import describe_run, prepare
from .tasks import TASKS, CommandTask, Given, Inputs, find_task

SPELLINGS = {
    "aggregation_strategy": "--aggregation",
    "candidate_labels": "--labels",
    "hypothesis_template": "--hypothesis",
}
MADE_INTO_INPUTS = ("question", "context", "source")
GROUP_TASK = "For one task or another"


def run(
    task: Annotated[str, typer.Argument(metavar="TASK", help="What to do: " + ", ".join(task.name for task in TASKS))],
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="Texts; without any, lines of standard input.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="A folder or a name on the Hub; left out, the task's default.")
    ] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option("--file", "-f", exists=True, dir_okay=False, readable=True, help=f"More texts: {FILE_KINDS}."),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write JSON lines to this file.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the rows that --output already holds.")] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON lines, as a pipe gets them anyway.")] = False,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, mps; left out, the best there is.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Most texts in one pass of the model.")] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Any other option of the task's pipeline, such as num_beams=4."
        ),
    ] = None,
    truncation: Annotated[
        bool | None,
        typer.Option("--truncation", help="Cut texts longer than the model reads.", rich_help_panel=GROUP_TASK),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option("--top-k", "-k", min=0, help="Answers for each text; 0: all.", rich_help_panel=GROUP_TASK),
    ] = None,
    question: Annotated[
        str | None, typer.Option("--question", "-q", help="What to ask.", rich_help_panel=GROUP_TASK)
    ] = None,
    context: Annotated[
        str | None,
        typer.Option("--context", "-c", help="The passage to look in, or @FILE.", rich_help_panel=GROUP_TASK),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="The sentence to compare with.", rich_help_panel=GROUP_TASK)
    ] = None,
    candidate_labels: Annotated[
        str | None, typer.Option("--labels", help="The labels to choose from: a,b,c.", rich_help_panel=GROUP_TASK)
    ] = None,
    hypothesis_template: Annotated[
        str | None,
        typer.Option("--hypothesis", help="A sentence with {} in a label's place.", rich_help_panel=GROUP_TASK),
    ] = None,
    multi_label: Annotated[
        bool | None, typer.Option("--multi-label", help="Labels do not exclude each other.", rich_help_panel=GROUP_TASK)
    ] = None,
    aggregation_strategy: Annotated[
        str | None,
        typer.Option(
            "--aggregation",
            help="none, simple, first, average or max: how word pieces become names; left out, simple.",
            rich_help_panel=GROUP_TASK,
        ),
    ] = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help="Most tokens to write.", rich_help_panel=GROUP_TASK)
    ] = None,
    src_lang: Annotated[
        str | None, typer.Option("--from", help="The language of the texts.", rich_help_panel=GROUP_TASK)
    ] = None,
    tgt_lang: Annotated[
        str | None, typer.Option("--to", help="The language to translate into.", rich_help_panel=GROUP_TASK)
    ] = None,
    chunk: Annotated[
        bool | None,
        typer.Option("--chunk", help="Read a long text in windows of whole sentences.", rich_help_panel=GROUP_TASK),
    ] = None,
    targets: Annotated[
        str | None, typer.Option(help="Only these words may fill the gap: a,b,c.", rich_help_panel=GROUP_TASK)
    ] = None,
) -> None:
    """Run a TASK on TEXTs.

    A terminal gets a picture, a pipe or file JSON lines: {"input": ..., "output": ...}, in input order.
    """
    chosen = known_task(task)
    if resume and not output:
        raise typer.BadParameter("there is nothing to go on from without --output", param_hint="--resume")
    options = {
        "truncation": truncation,
        "top_k": top_k,
        "question": question,
        "context": text_or_file(context),
        "source": source,
        "candidate_labels": candidate_labels,
        "hypothesis_template": hypothesis_template,
        "multi_label": multi_label,
        "aggregation_strategy": aggregation_strategy,
        "max_new_tokens": max_new_tokens,
        "src_lang": src_lang,
        "tgt_lang": tgt_lang,
        "chunk": "sentences" if chunk else None,
        "targets": targets.split(",") if targets else None,
    }
    given = check_options(chosen, {name: value for name, value in options.items() if value is not None})
    given |= read_settings(setting or [])
    finished = prepare(output, resume, describe_run(task, model, given, texts or [], file or [])) if output else 0
    rows: Iterable[Any] = read_texts(texts or [], file or [])
    if not texts and not file and question is None:
        rows = read_standard_input()
        batch_size = 1 if sys.stdin.isatty() else batch_size
    inputs = islice(chosen.inputs(rows, Given(*(given.pop(name, None) for name in MADE_INTO_INPUTS))), finished, None)
    answered = answer(task, model, device, inputs, {"batch_size": batch_size, **given})
    if json or output or not sys.stdout.isatty():
        write_json_lines(answered, output, finished, count_rows(texts or [], file or []))
    else:
        console = Console(highlight=False)
        for _, item, found in answered:
            console.print(chosen.show(item, found))


def known_task(name: str) -> CommandTask:
    """The task called `name`; a usage error with the nearest names where there is none."""
    if task := find_task(name):
        return task
    names = [each for task in TASKS for each in (task.name, task.alias) if each]
    near = [each for each in names if each.startswith(name)] or get_close_matches(name, names, n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names)}"
    raise typer.BadParameter(f"no task {name!r}; {hint}", param_hint="TASK")


def check_options(task: CommandTask, given: dict[str, Any]) -> dict[str, Any]:
    """What was given, as the pipeline wants it; a usage error for an option of another task or a missing one."""
    for name in given:
        if name not in task.options:
            raise typer.BadParameter(f"{task.name} has no such option", param_hint=spelled(name))
    for name in task.required:
        if name not in given:
            raise typer.BadParameter(f"{task.name} needs it", param_hint=spelled(name))
    if given.get("top_k") == 0:
        given["top_k"] = None
    if "aggregation_strategy" in task.options:
        given.setdefault("aggregation_strategy", "simple")
    return given


def spelled(name: str) -> str:
    """A parameter as it is typed."""
    return SPELLINGS.get(name, "--" + name.replace("_", "-"))


def answer(
    task: str, model: str | None, device: str | None, inputs: Inputs, settings: dict[str, Any]
) -> Iterator[tuple[Any, Any, Any]]:
    """Each row, what the pipeline got of it and the answer, as they come."""
    from ..pipelines import pipeline

    pipe = pipeline(task, model=model, device=device)
    waiting: deque[tuple[Any, Any]] = deque()

    def feed() -> Iterator[Any]:
        for pair in inputs:
            waiting.append(pair)
            yield pair[1]

    for found in pipe(feed(), **settings):
        yield *waiting.popleft(), found
