"""The one reader of data files: every format gives the same rows, and says where what is wrong stands."""

from __future__ import annotations

import bz2
import datetime
import gzip
import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from lamina.errors import DataError, InputError
from lamina.files import tables
from lamina.files.formats import FORMATS, find_files, form_of, signature
from lamina.files.tables import open_lines, open_rows

ROWS = [{"text": 'a "quoted", 007', "label": "x"}, {"text": "zwei\nlines | 한국어 🚀", "label": "0012"}]


def delimited(mark: str) -> bytes:
    cells = [["text", "label"], *([row["text"].replace('"', '""'), row["label"]] for row in ROWS)]
    return "".join(mark.join(f'"{cell}"' for cell in line) + "\r\n" for line in cells).encode()


def packed(data: bytes, codec: str) -> bytes:
    if codec == "zst":
        return pa.compress(data, codec="zstd", asbytes=True)
    return gzip.compress(data) if codec == "gz" else bz2.compress(data)


PLAIN: dict[str, Callable[[], bytes]] = {
    "csv": lambda: delimited(","),
    "tsv": lambda: delimited("\t"),
    "json": lambda: json.dumps(ROWS, indent=2).encode(),
    "jsonl": lambda: "\n\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS).encode(),
    "ndjson": lambda: "".join(json.dumps(row) + "\r\n" for row in ROWS).encode(),
}
VARIANTS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "semicolons": ("a.csv", lambda: delimited(";")),
    "tabs": ("a.csv", lambda: delimited("\t")),
    "bars": ("a.csv", lambda: delimited("|")),
    "json of lines": ("a.json", PLAIN["jsonl"]),
    "json of columns": ("a.json", lambda: json.dumps({name: [row[name] for row in ROWS] for name in ROWS[0]}).encode()),
    "json under data": ("a.json", lambda: json.dumps({"data": ROWS}).encode()),
    **{f"marked {kind}": (f"a.{kind}", lambda make=make: b"\xef\xbb\xbf" + make()) for kind, make in PLAIN.items()},
    **{
        f"{kind}.{codec}": (f"a.{kind}.{codec}", lambda make=make, codec=codec: packed(make(), codec))
        for kind, make in PLAIN.items()
        for codec in ("gz", "bz2", "zst")
    },
    **{kind: (f"a.{kind}", make) for kind, make in PLAIN.items()},
    "capitals": ("A.CSV", PLAIN["csv"]),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_format_gives_the_same_rows_and_changes_no_value(tmp_path: Path, name: str):
    path = tmp_path / VARIANTS[name][0]
    path.write_bytes(VARIANTS[name][1]())
    assert [row.value for row in open_rows(path)] == ROWS


@pytest.mark.parametrize("name", ["a.parquet", "a.pq", "a.arrow", "a.feather", "stream.arrow"])
def test_columns_come_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setattr(tables, "BATCH", 2)
    rows = [*ROWS, {"text": None, "label": "3"}]
    table = pa.Table.from_pylist(rows).append_column("day", pa.array([datetime.date(2020, 1, 2)] * 3))
    path = tmp_path / name
    if name == "stream.arrow":
        with pa.ipc.new_stream(path, table.schema) as opened:
            opened.write_table(table)
    elif FORMATS[path.suffix] == "parquet":
        parquet.write_table(table, path)
    else:
        feather.write_feather(table, str(path))
    found = open_rows(path)
    assert found.columns == ["text", "label", "day"]
    assert [tuple(row) for row in found] == [
        (number, {**row, "day": datetime.date(2020, 1, 2)}, None) for number, row in enumerate(rows, 1)
    ]


def test_values_stay_what_they_are(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 12345678901234567890, "b": 1.0, "c": "007", "d": null, "e": true}\n"a text"\n')
    first, second = (row.value for row in open_rows(path))
    assert first == {"a": 12345678901234567890, "b": 1.0, "c": "007", "d": None, "e": True}
    assert type(first["a"]) is int and type(first["b"]) is float and second == "a text"
    path = tmp_path / "a.csv"
    path.write_text("a,b\n 007,\n")
    assert [row.value for row in open_rows(path)] == [{"a": " 007", "b": ""}]


BAD_ROWS: list[tuple[str, str | bytes, list[tuple[int, str | None]]]] = [
    ("a.csv", "t,n\na,1\nb\nc,3\n", [(2, None), (3, "has 1 columns, the first row names 2"), (4, None)]),
    ("a.csv", "t,n\na,1\nb,2,3\nc,3\n", [(2, None), (3, "has 3 columns"), (4, None)]),
    (
        "a.csv",
        't\n"two\nlines"\n"open\nb\nc\n',
        [(2, None), (4, "is a quotation mark left open"), (5, None), (6, None)],
    ),
    ("a.csv", 't\n"open\nb\n"c"\nd\n', [(2, "is a quotation mark left open"), (3, None), (4, None), (5, None)]),
    ("a.csv", b"t\na\n\nb\xe9\nc\n", [(2, None), (4, "not UTF-8: the byte 0xe9 at 2 of the line"), (5, None)]),
    ("a.csv", b"t\na\nb\0\nc\n", [(2, None), (3, "NUL character at 2"), (4, None)]),
    ("a.csv", "t\n\n\na\n", [(4, None)]),
    ("a.tsv", 't\tn\n"a\t1\nb\n', [(2, None), (3, "has 1 columns")]),
    ("a.txt", b"a\n\n\xff\nb\r\n", [(1, None), (2, None), (3, "not UTF-8: the byte 0xff at 1"), (4, None)]),
    ("a.jsonl", '"a"\n{"t":\n"b"\n', [(1, None), (2, "not JSON"), (3, None)]),
    ("a.jsonl", '"a"\n{"t": NaN}\n"b"\n', [(1, None), (2, "NaN"), (3, None)]),
    ("a.jsonl", '"a"\n{"t": 1, "t": 2}\n"b"\n', [(1, None), (2, "stands there twice"), (3, None)]),
    ("a.jsonl", '"a"\n[1]\n3\nnull\n', [(1, None), *[(n, "must be an object with columns") for n in (2, 3, 4)]]),
    ("a.jsonl", '"a"\n' + "[" * 5000 + "\n", [(1, None), (2, "nested too deeply")]),
    ("a.jsonl", '"a"\n{"t": 1' + "0" * 5000 + "}\n", [(1, None), (2, "cannot be read as JSON")]),
    ("a.jsonl", '{"t": "\\ud800"}\n{"t": "\\ud83d\\ude80"}', [(1, "half of a surrogate pair"), (2, None)]),
    ("a.json", '[{"t": NaN},\n{"t": 1}, 3, "b"]', [(1, "NaN"), (2, None), (3, "must be an object"), (4, None)]),
    ("a.json", b'[{"t": "\xff"}, "b"]', [(1, "not UTF-8"), (2, None)]),
    ("a.json", '{"t": 1}\nnope\n{"t": 2}\n', [(1, None), (2, "not JSON"), (3, None)]),
]


@pytest.mark.parametrize(("name", "content", "expected"), BAD_ROWS)
def test_a_bad_row_is_one_row_with_its_line(
    tmp_path: Path, name: str, content: str | bytes, expected: list[tuple[int, str | None]]
):
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    found = list(open_rows(path))
    assert [row.number for row in found] == [number for number, _ in expected]
    for row, (_, complaint) in zip(found, expected, strict=True):
        assert (row.error is None) == (complaint is None) and (complaint or "") in (row.error or "")
        json.dumps(row.value, ensure_ascii=False).encode()  # what could be read of it can be written


BAD_FILES: list[tuple[str, bytes, str]] = [
    ("a.docx", b"x", r"a\.docx: its ending is not one of \.parquet, .*, \.zst"),
    ("a", b"x", "its ending is not one of"),
    ("a.gz", b"x", "its ending is not one of"),
    ("a.csv.xz", b"x", "its ending is not one of"),
    ("a.txt", gzip.compress(b"x", mtime=0), "is gzip, not UTF-8 text"),
    ("a.csv", b"PAR1....", "is Parquet, not UTF-8 text"),
    ("a.jsonl", b"PK\x03\x04....", "is a zip archive"),
    ("a.txt", "hé".encode("utf-16"), "is UTF-16, not UTF-8 text; convert it"),
    ("a.txt", "hé".encode("utf-16-le"), "UTF-16 without its mark"),
    ("a.json", "[1]".encode("utf-16"), "is UTF-16"),
    ("a.txt.gz", b"plain", "is not gzip"),
    ("a.txt.zst", gzip.compress(b"x", mtime=0), "is not zstandard, but gzip"),
    ("a.txt.gz", gzip.compress(b"one\ntwo\n" * 9999)[:-20], "cannot be read"),
    ("a.txt.gz", gzip.compress(b"one\ntwo\n" * 9999)[:40] + b"\0" * 99, "cannot be read"),
    ("a.txt.bz2", bz2.compress(b"one\ntwo\n" * 9999)[:-20], "cannot be read"),
    ("a.txt.zst", packed(b"one\ntwo\n" * 9999, "zst")[:-4], "cannot be read"),
    ("a.csv", b"a,b,a\n1,2,3\n", "a column's name comes twice"),
    ("a.csv", b"caf\xe9\nx\n", "row 1: not UTF-8"),
    ("a.csv", b'"open\nx\n', "row 1: cannot be read as a table"),
    ("a.json", b'[{"a": 1}, {"a": ', "row 2: not JSON .*; nothing after it can be read"),
    ("a.json", b'[{"a": 1} {"a": 2}]', "row 2: not JSON .'{' between two elements"),
    ("a.json", b'[{"a": 1}', "the list has no end"),
    ("a.json", b'[{"a": 1}]\n[{"a": 2}]', "row 2: not JSON .'.' after the end of the list"),
    ("a.json", b'[{"a": 1}] {"a": 2}', "after the end of the list"),
    ("a.json", b"[] x", "row 1: not JSON .'x' after the end of the list"),
    ("a.txt", b"one\rtwo\rthree\r", "carriage returns alone"),
    ("a.csv", b"t,n\ra,1\r", "carriage returns alone"),
    ("a.tsv.gz", gzip.compress(b"t\tn\ra\t1", mtime=0), "carriage returns alone"),
    ("a.json", b'{"a":\n nope}', "row 2: not JSON"),
    ("a.json", b"3", "must hold a list of rows"),
    ("a.json", b"[" * 100_000, "nested too deeply"),
    ("a.parquet", b"no parquet", "cannot be read as parquet"),
    ("a.parquet", b"", "cannot be read as parquet"),
    ("a.arrow", b"ARROW1\0\0nothing", "cannot be read as arrow"),
    ("a.parquet.gz", gzip.compress(b"x", mtime=0), "its ending is not one of"),
]


@pytest.mark.parametrize(("name", "content", "complaint"), BAD_FILES)
def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path: Path, name: str, content: bytes, complaint: str):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=complaint):
        list(open_rows(path, InputError))


OBJECTS: list[tuple[str, list[object]]] = [
    ('{"version": "1", "data": [{"t": "a"}, {"t": "b"}]}', [{"t": "a"}, {"t": "b"}]),
    ('{"data": ["a", "b"]}', ["a", "b"]),
    ('{"t": "x", "data": ["a", "b"]}', [{"t": "x", "data": ["a", "b"]}]),
    ('{"t": "x", "data": [1]}', [{"t": "x", "data": [1]}]),
    ('{"t": ["a", "b"], "n": [1, 2]}', [{"t": "a", "n": 1}, {"t": "b", "n": 2}]),
    ('[{"t": "a"}] \n\r\n', [{"t": "a"}]),
    ('[\r{"t": "a"}\r]', [{"t": "a"}]),
]


@pytest.mark.parametrize(("content", "expected"), OBJECTS)
def test_a_json_file_holds_rows_columns_or_one_row(tmp_path: Path, content: str, expected: list[object]):
    path = tmp_path / "a.json"
    path.write_bytes(content.encode())
    assert [row.value for row in open_rows(path)] == expected


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.json", "a.parquet", "a.arrow", "a.jsonl.gz"])
def test_what_can_be_read_only_once_is_refused_unread(tmp_path: Path, name: str):
    os.mkfifo(tmp_path / name)
    for call in (open_rows, open_lines, find_files):
        with pytest.raises(DataError, match="a pipe or a device"):
            call(tmp_path / name, error=DataError)


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt", "a.json", "a.jsonl", "a.ndjson"])
def test_an_empty_file_has_no_rows(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"")
    assert list(open_rows(tmp_path / name)) == []


def test_a_format_that_is_named_goes_before_the_ending(tmp_path: Path):
    path = tmp_path / "a.data"
    path.write_text("t;n\n1;2\n")
    assert [row.value for row in open_rows(path, form="csv")] == [{"t": "1", "n": "2"}]
    assert [row.value for row in open_rows(path, form="txt")] == ["t;n", "1;2"]
    with pytest.raises(InputError, match="there is no format 'xls'; there are csv"):
        open_rows(path, InputError, "xls")


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("text\nhello, world\n", ["text"]),
        ("text;label\nnice, good;1\nbad;0\n", ["text", "label"]),
        ("a,b;c\n1,2;3\n4,5;6\n", ["a", "b;c"]),
        ("id;text, long;label\n1;a, b, c;x\n2;d;y\n", ["id", "text, long", "label"]),
        ('"a;b",c\n1,2\n', ["a;b", "c"]),
        ("a|b\n1|2,3\n", ["a", "b"]),
    ],
)
def test_the_delimiter_is_the_one_that_fits(tmp_path: Path, content: str, columns: list[str]):
    (tmp_path / "a.csv").write_text(content)
    assert open_rows(tmp_path / "a.csv").columns == columns


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv", "a.json"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, name: str):
    line = {"a.txt": "word " * 50, "a.csv": "word " * 50}.get(name, json.dumps({"text": "word " * 50}))
    joint = ",\n" if name == "a.json" else "\n"
    body = joint.join([line] * 20_000)
    (tmp_path / name).write_text(f"[{body}]" if name == "a.json" else f"text\n{body}\n" if name == "a.csv" else body)
    tracemalloc.start()
    try:
        assert sum(1 for _ in open_rows(tmp_path / name)) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv"])
def test_a_line_without_end_is_one_bad_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setattr(tables, "LONGEST", 1000)
    good = '"fine"'
    (tmp_path / name).write_text(f"{good}\n{'x' * 5000}\n{good}\n{good}")
    found = list(open_rows(tmp_path / name, header=["text"] if name == "a.csv" else None))
    assert [row.number for row in found if row.error] == [2] and len(found) == 4
    assert "longer than 1,000 bytes" in next(row.error for row in found if row.error)


def test_elements_of_json_may_be_cut_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    values: list[Any] = [{"text": '"[{,}]\\ ', "n": 12345.5}, "é🚀", {"a": [[], {}]}, {}]
    (tmp_path / "a.json").write_text(json.dumps(values, indent=1, ensure_ascii=False), encoding="utf-8")
    for piece in (1, 2, 3, 7):
        monkeypatch.setattr(tables, "PIECE", piece)
        assert [row.value for row in open_rows(tmp_path / "a.json")] == values


def test_folders_and_patterns_are_read_in_sorted_order_with_what_is_left_out(tmp_path: Path):
    for name in ("b.csv", "a.csv", "sub/c.csv", ".hidden.csv", "README.md", ".git/d.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("text\nx\n")
    found, left_out = find_files(tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in found] == ["a.csv", "b.csv", "sub/c.csv"]
    assert [path.name for path in left_out] == ["README.md"]
    assert [path.name for path in find_files(f"{tmp_path}/*.csv")[0]] == ["a.csv", "b.csv"]
    assert [path.name for path in find_files(f"{tmp_path}/**/*.csv")[0]] == ["a.csv", "b.csv", "c.csv"]
    (tmp_path / "image.png").write_bytes(b"")
    for source, complaint in ((tmp_path, r"image\.png: its ending"), (f"{tmp_path}/*.tsv", "no data file of such")):
        with pytest.raises(InputError, match=complaint):
            find_files(source)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="there is no data file in it"):
        find_files(tmp_path / "empty")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.CSV.GZ", ("csv", "gzip")),
        ("x/a.b.ndjson", ("jsonl", None)),
        ("a.feather", ("arrow", None)),
        ("a.parquet.gz", (None, "gzip")),
        ("a.gz", (None, "gzip")),
        ("csv", (None, None)),
    ],
)
def test_names_say_format_and_compression(name: str, expected: tuple[str | None, str | None]):
    assert form_of(name) == expected


def test_no_text_is_taken_for_a_signature():
    assert signature(b"BZh is a text") is None
    assert signature(bz2.compress(b"x")) == "bzip2"
    assert signature("Ünïcode".encode()) is None


def test_lines_of_any_file_come_with_the_empty_ones(tmp_path: Path):
    (tmp_path / "a.en").write_bytes(b"one\r\n\ntwo")
    assert [line.text for line in open_lines(tmp_path / "a.en")] == ["one\r\n", "\n", "two"]
