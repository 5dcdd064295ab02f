"""`lamina run`: texts in, answers out; what a stopped run has left to do, and what is said at the end."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.text import Text

from ..errors import InputError, LaminaError
from ..files.formats import NAMES as FORMS
from ..files.formats import form_of
from ..files.shown import shown, visible
from ..files.tables import open_rows
from .inputs import FILE_KINDS, STANDARD_INPUT, Sources, find_sources
from .options import (
    LOADING,
    beginning,
    in_our_words,
    known_name,
    load,
    model_name,
    option,
    read_settings,
    setting,
    spelled,
    spelling,
    switch,
    text_or_file,
    with_options,
)
from .output import WRITERS, Output, Record, Standard, filled, find_output, input_fits, json_line, rows_of
from .tasks import NAMES, OPTIONS, TASKS, Asked, CommandTask, Given, find_task, question_columns

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
    values = {each.name: said[each.name] for each in OPTIONS}
    given = check_options(
        chosen, {name: value for name, value in values.items() if value is not None and value is not False}
    )
    batch_size, files, context = said["batch_size"], said["file"] or [], said["context"]
    taken = {name: spelled(name) for name in [*given, *(["batch_size"] if batch_size else [])]}
    settings = read_settings(said["setting"] or [], taken)
    batch_size = checked_size(settings.pop("batch_size", batch_size))
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
    job = Job(chosen, task, loading, sources, parts, {**given, **settings}, batch_size, said["strict"], pictures)
    raise typer.Exit(job.run(place, said["resume"]))


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
    if "context" in given:
        given["context"] = text_or_file(given["context"])
    if given.get("top_k") == 0:
        given["top_k"] = None
    if "chunk" in given:
        given["chunk"] = "sentences"
    if "targets" in given:
        given["targets"] = given["targets"].split(",")
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
    strict: bool = False
    pictures: bool = False
    wrong: int = 0  # rows with an error
    said: str = ""  # of the first of them

    def run(self, place: Output | Standard, resume: bool) -> int:
        """Answer what is left and write it to `place`; the exit status."""
        asked: Iterable[Asked] = self.task.inputs(self.sources.rows(), self.given)
        record = self.record() if isinstance(place, Output) else {}
        if isinstance(place, Output) and resume:
            whole = place.finished
            if place.direct or not whole:
                asked, self.wrong = skip_finished(place, iter(asked), record)
            else:
                self.wrong = check_whole(place, iter(asked))
            if whole:
                print(
                    f"{place.shown} has a row for every input: nothing is left to do. What model and options it was "
                    "made with is no longer on record; --overwrite makes it anew",
                    file=sys.stderr,
                )
                return SOME_FAILED if self.wrong else 0
        try:
            self.write(self.answered(asked) if asked else iter(()), place, record)
        finally:
            place.close()
        return self.close(place)

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
        pipe = load(self.task.options, self.called, **self.loading)
        try:
            pipe.resolve_options(self.settings)
        except LaminaError as error:
            raise InputError(in_our_words(error, spelling(self.task.options, pipe))) from None
        batch_size = 1 if STANDARD_INPUT in self.sources.files and sys.stdin.isatty() else self.batch_size
        for found in answers(pipe, self.task, asked, self.settings, batch_size):
            if self.strict and found.error is not None:
                raise InputError(f"{found.asked.place}: {found.error}")
            yield found

    def write(self, answered: Iterator[Answered], place: Output | Standard, record: Record) -> None:
        """Write every row as soon as it is known; a progress bar where the rows go elsewhere."""
        from ..pipelines.base import track

        first = list(islice(answered, 1))  # nothing is touched before there is an answer
        place.begin(record)
        rows: Iterable[Answered] = chain(first, answered)
        if isinstance(place, Output) or not sys.stdout.isatty():
            rows = track(rows, self.sources.count(), "texts", place.written)
        console = Console(highlight=False)
        for found in rows:
            line, found = self.line(found)
            if found.error is not None:
                self.wrong += 1
                self.said = self.said or f"{found.asked.place}: {found.error}"
            if not self.pictures:
                place.write(line)
                continue
            place.written += 1
            if found.error is not None:
                console.print(Text(visible(f"{found.asked.place}: {found.error}"), style="red"))
            else:
                console.print(self.task.show(found.asked.item, found.output))
        place.finish()

    def line(self, found: Answered) -> tuple[str, Answered]:
        """The JSON of a row, and the row; an answer that JSON cannot hold is an error."""
        if found.error is None:
            try:
                return json_line({"input": found.asked.row, "output": found.output}), found
            except ValueError:
                found = found._replace(output=None, error="the model answers with NaN or an infinite number")
        return json_line({"input": found.asked.row, "error": f"{found.asked.place}: {found.error}"}), found

    def close(self, place: Output | Standard) -> int:
        """Say how many rows went where and how many have an error; the exit status."""
        failed = f", {self.wrong} with an error" if self.wrong else ""
        if self.said:
            said = visible(" ".join(self.said.split()))
            failed += f" ({said if len(said) <= LONGEST_SAID else said[:LONGEST_SAID] + '...'})"
        rows = f"{place.written} row{'' if place.written == 1 else 's'}"
        if isinstance(place, Output):
            print(f"{rows} -> {place.shown}{failed}", file=sys.stderr)
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


def as_written(asked: Asked) -> Any:
    """The input of a row as its output holds it."""
    return json.loads(json_line({"input": asked.row}))["input"]


def skip_finished(output: Output, asked: Iterator[Asked], record: Record) -> tuple[Iterable[Asked], int]:
    """The rows that a stopped run has left to do, if any, and how many of the finished ones have an error.

    Raises InputError, and changes nothing, where those that are there were made from something else: by the note, and
    by what each row says of its input. Without a note a file is taken for a whole one, which nothing may be left of.
    """
    if filled(output.journal) and output.note.exists():
        check_note(output, record)
    wrong = 0
    for row, end in rows_of(output.journal) if output.seen else ():
        given = next(asked, None)
        if given is None or as_written(given) != row["input"]:
            raise another(output, output.written + 1, given)
        output.written, output.whole = output.written + 1, end
        wrong += "error" in row
    left = next(asked, None)
    if output.seen and not output.note.exists() and (left is not None or output.whole < output.seen):
        raise InputError(
            f"{output.shown} is not whole, and {output.note}, which says what such a file is made from, is not there; "
            + ADVICE
        )
    return (() if left is None else chain([left], asked)), wrong


def check_whole(output: Output, asked: Iterator[Asked]) -> int:
    """How many rows of a whole table have an error; InputError where they were made from other inputs than these."""
    wrong = 0
    for number, (found, given) in enumerate(zip_longest(open_rows(output.path, InputError), asked), 1):
        if found is None or given is None or not (found.error or input_fits(found.value, as_written(given))):
            raise another(output, number, given)
        wrong += isinstance(found.value, dict) and found.value.get("error") not in (None, "")
    return wrong


def another(output: Output, number: int, given: Asked | None) -> InputError:
    there = "there is no such input" if given is None else f"the input {given.place} is another"
    return InputError(f"{output.shown}, row {number}: {there}; {ADVICE}")


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
