"""Where the texts of `lamina run` come from: arguments, files, standard input, or a person typing."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import typer

from ..errors import InputError

FILE_KINDS = "one text a line, .jsonl with one object or string a line, or .csv and .tsv with a header"


def read_texts(texts: Sequence[str], files: Sequence[Path]) -> Iterator[Any]:
    """Texts as given, then the rows of every file: strings, or dictionaries where a file has columns."""
    yield from texts
    for file in files:
        yield from read_file(file)


def read_standard_input() -> Iterator[str]:
    """Lines that another program or a person hands over."""
    return typed_lines() if sys.stdin.isatty() else read_lines(sys.stdin.buffer, "standard input")


def read_file(path: Path) -> Iterator[Any]:
    """The texts, or rows with columns, that a file holds; its ending says which."""
    kind = path.suffix.lower()
    if kind in (".csv", ".tsv"):
        yield from read_table(path, "," if kind == ".csv" else "\t")
        return
    with path.open("rb") as opened:
        lines = read_lines(opened, str(path))
        yield from read_json_lines(lines, path) if kind in (".jsonl", ".ndjson") else lines


def read_lines(opened: Iterable[bytes], name: str) -> Iterator[str]:
    """Lines without their ends; empty ones are left out, since they ask nothing."""
    for number, line in enumerate(opened, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise InputError(f"{name}, line {number}: not UTF-8 ({error.reason}); convert it first") from None
        if text.strip():
            yield text


def read_table(path: Path, delimiter: str) -> Iterator[dict[str, Any]]:
    """Rows under the names that the first line gives."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as opened:
            yield from csv.DictReader(opened, delimiter=delimiter)
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a table ({error})") from None


def read_json_lines(lines: Iterable[str], path: Path) -> Iterator[Any]:
    """The value of every line."""
    for number, line in enumerate(lines, 1):
        try:
            yield json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}, row {number}: not JSON ({error.msg})") from None


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


def count_rows(texts: Sequence[str], files: Sequence[Path]) -> int | None:
    """How many rows there will be, for the progress bar; None where nobody would see it or nobody can know."""
    if not files or not sys.stderr.isatty():
        return None
    return sum(1 for _ in read_texts(texts, files))


def read_settings(pairs: Sequence[str]) -> dict[str, Any]:
    """The values of `--set NAME=VALUE`: JSON where it is, else text."""
    settings: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise typer.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--set")
        try:
            settings[name] = json.loads(value)
        except json.JSONDecodeError:
            settings[name] = value
    return settings


def text_or_file(value: str | None) -> str | None:
    """An option's text, read from FILE where it is written `@FILE`."""
    if value is None or not value.startswith("@"):
        return value
    try:
        return Path(value[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{value[1:]}: cannot be read as text ({error})") from None
