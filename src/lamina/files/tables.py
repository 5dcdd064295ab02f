"""The one reader of data files: rows with the line they stand on, each either read or with a word on what is wrong.

CSV, TSV, JSON, JSON lines and text come line by line, compressed or not; Parquet and Arrow through pyarrow. Nothing is
converted: a cell of CSV is text, with its leading zeros. What is wrong with one row is that row's error, what is wrong
with the file is raised.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import re
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from ..errors import DataError, LaminaError
from .formats import known_form, signature
from .jsonfile import parse_json
from .shown import cause, shown

LONGEST = 1 << 24  # bytes of a line, characters of a field or of an element of JSON
WHOLE = 1 << 28  # bytes of a .json file that is one object, and so held in memory
EXCERPT = 1000  # characters that are kept of a line that cannot be read
SAMPLE = 100  # lines that a delimiter is found by
BATCH = 1024  # rows of Parquet and Arrow at a time
DELIMITERS = ",;\t|"


class Row(NamedTuple):
    """One row: its line, or its number where the format has no lines; a string or a dictionary of columns.

    Where `error` says what is wrong with it, `value` is what could be read of it.
    """

    number: int
    value: Any
    error: str | None = None


class Line(NamedTuple):
    """A line with its end, and what is wrong with its bytes."""

    number: int
    text: str
    error: str | None = None


class Rows:
    """The rows of one file, to be gone through once; `columns` are those that the file itself names, else None."""

    def __init__(self, name: str, found: Iterator[Any]):
        self.name = name
        self._found = found
        self._columns: Sequence[str] | None = None
        self._started = False

    @property
    def columns(self) -> Sequence[str] | None:
        """The names in a CSV's first line or in a schema; None for JSON and text."""
        if not self._started:
            self._started = True
            self._columns = next(self._found)
        return self._columns

    def __iter__(self) -> Iterator[Row]:
        _ = self.columns
        return self._found

    def close(self) -> None:
        self._found.close()  # type: ignore[attr-defined]


def open_rows(
    path: Path,
    error: type[LaminaError] = DataError,
    form: str | None = None,
    header: Sequence[str] | None = None,
) -> Rows:
    """The rows of a file whose ending, or `form`, says its format; `error` where it cannot be read.

    `header` names the columns of a CSV or TSV that does not.
    """
    form, compression = known_form(path, form, error)
    name = str(path)
    if form in ("parquet", "arrow"):
        if compression:
            raise error(f"{name}: {form} is compressed in itself; unpack the file")
        return Rows(name, _columnar(path, form, error))

    def opened() -> BinaryIO:
        return open_bytes(path, compression, error)

    if form == "json":
        return Rows(name, _json(opened, name, error))
    return Rows(name, _line_based(opened, name, form, error, header))


def stream_rows(opened: BinaryIO, name: str, error: type[LaminaError], form: str) -> Rows:
    """The rows of a stream that can be read once, such as standard input."""
    if form not in ("txt", "jsonl", "csv", "tsv"):
        raise error(f"{name} is read as txt, jsonl, csv or tsv, not as {form}; give a file")
    return Rows(name, _line_based(lambda: opened, name, form, error, None))


def open_lines(path: Path, error: type[LaminaError] = DataError) -> Iterator[Line]:
    """All lines of a text file, empty ones too, whatever its ending; compressed where that says so."""
    _, compression = known_form(path, "txt", error)
    return _lines(lambda: open_bytes(path, compression, error), str(path), error)


def open_bytes(path: Path, compression: str | None, error: type[LaminaError]) -> BinaryIO:
    """A file's content, unpacked; `error` where it is not compressed so, or cannot be opened."""
    with _reading(lambda: str(path), error):
        with path.open("rb") as opened:
            found = signature(opened.read(16))
        if compression is None:
            return path.open("rb")
        if found != compression:
            raise error(f"{path}: is not {compression}{f', but {found}' if found else ''}; its ending says it is")
        if compression == "gzip":
            return gzip.open(path, "rb")  # type: ignore[return-value]
        if compression == "bzip2":
            return bz2.open(path, "rb")  # type: ignore[return-value]
        return io.BufferedReader(_pyarrow(path, error).input_stream(str(path), compression="zstd"))


@contextmanager
def _reading(place: Callable[[], str], error: type[LaminaError]) -> Iterator[None]:
    """`error`, with the place, for what goes wrong in reading and unpacking."""
    try:
        yield
    except LaminaError:
        raise
    except (OSError, EOFError, zlib.error) as problem:
        raise error(f"{place()}: cannot be read ({getattr(problem, 'strerror', None) or problem})") from None


def _pyarrow(path: Path, error: type[LaminaError]) -> Any:
    try:
        import pyarrow
    except ImportError:
        raise error(f"{path}: reading it needs pyarrow; install it with `pip install pyarrow`") from None
    return pyarrow


def _lines(opened: Callable[[], BinaryIO], name: str, error: type[LaminaError]) -> Generator[Line]:
    """Lines end at line feeds only: a quoted field may hold other marks that end a line."""
    number = 0
    with closing(opened()) as source, _reading(lambda: f"{name}, row {number + 1}", error):
        while piece := source.readline(LONGEST + 1):
            number += 1
            if number == 1:
                _refuse_binary(piece, name, error)
                piece = piece.removeprefix(b"\xef\xbb\xbf")
                if _ends_in_returns(piece):
                    raise error(f"{name}: its lines end in carriage returns alone; convert them to line feeds")
            overlong = len(piece) > LONGEST and not piece.endswith(b"\n")
            while overlong and (rest := source.readline(LONGEST)) and not rest.endswith(b"\n"):
                pass
            yield _line(number, piece, overlong)


def _ends_in_returns(piece: bytes) -> bool:
    """Whether a whole file, which has no line feed, has lines as old Macs wrote them; JSON takes them for spaces."""
    return b"\r" in piece.rstrip(b"\r\n") and piece[-1:] != b"\n" and piece.lstrip()[:1] not in (b"[", b"{")


def _refuse_binary(data: bytes, name: str, error: type[LaminaError]) -> None:
    if found := signature(data):
        advice = "convert it to UTF-8" if found.startswith("UTF-16") else "give it the ending of what it is"
        raise error(f"{name}: is {found}, not UTF-8 text; {advice}")


def _line(number: int, piece: bytes, overlong: bool) -> Line:
    if overlong:
        text = piece[:EXCERPT].decode("utf-8", "backslashreplace")
        return Line(number, text, f"the line is longer than {LONGEST:,} bytes, the most that is read")
    try:
        text = piece.decode("utf-8")
    except UnicodeDecodeError as problem:
        said = f"not UTF-8: the byte 0x{piece[problem.start]:02x} at {problem.start + 1} of the line; convert it first"
        return Line(number, piece.decode("utf-8", "backslashreplace"), said)
    return Line(number, text, f"the line holds a NUL character at {text.index(chr(0)) + 1}" if "\0" in text else None)


def _line_based(
    opened: Callable[[], BinaryIO], name: str, form: str, error: type[LaminaError], header: Sequence[str] | None
) -> Iterator[Any]:
    lines = _lines(opened, name, error)
    with closing(lines):
        if form in ("csv", "tsv"):
            yield from _delimited(lines, name, form, error, header)
            return
        yield None
        for line in lines:
            if form == "txt" or line.text.strip():  # every line of text is a row: answers stay beside their lines
                yield _bad(line) if line.error else (_text if form == "txt" else _json_line)(line)


def _bad(line: Line, error: str | None = None) -> Row:
    return Row(line.number, line.text.rstrip("\r\n")[:EXCERPT], error or line.error)


def _text(line: Line) -> Row:
    return Row(line.number, line.text.rstrip("\r\n"))


def _json_line(line: Line) -> Row:
    value, problem = _parsed(line.text)
    return _bad(line, problem) if problem else Row(line.number, value)


class _Malformed(LaminaError):
    """A piece of JSON that cannot be a row."""


def _parsed(text: str) -> tuple[Any, str | None]:
    """The row that JSON stands for, or what is wrong with it."""
    try:
        value = _flat(text) or parse_json(text, "", _Malformed)
    except _Malformed as problem:
        return None, _reason(str(problem))
    if not isinstance(value, dict | str):
        return None, f"must be an object with columns or a string, not {shown(value, 60)}"
    if "\\u" in text or not text.strip().isprintable():
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return None, "holds bytes that are not UTF-8, or half of a surrogate pair"
    return value, None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError
    return found


SIMPLE = (str, int, type(None))
PLAIN = json.JSONDecoder(object_pairs_hook=_unique)


def _flat(text: str) -> Any:
    """A row of texts and whole numbers, as most are, eight times as fast; None leaves it to the careful parser."""
    try:
        value = PLAIN.decode(text)
    except (ValueError, RecursionError):
        return None
    plain = isinstance(value, dict) and all(isinstance(each, SIMPLE) for each in value.values())
    return value if plain or isinstance(value, str) else None


def _reason(said: str) -> str:
    """What the parser of JSON said, without the place in the piece that it was given."""
    said = said.strip(": ")
    if said.startswith("nested"):
        return f"is {said}"
    plain = said.removeprefix("is not valid JSON: ")
    located = re.sub(r": line \d+ column (\d+) \(char \d+\)", r" at column \1", plain)
    return f"not JSON ({located})" if located != plain else f"cannot be read as JSON ({plain})"


def _json(opened: Callable[[], BinaryIO], name: str, error: type[LaminaError]) -> Iterator[Any]:
    """A .json file: a list of rows, rows line by line, or one object that holds them."""
    lines = _lines(opened, name, error)
    with closing(lines):
        full = (line for line in lines if line.text.strip())
        first, second = next(full, None), next(full, None)
    if first is None:
        yield None
    elif first.text.lstrip().startswith("["):
        yield None
        yield from _elements(opened, name, error)
    elif second is not None and first.error is None and _parsed(first.text)[1] is None:
        yield from _line_based(opened, name, "jsonl", error, None)
    else:
        yield None
        yield from _rows_of_object(whole_json(opened, name, error), name, error)


def read_json_file(path: Path, error: type[LaminaError] = DataError) -> Any:
    _, compression = known_form(path, "json", error)
    return whole_json(lambda: open_bytes(path, compression, error), str(path), error)


def whole_json(opened: Callable[[], BinaryIO], name: str, error: type[LaminaError]) -> Any:
    """The one value of a file that has to be held in memory."""
    with _reading(lambda: name, error), closing(opened()) as source:
        data = source.read(WHOLE + 1)
    if len(data) > WHOLE:
        raise error(f"{name}: one object of more than {WHOLE >> 20} MiB; write a row a line, as .jsonl")
    _refuse_binary(data[:16], name, error)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data[: problem.start].count(b"\n") + 1
        raise error(f"{name}, row {line}: not UTF-8 ({problem.reason}); convert it first") from None
    try:
        return parse_json(text, "", _Malformed)
    except _Malformed as problem:
        found = re.search(r"line (\d+) column", str(problem))
        place = f"{name}, row {found[1]}" if found and found[1] != "1" else name
        raise error(f"{place}: {_reason(str(problem))}") from None


def _rows_of_object(value: Any, name: str, error: type[LaminaError]) -> Iterator[Row]:
    """The rows of a list under `data`, of an object of columns, or of one object that is a row itself."""
    if not isinstance(value, dict):
        raise error(f"{name}: must hold a list of rows, an object of columns, or an object a line")
    rows: list[Any] = [value]
    inner = value.get("data")
    if isinstance(inner, list) and (len(value) == 1 or all(isinstance(row, dict) for row in inner)):
        rows = inner  # what stands beside objects is about the file; beside anything else it is a row's own columns
    elif value and all(isinstance(column, list) for column in value.values()):
        lengths = {column: len(cells) for column, cells in value.items()}
        if len(set(lengths.values())) > 1:
            raise error(f"{name}: the columns differ in length: {shown(lengths)}")
        rows = [dict(zip(value, cells, strict=True)) for cells in zip(*value.values(), strict=True)]
    for number, row in enumerate(rows, 1):
        fits = isinstance(row, dict | str)
        yield Row(number, row, None if fits else f"must be an object with columns or a string, not {shown(row, 60)}")


def _elements(opened: Callable[[], BinaryIO], name: str, error: type[LaminaError]) -> Iterator[Row]:
    """The elements of a list, one by one: no more than one is held."""
    number = 0
    with io.TextIOWrapper(opened(), encoding="utf-8-sig", errors="surrogateescape", newline="") as source:
        try:
            for number, text in enumerate(_pieces(source), 1):
                value, problem = _parsed(text)
                held = text[:EXCERPT].encode("utf-8", "backslashreplace").decode() if problem else value
                yield Row(number, held, problem)
        except RecursionError:
            raise error(f"{name}, row {number + 1}: is nested too deeply for a data file") from None
        except (OSError, EOFError, zlib.error, ValueError) as problem:
            if isinstance(problem, LaminaError):
                raise
            raise error(
                f"{name}, row {number + 1}: not JSON ({cause(problem)}); nothing after it can be read"
            ) from None


SPACE = re.compile(r"[ \t\r\n]*")
DECODER = json.JSONDecoder(parse_int=len, parse_float=len, parse_constant=len)  # only where values end is asked
PIECE = 1 << 13  # characters read at a time; more and more within one element


class _Text:
    """What has been read of a file and not yet taken."""

    def __init__(self, source: io.TextIOWrapper):
        self.source, self.held, self.size, self.ended = source, "", PIECE, False

    def more(self) -> None:
        piece = self.source.read(self.size)
        self.held, self.size, self.ended = self.held + piece, min(2 * self.size, LONGEST), not piece

    def mark(self) -> str:
        """Take the next character that is not a space; "" at the end."""
        while not (held := self.held.lstrip(" \t\r\n")) and not self.ended:
            self.more()
        self.held = held[1:]
        return held[:1]

    def element(self) -> str:
        """Take the text of the next value; ValueError where it is not JSON."""
        while True:
            try:
                start = SPACE.match(self.held).end()  # type: ignore[union-attr]
                end = DECODER.raw_decode(self.held, start)[1]
                if end < len(self.held) or self.ended:  # else it may be a number that goes on
                    break
            except json.JSONDecodeError as problem:
                if self.ended or len(self.held) > LONGEST:
                    raise ValueError(problem.msg) from None
            self.more()
        taken, self.held, self.size = self.held[start:end], self.held[end:], PIECE
        return taken


def _pieces(source: io.TextIOWrapper) -> Iterator[str]:
    """The text of each element of the list that `source` holds; ValueError where it is not one."""
    text = _Text(source)
    text.mark()  # the opening bracket
    if (found := text.mark()) != "]":
        text.held = found + text.held
    while found != "]":
        yield text.element()
        found = text.mark()
        if found not in (",", "]"):
            raise ValueError(f"{shown(found)} between two elements" if found else "the list has no end")
    if found := text.mark():
        raise ValueError(f"{shown(found)} after the end of the list")


class _Record(NamedTuple):
    number: int
    cells: list[str]
    error: str | None
    text: str


def _records(lines: Iterator[Line], delimiter: str, quoted: bool) -> Iterator[_Record]:
    """Records of delimited text. One that cannot be read is its first line alone: the next is read as if it were not.

    So that a quotation mark left open takes no more rows than its own.
    """
    csv.field_size_limit(LONGEST)
    waiting: deque[Line] = deque()
    taken: list[Line] = []

    def feed() -> Iterator[str]:
        while (line := waiting.popleft() if waiting else next(lines, None)) is not None:
            taken.append(line)
            yield line.text

    while True:
        try:
            for cells in _csv_reader(feed(), delimiter, quoted):
                first = taken[0]
                wrong = next((line.error for line in taken if line.error), None)
                text = first.text if len(taken) == 1 else ""
                taken.clear()
                if cells or wrong:
                    yield _Record(first.number, cells, wrong, text)
            return
        except csv.Error as problem:
            first, *others = taken
            taken.clear()
            waiting.extendleft(reversed(others))
            hint = "; is a quotation mark left open there?" if quoted else ""
            yield _Record(first.number, [], f"cannot be read as a table ({cause(problem)}){hint}", first.text)


def _csv_reader(lines: Iterable[str], delimiter: str, quoted: bool) -> Iterator[list[str]]:
    if quoted:
        return csv.reader(lines, delimiter=delimiter, strict=True)
    return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)


def _delimited(
    lines: Iterator[Line], name: str, form: str, error: type[LaminaError], header: Sequence[str] | None
) -> Iterator[Any]:
    """The names of the columns, then rows under them. A row of too few or too many cells keeps them as a list.

    A .csv may quote its fields. In a .tsv a quotation mark is a letter like any other, as GLUE's files have it, unless
    the names in its first line are quoted.
    """
    sample = list(islice(lines, SAMPLE))
    delimiter = "\t" if form == "tsv" else _delimiter(sample)
    first = sample[0].text.split("\t") if sample else []
    quoted = form == "csv" or any(len(cell.strip()) > 1 and _enclosed(cell.strip()) for cell in first)
    records = _records(chain(sample, lines), delimiter, quoted)
    if header is None:
        record = next(records, None)
        if record is not None and record.error:
            raise error(f"{name}, row {record.number}: {record.error}")
        names = record.cells if record else []
        if len(set(names)) < len(names):
            raise error(f"{name}, row 1: a column's name comes twice: {', '.join(shown(each, 40) for each in names)}")
    else:
        names = list(header)
    yield names
    named = f"the first row names {len(names)}" if header is None else f"there must be {len(names)}"
    for number, cells, wrong, text in records:
        if not wrong and len(cells) != len(names):
            wrong = f"has {len(cells)} columns, {named}"
        if wrong:
            yield Row(number, cells or text.rstrip("\r\n")[:EXCERPT], wrong)
        else:
            yield Row(number, dict(zip(names, cells, strict=True)))


def _enclosed(cell: str) -> bool:
    return cell.startswith('"') and cell.endswith('"')


def _delimiter(sample: list[Line]) -> str:
    """The mark that parts the first line, and most rows alike; the comma where there is none, or nothing else fits."""
    fits: dict[str, float] = {}
    for mark in DELIMITERS:
        widths = [len(record.cells) for record in _records(iter(sample), mark, True)]
        if len(sample) == SAMPLE and len(widths) > 1:
            widths.pop()  # it may be cut
        if widths and widths[0] > 1:
            fits[mark] = sum(width == widths[0] for width in widths) / len(widths)
    return max(fits, key=fits.__getitem__, default=",")


def _columnar(path: Path, form: str, error: type[LaminaError]) -> Iterator[Any]:
    """The names of the columns, then the rows of Parquet or Arrow, a batch at a time."""
    arrow = _pyarrow(path, error)
    number = 0
    try:
        with arrow.memory_map(str(path)) as opened:
            batches, schema = (_parquet if form == "parquet" else _arrow)(opened, arrow)
            if len(set(schema.names)) < len(schema.names):
                raise error(
                    f"{path}: a column's name comes twice: {', '.join(shown(each, 40) for each in schema.names)}"
                )
            yield list(schema.names)
            for batch in batches:
                for start in range(0, batch.num_rows, BATCH):
                    for value, wrong in _values(batch.slice(start, BATCH)):
                        number += 1
                        yield Row(number, value, wrong)
    except (arrow.ArrowException, OSError, ValueError) as problem:
        if isinstance(problem, LaminaError):
            raise
        raise error(f"{path}: cannot be read as {form} ({cause(problem)})") from None


def _parquet(opened: Any, arrow: Any) -> tuple[Iterator[Any], Any]:
    from pyarrow import parquet

    found = parquet.ParquetFile(opened)
    return found.iter_batches(batch_size=BATCH), found.schema_arrow


def _arrow(opened: Any, arrow: Any) -> tuple[Iterator[Any], Any]:
    """Either form: the file with its index, or the stream."""
    start = opened.read(6)
    opened.seek(0)
    if start == b"ARROW1":
        found = arrow.ipc.open_file(opened)
        return (found.get_batch(place) for place in range(found.num_record_batches)), found.schema
    found = arrow.ipc.open_stream(opened)
    return iter(found), found.schema


def _values(batch: Any) -> Iterator[tuple[Any, str | None]]:
    try:
        rows = batch.to_pylist()
    except (ValueError, OverflowError):  # one value that Python cannot hold
        rows = None
    for place in range(batch.num_rows):
        try:
            yield (rows[place] if rows is not None else batch.slice(place, 1).to_pylist()[0]), None
        except (ValueError, OverflowError) as problem:
            yield None, f"holds a value that cannot be read ({cause(problem, 100)})"
