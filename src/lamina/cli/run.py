"""`lamina run`: texts in, answers out."""

from __future__ import annotations

import sys
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import typer

from ..files.formats import NAMES, form_of
from ..files.shown import shown
from .asking import PRECISIONS, model_name, spelled
from .formats import WRITERS
from .inputs import FILE_KINDS, STANDARD_INPUT, Sources, find_sources, read_settings, text_or_file
from .job import Job
from .output import find_output
from .resuming import model_files
from .tasks import TASKS, CommandTask, Given, find_task, question_columns

GROUP_DATA = "What the files hold"
GROUP_TASK = "For one task or another"


def run(
    task: Annotated[str, typer.Argument(metavar="TASK", help="What to do: " + ", ".join(task.name for task in TASKS))],
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="Texts; without any, lines of standard input.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="A folder, a name on the Hub, or builtin; left out, the task's default."),
    ] = None,
    file: Annotated[
        list[str] | None,
        typer.Option("--file", "-f", metavar="FILE", help=f"More texts: {FILE_KINDS}; -: standard input."),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option("--format", help=f"Of files and standard input: {', '.join(NAMES)}; else by the ending."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help=f"Write to this new file; its ending says how: {', '.join(WRITERS)}."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the rows that --output already holds.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace --output, if it is there, once the new rows are.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first row that cannot be answered, with status 1.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON lines, as a pipe gets them anyway.")] = False,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, mps; left out, the best there is.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Most texts in one pass of the model.")] = None,
    precision: Annotated[str | None, typer.Option(help=PRECISIONS)] = None,
    revision: Annotated[str | None, typer.Option(help="A branch, tag or commit of a model on the Hub.")] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Any other option of the task's pipeline, such as num_beams=4."
        ),
    ] = None,
    text_column: Annotated[
        str | None, typer.Option(help="Column of texts; left out, text.", rich_help_panel=GROUP_DATA)
    ] = None,
    text_pair_column: Annotated[
        str | None,
        typer.Option(help="Column of second texts; left out, text_pair if there is one.", rich_help_panel=GROUP_DATA),
    ] = None,
    question_column: Annotated[
        str | None, typer.Option(help="Column of questions; left out, question.", rich_help_panel=GROUP_DATA)
    ] = None,
    context_column: Annotated[
        str | None, typer.Option(help="Column of passages; left out, context.", rich_help_panel=GROUP_DATA)
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

    A terminal gets a picture, a pipe or file JSON lines: {"input": ..., "output": ...}, in input order. A row that
    cannot be answered has "error" in place of "output", with its file and line. Status: 0 all is answered, 1 the run
    failed, 2 wrong usage, 3 some rows have an error.
    """
    chosen = known_task(task)
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
        "targets": None if targets is None else targets.split(","),
        "text_column": text_column,
        "text_pair_column": text_pair_column,
        "question_column": question_column,
        "context_column": context_column,
    }
    given = check_options(chosen, {name: value for name, value in options.items() if value is not None})
    taken = {name: spelled(name) for name in given}
    settings = read_settings(setting or [], taken if batch_size is None else {**taken, "batch_size": "--batch-size"})
    batch_size = checked_size(settings.pop("batch_size", batch_size))
    given |= settings
    sources = find_sources(texts or [], file or [], form, asked=question is not None)
    parts = Given(**{each.name: given.pop(each.name, None) for each in fields(Given)})
    check_context(chosen, sources, parts)
    read = [*sources.paths, *([Path(context[1:])] if context and context.startswith("@") else [])]
    model = model_name(model, task)
    read += [*(Path(each) for each in file or []), *model_files(model)]
    place = find_output(output, read, resume, overwrite)
    sources.check_columns(chosen.columns(parts))
    loading = {"model": model, "device": device, "precision": precision, "revision": revision}
    pictures = not (json or output) and sys.stdout.isatty()
    job = Job(chosen, task, loading, sources, parts, given, batch_size, strict, pictures)
    raise typer.Exit(job.run(place, resume))


def known_task(name: str) -> CommandTask:
    """The task called `name`; a usage error with the nearest names where there is none."""
    if task := find_task(name):
        return task
    names = [each for task in TASKS for each in (task.name, task.alias) if each]
    near = [each for each in names if name and each.startswith(name)] or get_close_matches(name[:99], names, n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names)}"
    raise typer.BadParameter(f"no task {shown(name)}; {hint}", param_hint="TASK")


def checked_size(size: Any) -> int | None:
    """`batch_size`, which --set can give as well."""
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
        raise typer.BadParameter(
            f"batch_size is {shown(size)}; it must be a whole number from 1 on", param_hint="--set"
        )
    return size


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


def check_context(task: CommandTask, sources: Sources, given: Given) -> None:
    """A usage error where questions come alone, and no --context says what to look in."""
    alone = sources.texts or given.question is not None
    for file in sources.files:
        alone = alone or file == STANDARD_INPUT or (sources.form or form_of(file)[0]) == "txt"
    if task.columns is question_columns and given.context is None and alone:
        raise typer.BadParameter("a question needs a passage: TEXT or @FILE", param_hint="--context")
