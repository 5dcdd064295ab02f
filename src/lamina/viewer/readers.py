"""CSV, JSON and text: read strictly first, then with more patience, and what was left out is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import duckdb

from .dataset import DataFile, Features, Split
from .duck import Query, first_line, identifier, literal
from .engine import Table
from .errors import UnreadableData
from .features import dtype, of_schema
from .scans import ReaderScan, as_shown, unused

if TYPE_CHECKING:
    import pyarrow as pa

PADDED = ", null_padding = true, ignore_errors = true, strict_mode = false"
PATIENCE = {  # ways to read, from strict to patient: options of the reader, and whether rows may be lost
    "csv": (
        ("", False),
        (", sample_size = -1", False),
        (f", sample_size = -1{PADDED}", True),
        (f", all_varchar = true{PADDED}", True),
    ),
    "json": (("", False), (", sample_size = -1", False), (", sample_size = -1, ignore_errors = true", True)),
    "text": (("", False), (", ignore_errors = true", True)),
}
EMPTY = "(empty)"  # what DuckDB says of a mark that a file does not use
WIDE = (b"\xff\xfe", b"\xfe\xff")  # how UTF-16 begins
LINE = 2 << 20  # bytes of a line that readers expect
LONGEST = 128 << 20  # bytes of a line that is read at all; the engine holds it several times
TOO_LONG = ("max_line_size", "Maximum line size", "maximum_object_size")  # what DuckDB says of a longer line


def open_read(split: Split, query: Query) -> Table:
    """The files of a split together; where that fails, each is tried and those that fail are left out."""
    files, notices = readable(split)
    if not files:
        raise UnreadableData("; ".join(notices))
    try:
        return _opened(split, files, query, notices)
    except duckdb.InterruptException:
        raise
    except duckdb.Error as problem:
        if len(files) == 1:
            raise UnreadableData(f"{files[0].name} cannot be read as {split.format}: {_place(problem)}") from None
    kept = []
    for file in files:
        try:
            _opened(split, [file], query, [])
            kept.append(file)
        except duckdb.InterruptException:
            raise
        except duckdb.Error as problem:
            notices.append(f"{file.name} cannot be read as {split.format}: {_place(problem)}")
    try:
        if kept:
            return _opened(split, kept, query, notices)
    except duckdb.Error as problem:
        notices.append(first_line(problem))
    raise UnreadableData("; ".join(notices))


def _wide(file: DataFile) -> bool:
    try:
        with file.path.open("rb") as opened:
            return opened.read(2) in WIDE
    except OSError:
        return False


def readable(split: Split) -> tuple[list[DataFile], list[str]]:
    """The files that a reader may be given, and what is wrong with the others."""
    files, notices = [], []
    for file in split.files:
        if not file.size:
            notices.append(f"{file.name} is empty")
        elif _wide(file):
            notices.append(f"{file.name} is UTF-16, not UTF-8: convert it")
        elif _overlong(file) and longest_line(file) > LONGEST:
            notices.append(f"{file.name} has a line longer than {LONGEST >> 20} MB, the most that is read")
        else:
            files.append(file)
    return files, notices


def _overlong(file: DataFile) -> bool:
    """Whether a line near the beginning is longer than readers expect: CSV's would search for its end without end."""
    if file.size <= LINE or file.name.lower().endswith((".gz", ".zst")):
        return False
    try:
        with file.path.open("rb") as opened:
            return max(map(len, opened.read(4 * LINE).split(b"\n"))) > LINE
    except OSError:
        return False


def longest_line(file: DataFile) -> int:
    """Bytes of a file's longest line, as far as it is not compressed."""
    longest = line = 0
    with file.path.open("rb") as opened:
        while piece := opened.read(4 * LINE):
            first, *others = piece.split(b"\n")
            line += len(first)
            for other in others:
                longest, line = max(longest, line), len(other)
    return max(longest, line)


def _roomy(form: str, files: list[DataFile]) -> str:
    """Options for lines longer than readers expect; they cost memory, so they are as large as needed and no larger."""
    room = max(LINE, *(longest_line(file) for file in files)) + 1024
    if room > LONGEST + 1024:
        return ""
    if form == "json":
        return f", maximum_object_size = {room}"
    return f", max_line_size = {room}, buffer_size = {2 * room}, parallel = false"


def _opened(split: Split, files: list[DataFile], query: Query, notices: list[str], room: str = "") -> Table:
    first: duckdb.Error | None = None
    if not room and any(map(_overlong, files)):
        room = _roomy(split.format, files)
    for patience, lossy in ((room + patience, lossy) for patience, lossy in PATIENCE[split.format]):
        reader = relation(split, files, patience)
        try:
            if split.format == "csv":
                reader = settled(split, files, patience, query) or reader
            types = query.describe(reader)
            columns = _expressions(types, split.features or {})
            if split.format == "text":
                columns = {"text": "coalesce(\"text\", '')"}  # the reader takes an empty line for a missing value
            scan = ReaderScan(reader, columns)
            rows = _count(query, reader, types)
        except duckdb.InterruptException:
            raise
        except duckdb.Error as problem:
            if not room and any(word in str(problem) for word in TOO_LONG) and (more := _roomy(split.format, files)):
                return _opened(split, files, query, notices, more)
            first = first or problem
            continue
        said = [*notices]
        partial = len(files) < sum(1 for file in split.files if file.size)
        if lossy and first is not None:
            partial = True
            blamed = next((f"{file.name}: " for file in files if f"file = {file.path}\n" in str(first)), "")
            said.append(f"rows that do not fit are left out or padded: {blamed}{_place(first)}")
        memory = sum(file.size for file in files)
        shown, schema = query.shape(scan.source)
        features = _features(schema, types, split.features)
        return Table(split, features, shown, rows, memory, partial, tuple(said), scan)
    assert first is not None
    raise first


def relation(split: Split, files: list[DataFile], patience: str) -> str:
    """The reader of a format over files, as SQL."""
    paths = _paths(files)
    if split.format == "text":
        return (
            f"read_csv({paths}, columns = {{'text': 'VARCHAR'}}, auto_detect = false, header = false, delim = '', "
            f"quote = '', escape = ''{patience})"
        )
    if split.format == "json":
        return (
            f"read_json({paths}, union_by_name = true, map_inference_threshold = -1, field_appearance_threshold = 0, "
            f"hive_partitioning = false{patience})"
        )
    return f"read_csv({paths}, union_by_name = true, hive_partitioning = false{_csv_options(split, files, patience)})"


def _csv_options(split: Split, files: list[DataFile], patience: str) -> str:
    """What is known of CSV before it is looked at: what the card and the files' names say, and the patience."""
    given = dict(split.options)
    if all(".tsv" in file.name.lower() for file in files):
        given.setdefault("delim", "\t")
    options = "".join(f", {name} = {literal(value)}" for name, value in given.items())
    texts = [name for name, feature in (split.features or {}).items() if dtype(feature) in ("string", "large_string")]
    if texts and "all_varchar" not in patience:
        options += ", types = {" + ", ".join(f"{literal(name)}: 'VARCHAR'" for name in texts) + "}"
    return options + patience


SNIFFED = {  # what DuckDB finds out about a CSV file -> the option that says it
    "Delimiter": "delim",
    "Quote": "quote",
    "Escape": "escape",
    "NewLineDelimiter": "new_line",
    "Comment": "comment",
    "SkipRows": "skip",
    "HasHeader": "header",
    "DateFormat": "dateformat",
    "TimestampFormat": "timestampformat",
}


def settled(split: Split, files: list[DataFile], patience: str, query: Query) -> str | None:
    """The reader of CSV with all that it would else find out anew in every query; None where files differ in it.

    A wide file takes seconds to find out about.
    """
    found: tuple[Any, ...] | None = None
    for file in files:
        options = _csv_options(split, files, patience)
        own = query.row(f"SELECT {', '.join(SNIFFED)}, Columns FROM sniff_csv({literal(str(file.path))}{options})")
        if found not in (None, own):
            return None
        found = own
    assert found is not None
    options = "".join(
        f", {name} = {value if isinstance(value, bool | int) else literal('' if value == EMPTY else value)}"
        for name, value in zip(SNIFFED.values(), found[:-1], strict=True)
        if value is not None
    )
    columns = ", ".join(f"{literal(each['name'])}: {literal(each['type'])}" for each in found[-1])
    options += f", hive_partitioning = false{patience}".replace(", sample_size = -1", "").replace(
        ", all_varchar = true", ""
    )
    return f"read_csv({_paths(files)}, auto_detect = false, columns = {{{columns}}}{options})"


def _paths(files: list[DataFile]) -> str:
    return "[" + ", ".join(literal(str(file.path)) for file in files) + "]"


def _count(query: Query, reader: str, types: Mapping[str, str]) -> int:
    """Rows; every cell is parsed on the way, for a hash of its row, so that no later page meets an error."""
    row = identifier(unused(list(types), "__row"))
    return int(query.row(f"SELECT count(*), bit_xor(hash({row})) FROM {reader} AS {row}")[0])


def _expressions(types: Mapping[str, str], features: Features) -> dict[str, str]:
    return {name: as_shown(identifier(name), kind, features.get(name)) for name, kind in types.items()}


def _features(schema: pa.Schema, types: Mapping[str, str], declared: Features | None) -> Features:
    found = of_schema(schema)
    found.update({name: {"_type": "Json"} for name, kind in types.items() if kind == "JSON"})
    return {name: (declared or {}).get(name, feature) for name, feature in found.items()}


def _place(problem: duckdb.Error) -> str:
    """Where the first bad row is, from a message that goes on for lines of advice on options."""
    said = " ".join(str(problem).partition("Possible ")[0].split())
    return (said.partition(": ")[2] or said)[:300].rstrip(" .")
