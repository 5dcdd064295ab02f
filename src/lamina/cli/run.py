"""`lamina run`: texts in, answers out; what a stopped run has left to do, and what is said at the end."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.text import Text

from ..errors import InputError, LaminaError
from ..files.formats import NAMES as FORMS
from ..files.formats import form_of
from ..files.shown import visible
from .inputs import FILE_KINDS, STANDARD_INPUT, Sources, find_sources
from .options import (
    LOADING,
    beginning,
    in_our_words,
    known_name,
    load,
    model_name,
    option,
    our_words,
    read_settings,
    setting,
    spelled,
    spelling,
    switch,
    text_or_file,
    with_options,
)
from .output import WRITERS, Output, Record, filled, find_output, input_fits, json_line
from .tasks import NAMES, OPTIONS, TASKS, Asked, CommandTask, Given, find_task

SOME_FAILED = 3  # the status where some rows have an error
LONGEST_SAID = 300  # characters of an error that the last line repeats
TASK_HELP = "What to do: " + ", ".join(task.name for task in TASKS)
ADVICE = "--overwrite begins anew, or name another --output"


@with_options(
    option("model", str, "A folder, a name on the Hub, or builtin; left out, the task's default.", "-m"),
    option("file", list[str], f"More texts: {FILE_KINDS}; -: standard input.", "-f", metavar="FILE"),
    option("form", str, f"Of files and standard input: {', '.join(FORMS)}; else by the ending.", "--format"),
    option("output", Path, f"Write to this new file; its ending says how: {', '.join(WRITERS)}.", "-o"),
    switch("resume", "Go on after the rows that --output already holds."),
    switch("overwrite", "Replace --output, if it is there, once the new rows are."),
    switch("strict", "Stop at the first row that cannot be answered, with status 1."),
    switch("json", "JSON lines, as a pipe gets them anyway."),
    option("batch_size", int, "Most texts in one pass of the model.", min=1),
    *LOADING,
    setting("Any other option of the task's pipeline, such as num_beams=4."),
    *OPTIONS,
)
def run(
    task: Annotated[str, typer.Argument(metavar="TASK", help=TASK_HELP, autocompletion=beginning(NAMES))],
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="Texts; without any, lines of standard input.")
    ] = None,
    **said: Any,
) -> None:
    """Run a TASK on TEXTs.

    A terminal gets a picture, a pipe or file JSON lines: {"input": ..., "output": ...}, in input order. A row that
    cannot be answered has "error" in place of "output", with its file and line. Status: 0 all is answered, 1 the run
    failed, 2 wrong usage, 3 some rows have an error.
    """
    chosen = find_task(task) or find_task(known_name(task, NAMES, "TASK"))
    assert chosen is not None
    files, context = said["file"] or [], said["context"]
    named = {name: value for name, value in said.items() if value is not None and value is not False}
    settings = read_settings(said["setting"] or [], {name: spelled(name) for name in named})
    batch_size = settings.pop("batch_size", said["batch_size"])
    given = check_options(chosen, {each.name: named[each.name] for each in OPTIONS if each.name in named})
    sources = find_sources(texts or [], files, said["form"], asked=said["question"] is not None)
    parts = Given(**{each.name: given.pop(each.name, None) for each in fields(Given)})
    check_context(chosen, sources, parts)
    model = model_name(said["model"], task)
    read = [*sources.paths, *map(Path, files), *model_files(model)]
    read += [Path(context[1:])] if context and context.startswith("@") else []
    place = find_output(said["output"], read, said["resume"], said["overwrite"])
    sources.check_columns(chosen.columns(parts))
    loading = {"model": model, **{each.name: said[each.name] for each in LOADING}}
    pictures = not (said["json"] or said["output"]) and sys.stdout.isatty()
    job = Job(chosen, task, loading, sources, parts, {**given, **settings}, batch_size, place, said["strict"], pictures)
    raise typer.Exit(job.run(said["resume"]))


def check_options(task: CommandTask, given: dict[str, Any]) -> dict[str, Any]:
    """What was given, as the pipeline wants it; a usage error for an option of another task or a missing one."""
    known = task.options
    for name in given:
        if name not in known:
            raise typer.BadParameter(f"{task.name} has no such option", param_hint=spelled(name))
    for name in task.required:
        if name not in given:
            raise typer.BadParameter(f"{task.name} needs it", param_hint=spelled(name))
    if "context" in given:
        given["context"] = text_or_file(given["context"])
    if given.get("top_k") == 0:
        given["top_k"] = None
    if "chunk" in given:
        given["chunk"] = "sentences"
    if "targets" in given:
        given["targets"] = given["targets"].split(",")
    if "aggregation_strategy" in known:
        given.setdefault("aggregation_strategy", "simple")
    return given


def check_context(task: CommandTask, sources: Sources, given: Given) -> None:
    """A usage error where questions come alone, and no --context says what to look in."""
    alone = sources.texts or given.question is not None
    for file in sources.files:
        alone = alone or file == STANDARD_INPUT or (sources.form or form_of(file)[0]) == "txt"
    if "context" in task.parts and given.context is None and alone:
        raise typer.BadParameter("a question needs a passage: TEXT or @FILE", param_hint="--context")


class Answered(NamedTuple):
    """A row with its answer, or with what is wrong with it."""

    asked: Asked
    output: Any = None
    error: str | None = None


@dataclass
class Job:
    """What is to be done: `task`, under the name `called`, with `settings` for each call of its pipeline."""

    task: CommandTask
    called: str
    loading: Mapping[str, Any]
    sources: Sources
    given: Given
    settings: Mapping[str, Any]
    batch_size: int | None
    place: Output | None = None
    strict: bool = False
    pictures: bool = False
    written: int = 0  # rows
    wrong: int = 0  # rows with an error
    said: str = ""  # of the first of them

    def run(self, resume: bool) -> int:
        """Answer what is left and write it; the exit status."""
        asked: Iterable[Asked] = self.task.inputs(self.sources.rows(), self.given)
        place, record = self.place, self.record() if self.place else {}
        if place and resume:
            whole = place.finished
            asked, self.wrong = skip_finished(place, iter(asked), record)
            self.written = place.written
            if whole:
                print(
                    f"{place.shown} has a row for every input: nothing is left to do. What model and options it was "
                    "made with is no longer on record; --overwrite makes it anew",
                    file=sys.stderr,
                )
                return SOME_FAILED if self.wrong else 0
        try:
            self.write(self.answered(asked) if asked else iter(()), record)
        finally:
            if place:
                place.close()
        return self.close()

    def record(self) -> Record:
        """All that rows follow from. Files are read through once for their digests, some seconds for a gigabyte."""
        given = {name: value for name, value in vars(self.given).items() if value is not None}
        loading = {name: self.loading[name] for name in ("precision", "revision") if self.loading[name]}
        files = model_files(self.loading["model"])
        return {
            "task": self.called,
            "model": self.loading["model"],
            "files of the model": [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files],
            "options": json.loads(json.dumps({**self.settings, **given, **loading}, default=str)),
            "texts": hashlib.sha256(json.dumps(self.sources.texts).encode()).hexdigest(),
            "files": [file_digest(file) for file in self.sources.paths],
        }

    def answered(self, asked: Iterable[Asked]) -> Iterator[Answered]:
        """Every row with its answer; with `strict` InputError at the first that has none."""
        from ..pipelines.base import BATCH_SIZE

        pipe = load(self.task.options, self.called, **self.loading)
        with our_words(self.task.options, pipe):
            batch_size = BATCH_SIZE.checked(self.called, "batch_size", self.batch_size)
            pipe.resolve_options(self.settings)
        if STANDARD_INPUT in self.sources.files and sys.stdin.isatty():
            batch_size = 1
        for found in answers(pipe, self.task, asked, self.settings, batch_size):
            if self.strict and found.error is not None:
                raise InputError(f"{found.asked.place}: {found.error}")
            yield found

    def write(self, answered: Iterator[Answered], record: Record) -> None:
        """Write every row as soon as it is known; a progress bar where the rows go elsewhere."""
        from ..inference.batching import track

        first = list(islice(answered, 1))  # nothing is touched before there is an answer
        if self.place:
            self.place.begin(record)
        rows: Iterable[Answered] = chain(first, answered)
        if self.place or not sys.stdout.isatty():
            rows = track(rows, self.sources.count(), "texts", self.written)
        console = Console(highlight=False)
        for found in rows:
            line, found = self.line(found)
            if found.error is not None:
                self.wrong += 1
                self.said = self.said or f"{found.asked.place}: {found.error}"
            if self.place:
                self.place.write(line)
            elif not self.pictures:
                print(line, flush=True)
            elif found.error is not None:
                console.print(Text(visible(f"{found.asked.place}: {found.error}"), style="red"))
            else:
                console.print(self.task.show(found.asked.item, found.output))
            self.written += 1
        if self.place:
            self.place.finish()

    def line(self, found: Answered) -> tuple[str, Answered]:
        """The JSON of a row, and the row; an answer that JSON cannot hold is an error."""
        if found.error is None:
            try:
                return json_line({"input": found.asked.row, "output": found.output}), found
            except ValueError:
                found = found._replace(output=None, error="the model answers with NaN or an infinite number")
        return json_line({"input": found.asked.row, "error": f"{found.asked.place}: {found.error}"}), found

    def close(self) -> int:
        """Say how many rows went where and how many have an error; the exit status."""
        failed = f", {self.wrong} with an error" if self.wrong else ""
        if self.said:
            said = visible(" ".join(self.said.split()))
            failed += f" ({said if len(said) <= LONGEST_SAID else said[:LONGEST_SAID] + '...'})"
        rows = f"{self.written} row{'' if self.written == 1 else 's'}"
        if self.place:
            print(f"{rows} -> {self.place.shown}{failed}", file=sys.stderr)
        elif failed:
            print(f"lamina: {rows}{failed}", file=sys.stderr)
        return SOME_FAILED if self.wrong else 0


def answers(
    pipe: Any, task: CommandTask, asked: Iterable[Asked], settings: Mapping[str, Any], batch_size: int | None
) -> Iterator[Answered]:
    """Each row and its answer, as they come; a row that cannot be answered costs its neighbours nothing."""
    from ..inference.batching import runs

    for run in runs(asked, batch_size or pipe.at_once, batch_size or 1):
        fine = [each.item for each in run if each.error is None]
        found = answers_to(pipe, task, fine, {"batch_size": batch_size, **settings})
        for each in run:
            yield Answered(each, error=each.error) if each.error is not None else Answered(each, *next(found))


class _Several:
    """Inputs whose answers come as a stream, so that no bar is drawn for them, but which are looked at together."""

    def __init__(self, items: Sequence[Any]):
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)


def answers_to(
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
            yield from answers_to(pipe, task, items[:half], settings)
            yield from answers_to(pipe, task, items[half:], settings)
        else:
            yield None, in_our_words(error, spelling(task.options, pipe)).removeprefix("input 0: ")
    else:
        yield from ((answer, None) for answer in found)


def model_files(model: str | None) -> list[Path]:
    """The files of a model's folder and of those in it, such as 1_Pooling; none for a name on the Hub."""
    folder = Path(model) if model else None
    found = [*folder.glob("*"), *folder.glob("*/*")] if folder and folder.is_dir() else []
    return sorted(path for path in found if path.is_file())


def file_digest(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as opened:
            while part := opened.read(2**20):
                digest.update(part)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    return digest.hexdigest()


def skip_finished(output: Output, asked: Iterator[Asked], record: Record) -> tuple[Iterable[Asked], int]:
    """The rows that a stopped run has left to do, if any, and how many of the finished ones have an error.

    Raises InputError, and changes nothing, where those that are there were made from something else: by the note, and
    by what each row says of its input. Without a note a file is taken for a whole one, which nothing may be left of.
    """
    noted, wrong = output.note.exists(), 0
    if noted and filled(output.journal):
        check_note(output, record)
    for row, end in output.rows():
        given = next(asked, None)
        written = None if given is None else json.loads(json_line({"input": given.row}))["input"]
        if given is None or not (row["input"] == written if end else input_fits(row, written)):
            there = "there is no such input" if given is None else f"the input {given.place} is another"
            raise InputError(f"{output.shown}, row {output.written + 1}: {there}; {ADVICE}")
        output.written, output.whole = output.written + 1, end
        wrong += row.get("error") not in (None, "")
    left = next(asked, None)
    if (output.seen or output.written) and not noted and (left is not None or output.whole < output.seen):
        note = f"{output.note}, which says what such a file is made from, is not there"
        raise InputError(f"{output.shown} is not whole, and {note}; {ADVICE}")
    return (() if left is None else chain([left], asked)), wrong


def check_note(output: Output, record: Record) -> None:
    """Refuses rows that were made from something else."""
    try:
        known = json.loads(output.note.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise InputError(
            f"{output.note}, which says what {output.shown} was made from, cannot be read; {ADVICE}"
        ) from None
    for name, value in record.items():
        if not isinstance(known, dict) or known.get(name) != value:
            raise InputError(f"{output.shown} was begun with other {name}; {ADVICE}")
