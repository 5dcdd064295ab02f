"""Where the texts of `lamina run` come from: arguments, files, standard input, or a person typing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, NamedTuple

import typer

from ..errors import InputError
from ..files.formats import find_files
from ..files.shown import cause, few, shown
from ..files.tables import LONGEST, open_rows, stream_rows

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
            yield _argument(number, text)
        for file in self.files:
            for number, value, wrong in self._opened(file):
                yield Read(f"{_name(file)}:{number}", value, wrong)

    def _opened(self, file: Path | str) -> Any:
        if isinstance(file, Path):
            return open_rows(file, InputError, self.form)
        if sys.stdin.isatty() and self.form is None:
            return ((number, *_argument(number, line)[1:]) for number, line in enumerate(typed_lines(), 1))
        return stream_rows(sys.stdin.buffer, "standard input", InputError, self.form or "txt")

    @property
    def paths(self) -> list[Path]:
        """The files among them."""
        return [file for file in self.files if isinstance(file, Path)]

    def count(self) -> int | None:
        """How many rows there will be, for the progress bar; None where nobody would see it or nobody can know."""
        if not self.files or len(self.paths) < len(self.files) or not sys.stderr.isatty():
            return None
        return sum(1 for _ in self.rows())

    def check_columns(self, wanted: Sequence[tuple[str, str]]) -> None:
        """Refuse a file that has columns, but not those of `wanted`: their names, and the options that choose them."""
        for file in self.paths:
            rows = open_rows(file, InputError, self.form)
            columns = rows.columns
            if columns is None:
                found = [value for _, value, wrong in islice(rows, LOOKED_AT) if not wrong]
                every = [set(value) if isinstance(value, dict) else {name for name, _ in wanted[:1]} for value in found]
                columns = list(dict.fromkeys(name for value in found if isinstance(value, dict) for name in value))
                lacking = [pair for pair in wanted if found and not any(pair[0] in each for each in every)]
            else:
                lacking = [pair for pair in wanted if columns and pair[0] not in columns]
            rows.close()
            if lacking:
                raise InputError(f"{file}: {missing(*lacking[0], columns)}")


def missing(name: str, option: str, columns: Sequence[str]) -> str:
    """What to say where there is no column `name`."""
    return (
        f"there is no {shown(name)}, only {', '.join(map(shown, columns[:20])) or 'nothing'}; {option} names the column"
    )


def _argument(number: int, text: str) -> Read:
    """A text as the shell gave it, or a person typed it; its bytes may be UTF-8 although the locale is not."""
    place, data = f"text {number}", text.encode(errors="surrogateescape")
    try:
        return Read(place, data.decode())
    except UnicodeDecodeError:
        return Read(place, data.decode(errors="backslashreplace"), "not UTF-8")


def _name(file: Path | str) -> str:
    return str(file) if isinstance(file, Path) else "standard input"


def find_sources(texts: Sequence[str], files: Sequence[str], form: str | None, asked: bool = False) -> Sources:
    """The inputs that the arguments name, usage errors for files that are not there.

    Without any, standard input, unless something was `asked` otherwise.
    """
    found: list[Path | str] = []
    for each in files:
        if each == STANDARD_INPUT:
            if each in found:
                raise typer.BadParameter("standard input can be read only once", param_hint="--file")
            found.append(each)
            continue
        if not os.path.exists(each) and not any(mark in each for mark in "*?["):
            raise typer.BadParameter(f"there is no {each}", param_hint="--file")
        try:
            paths, left_out = find_files(each, form)
        except InputError as error:
            advice = str(error).replace("name its format", "give --format")
            raise typer.BadParameter(advice, param_hint="--file") from None
        if paths != [Path(each)]:
            rest = f"; left out: {few(map(str, left_out), 5)}" if left_out else ""
            several, order = "" if len(paths) == 1 else "s", few(map(str, paths), 5)
            print(f"{each}: {len(paths)} file{several}, in this order: {order}{rest}", file=sys.stderr)
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


def read_settings(pairs: Sequence[str], taken: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    """The values of `--set NAME=VALUE`: JSON where it is, else text. `taken` has the names that an option gives."""
    settings: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise typer.BadParameter(f"{shown(pair)} is not NAME=VALUE", param_hint="--set")
        if name in settings or name in taken:
            raise typer.BadParameter(f"{name} is given by {taken.get(name, '--set')} already", param_hint="--set")
        try:
            settings[name] = json.loads(value)
        except (ValueError, RecursionError):
            settings[name] = value
    return settings


def text_or_file(value: str | None) -> str | None:
    """An option's text, read from FILE where it is written `@FILE`."""
    if value is None or not value.startswith("@"):
        return value
    if value == "@":
        raise InputError("there is no file name after @")
    try:
        with open(value[1:], "rb") as opened:
            return read_text(opened, value[1:])
    except (OSError, ValueError) as error:
        raise InputError(f"{value[1:]}: cannot be read ({cause(error)})") from None


def read_text(opened: BinaryIO, name: str) -> str:
    """All of a text in UTF-8, if it is one that a model could read; no more than so much is ever held."""
    try:
        data = opened.read(LONGEST + 1)
        if len(data) > LONGEST:
            raise InputError(f"{name}: more than {LONGEST:,} bytes, the most that is read of one text")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: not UTF-8 ({error.reason}); convert it first") from None
