"""Where the texts of `lamina run` come from: arguments, files, standard input, or a person typing."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import typer

from ..errors import InputError
from ..files.formats import find_files
from ..files.shown import few, shown
from ..files.tables import open_rows, stream_rows
from .options import spelled

FILE_KINDS = (
    ".txt, .jsonl, .json, .csv, .tsv, .parquet, .arrow, or .gz, .bz2, .zst of text; a folder or pattern of them"
)
LOOKED_AT = 100  # rows of a file without a header, to find a column in
STANDARD_INPUT = "-"


class Read(NamedTuple):
    """One input as it was read: where from, a string or a dictionary of columns, and what is wrong with it."""

    place: str
    value: Any
    error: str | None = None


@dataclass(frozen=True)
class Sources:
    """The inputs of one run, in their order: texts, then files, where STANDARD_INPUT is one; checked, not yet read."""

    texts: Sequence[str] = ()
    files: Sequence[Path | str] = ()
    form: str | None = None

    def rows(self) -> Iterator[Read]:
        """All of them, one by one; a place is `FILE:LINE`, counted in the whole file."""
        for number, text in enumerate(self.texts, 1):
            yield _text(f"text {number}", text)
        for file in self.files:
            if isinstance(file, Path):
                name, rows = str(file), iter(open_rows(file, InputError, self.form))
            elif sys.stdin.isatty() and self.form is None:
                yield from (_text(f"standard input:{number}", line) for number, line in enumerate(typed_lines(), 1))
                continue
            else:
                name = "standard input"
                rows = iter(stream_rows(sys.stdin.buffer, name, InputError, self.form or "txt"))
            for row in rows:
                yield Read(f"{name}:{row.number}", row.value, row.error)

    @property
    def paths(self) -> list[Path]:
        return [file for file in self.files if isinstance(file, Path)]

    def count(self) -> int | None:
        """How many rows there will be, for the progress bar; None where nobody would see it or nobody can know."""
        if not self.files or len(self.paths) < len(self.files) or not sys.stderr.isatty():
            return None
        return sum(1 for _ in self.rows())

    def check_columns(self, wanted: Mapping[str, str]) -> None:
        """Refuse a file that has columns, but not those of `wanted`: by the options that choose them, their names."""
        for file in self.paths:
            rows = open_rows(file, InputError, self.form)
            columns = rows.columns
            if columns is None:
                found = [value for _, value, wrong in islice(rows, LOOKED_AT) if not wrong]
                every = [set(value) if isinstance(value, dict) else set(list(wanted.values())[:1]) for value in found]
                columns = list(dict.fromkeys(name for value in found if isinstance(value, dict) for name in value))
                lacking = [option for option in wanted if found and not any(wanted[option] in each for each in every)]
            else:
                lacking = [option for option in wanted if columns and wanted[option] not in columns]
            rows.close()
            if lacking:
                raise InputError(f"{file}: {missing(wanted[lacking[0]], spelled(lacking[0]), columns)}")


def missing(name: str, option: str, columns: Sequence[str]) -> str:
    """What to say where there is no column `name`."""
    there = ", ".join(map(shown, columns[:20])) or "nothing"
    return f"there is no {shown(name)}, only {there}; {option} names the column"


def _text(place: str, text: str) -> Read:
    """A text as the shell gave it, or a person typed it; its bytes may be UTF-8 although the locale is not."""
    data = text.encode(errors="surrogateescape")
    try:
        return Read(place, data.decode())
    except UnicodeDecodeError:
        return Read(place, data.decode(errors="backslashreplace"), "not UTF-8")


def find_sources(
    texts: Sequence[str], files: Sequence[str], form: str | None = None, asked: bool = False, hint: str = "--file"
) -> Sources:
    """The inputs that the arguments name, usage errors for files that are not there.

    Without any, standard input, unless something was `asked` otherwise.
    """
    found: list[Path | str] = []
    for each in files:
        if each == STANDARD_INPUT:
            if each in found:
                raise typer.BadParameter("standard input can be read only once", param_hint=hint)
            found.append(each)
            continue
        if not os.path.exists(each) and not any(mark in each for mark in "*?["):
            raise typer.BadParameter(f"there is no {each}", param_hint=hint)
        try:
            paths, left_out = find_files(each, form)
        except InputError as error:
            advice = str(error).replace("name its format", "give --format")
            raise typer.BadParameter(advice, param_hint=hint) from None
        if paths != [Path(each)]:
            rest = f"; left out: {few(map(str, left_out), 5)}" if left_out else ""
            count = "1 file" if len(paths) == 1 else f"{len(paths)} files"
            print(f"{each}: {count}, in this order: {few(map(str, paths), 5)}{rest}", file=sys.stderr)
        found += paths
    if not texts and not files and not asked:
        found.append(STANDARD_INPUT)
    for text in texts:
        if os.path.isfile(text):
            print(f"{text} is a file, but taken as a text: give -f {text} to read it", file=sys.stderr)
    return Sources(tuple(texts), tuple(found), form)


def typed_lines() -> Iterator[str]:
    """Lines a person types after a prompt, until Ctrl-D."""
    print("Type a text and press Enter; Ctrl-D ends.", file=sys.stderr)
    while True:
        print("› ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            print(file=sys.stderr)
            return
        if line.strip():
            yield line.rstrip("\n")
