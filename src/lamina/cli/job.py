"""One run of `lamina run`: what is left to do, the pipeline that does it, and what is said at its end."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from rich.console import Console
from rich.text import Text

from ..errors import InputError, LaminaError
from ..files.shown import visible
from .asking import Answered, answers, in_our_words, load, spelling
from .inputs import STANDARD_INPUT, Sources
from .output import Output, Record, Standard, json_line
from .resuming import check_whole, describe_run, skip_finished
from .tasks import Asked, CommandTask, Given

SOME_FAILED = 3  # the status where some rows have an error
LONGEST_SAID = 300  # characters of an error that the last line repeats


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
        """What the rows follow from."""
        given = {name: value for name, value in vars(self.given).items() if value is not None}
        loading = {name: self.loading[name] for name in ("precision", "revision") if self.loading[name]}
        options = {**self.settings, **given, **loading}
        return describe_run(self.called, self.loading["model"], options, self.sources.texts, self.sources.paths)

    def answered(self, asked: Iterable[Asked]) -> Iterator[Answered]:
        """Every row with its answer; with `strict` InputError at the first that has none."""
        pipe = load(self.task, self.called, **self.loading)
        settings, batch_size = self.settings, self.batch_size
        try:
            pipe.resolve_options(settings)
        except LaminaError as error:
            raise InputError(in_our_words(error, spelling(self.task, pipe))) from None
        if STANDARD_INPUT in self.sources.files and sys.stdin.isatty():
            batch_size = 1
        for found in answers(pipe, self.task, asked, settings, batch_size):
            if self.strict and found.error is not None:
                raise InputError(f"{found.asked.place}: {found.error}")
            yield found

    def write(self, answered: Iterator[Answered], place: Output | Standard, record: Record) -> None:
        """Write every row as soon as it is known; a progress bar where the rows go elsewhere."""
        from ..pipelines.base import track

        first = list(next_one(answered))  # nothing is touched before there is an answer
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


def next_one(rows: Iterator[Answered]) -> Iterator[Answered]:
    """The next row, where there is one."""
    for row in rows:
        yield row
        return
