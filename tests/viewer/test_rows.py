"""Rows of every format: by place, filtered, sorted, and what is told of files that cannot be read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamina.viewer.dataset import Dataset
from lamina.viewer.duckengine import DuckEngine
from lamina.viewer.errors import UnreadableData
from lamina.viewer.settings import Settings
from lamina.viewer.sources import open_dataset
from lamina.viewer.stop import Stop
from tests.viewer.conftest import Open
from tests.viewer.data import (
    column,
    get,
    labeled,
    numbers,
    records,
    refused,
    write_arrow,
    write_jsonl,
    write_parquet,
    write_text,
)

ROWS = 257


def write_all(folder: Path) -> dict[str, Path]:
    """The same rows in every format that holds them, in two files each."""
    made = {}
    for form in ("parquet", "jsonl", "arrow", "feather", "csv"):
        made[form] = folder / form
        for part, (start, count) in enumerate(((0, 100), (100, ROWS - 100))):
            rows = records(count, start)
            path = made[form] / f"train-{part}.{form}"
            if form == "parquet":
                write_parquet(path, rows, group=30)
            elif form == "jsonl":
                write_jsonl(path, rows)
            elif form == "csv":
                lines = [f'{row["id"]},"{row["text"]}",{row["label"]},{row["score"]},{row["even"]}' for row in rows]
                write_text(path, "\n".join(["id,text,label,score,even", *lines]) + "\n")
            else:
                write_arrow(path, rows, stream=form == "arrow")
    return made


@pytest.mark.parametrize("form", ["parquet", "jsonl", "arrow", "feather", "csv"])
def test_pages_filters_and_orders(tmp_path: Path, client: Open, form: str):
    viewer = client(write_all(tmp_path)[form])
    page = get(viewer, "/rows", offset=95, length=10)
    assert numbers(page) == list(range(95, 105)) == column(page, "id")
    assert page["num_rows_total"] == ROWS and page["num_rows_per_page"] == 100 and page["partial"] is False
    assert numbers(get(viewer, "/rows", offset=250)) == list(range(250, ROWS))
    assert numbers(get(viewer, "/rows", offset=ROWS)) == numbers(get(viewer, "/rows", offset=10**15)) == []
    assert get(viewer, "/rows", length=0)["rows"] == []
    found = get(viewer, "/filter", where="\"text\" like '%gamma' and id > 90", offset=1, length=3)
    assert numbers(found) == column(found, "id") == [97, 102, 107] and found["num_rows_total"] == 33
    found = get(viewer, "/filter", orderby='"label" desc, "id" desc', length=2)
    assert numbers(found) == [255, 253] and found["num_rows_total"] == ROWS
    assert get(viewer, "/filter", where="id < 0")["rows"] == []
    assert [each["name"] for each in page["features"]][:5] == ["id", "text", "label", "score", "even"]


def test_an_order_is_the_same_beyond_the_rows_sorted_first(tmp_path: Path, client: Open):
    write_parquet(tmp_path / "train.parquet", records(2500))
    viewer = client(tmp_path)
    expected = sorted(range(2500), key=lambda row: (-(row % 2), row))
    for offset in (0, 950, 1000, 2480):
        found = get(viewer, "/filter", orderby="label desc", offset=offset, length=50)
        assert numbers(found) == expected[offset : offset + 50] and found["num_rows_total"] == 2500
    found = get(viewer, "/filter", where="id < 2000", orderby="id desc", length=2)
    assert numbers(found) == [1999, 1998] and found["num_rows_total"] == 2000


def test_features_come_from_the_files(tmp_path: Path, client: Open):
    page = get(client(write_all(tmp_path)["parquet"]), "/rows", length=3)
    types = {each["name"]: each["type"] for each in page["features"]}
    assert types["label"] == {"names": ["neg", "pos"], "_type": "ClassLabel"}
    assert types["tags"] == {"feature": {"dtype": "string", "_type": "Value"}, "_type": "List"}
    assert [each["feature_idx"] for each in page["features"]] == list(range(6))
    assert page["rows"][2] == {
        "row_idx": 2,
        "row": {"id": 2, "text": "row 2 says gamma", "label": 0, "score": 0.5, "even": True, "tags": ["alpha", "beta"]},
        "truncated_cells": [],
    }


def test_lines_of_text(tmp_path: Path, client: Open):
    lines = ["first", "", '"quoted", with, commas', "  spaces  ", "한국어\tand a tab", "\\escape\\n", "last"]
    write_text(tmp_path / "lines.txt", "\n".join(lines) + "\n")
    page = get(client(tmp_path / "lines.txt"), "/rows")
    assert column(page, "text") == lines
    assert page["features"] == [{"feature_idx": 0, "name": "text", "type": {"dtype": "string", "_type": "Value"}}]


def test_tabs_and_declared_types_of_csv(tmp_path: Path, client: Open):
    write_text(tmp_path / "train.tsv", "code\tlabel\n007\tno\n008\tyes\n009\tunknown\n")
    head = "---\ndataset_info:\n  features:\n  - name: code\n    dtype: string\n  - name: label\n    dtype:\n"
    write_text(tmp_path / "README.md", head + "      class_label:\n        names: {'0': 'no', '1': 'yes'}\n---\n")
    page = get(client(tmp_path), "/rows")
    assert column(page, "code") == ["007", "008", "009"] and column(page, "label") == [0, 1, None]
    assert numbers(get(client(tmp_path), "/filter", where="label = 'yes'")) == [1]


CELLS: dict[str, tuple[pa.Array, list[Any]]] = {
    "floats": (pa.array([float("nan"), float("inf"), float("-inf"), 0.5]), [None, None, None, 0.5]),
    "bytes": (pa.array([b"\x00\xff", b"", None, b"abc"]), ["AP8=", "", None, "YWJj"]),
    "time": (pa.array([0, None, 1_500_000, 10**15], pa.timestamp("us")), None),
    "ns": (pa.array([1, 2, 3, 4], pa.timestamp("ns")), None),
    "zoned": (pa.array([0, 1, 2, None], pa.timestamp("ms", "Europe/Paris")), None),
    "day": (pa.array([0, 1, None, 2_900_000], pa.date32()), None),
    "decimal": (pa.array(["1.50", "2.25", None, "-3.00"]).cast(pa.decimal128(10, 2)), ["1.50", "2.25", None, "-3.00"]),
    "large": (pa.array([2**63, 2**64 - 1, 0, None], pa.uint64()), [2**63, 2**64 - 1, 0, None]),
    "map": (pa.array([[("a", 1)], [], None, [("b", 2)]], pa.map_(pa.string(), pa.int64())), None),
    "nested": (pa.array([[{"x": [1]}], [], None, [{"x": None}]]), [[{"x": [1]}], [], None, [{"x": None}]]),
    "nothing": (pa.nulls(4), [None] * 4),
}


@pytest.mark.parametrize("name", list(CELLS))
@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_cells_of_every_type(tmp_path: Path, client: Open, name: str, form: str):
    table = pa.table({name: CELLS[name][0]})
    if form == "parquet":
        pq.write_table(table, tmp_path / "train.parquet")
    else:
        with pa.ipc.new_stream(str(tmp_path / "train.arrow"), table.schema) as writer:
            writer.write_table(table)
    page = get(client(tmp_path), "/rows")
    cells = column(page, name)
    assert len(cells) == 4
    if CELLS[name][1] is not None:
        assert cells == CELLS[name][1]
    if name == "floats":
        odd = [row.get("not_finite_cells") for row in page["rows"]]
        assert odd == [{"floats": "NaN"}, {"floats": "Infinity"}, {"floats": "-Infinity"}, None]
    if name == "time":
        assert cells[0] == "1970-01-01T00:00:00" and cells[2] == "1970-01-01T00:00:01.500000"
    if name == "map":
        assert cells[0] == [{"key": "a", "value": 1}]


def test_long_cells_are_cut_and_never_lost(tmp_path: Path, client: Open):
    text = "한" * 40_000
    write_parquet(tmp_path / "train.parquet", [{"text": text, "label": 0}, {"text": "short", "label": 1}])
    viewer = client(tmp_path)
    page = get(viewer, "/rows", cell=1000)
    assert page["rows"][0]["truncated_cells"] == ["text"] and page["rows"][1]["truncated_cells"] == []
    cut = page["rows"][0]["row"]["text"]
    assert json.dumps(text, ensure_ascii=False).startswith(cut) and 990 < len(cut.encode()) <= 1000
    assert column(get(viewer, "/rows", length=1, full=True), "text") == [text]
    first = get(viewer, "/first-rows")
    assert first["rows"][0]["truncated_cells"] == [] and first["truncated"] is False


def test_a_page_fits_its_size(tmp_path: Path, client: Open):
    write_jsonl(tmp_path / "train.jsonl", [{"id": row, "text": "x" * 50_000} for row in range(100)])
    viewer = client(tmp_path, response=1_000_000)
    response = viewer.get("/rows")
    assert len(response.content) < 1_100_000 and len(response.json()["rows"]) == 100
    first = viewer.get("/first-rows")
    assert len(first.content) < 1_100_000 and first.json()["truncated"] is True
    assert 10 <= len(first.json()["rows"]) < 100


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=4),
    group=st.integers(1, 20),
    offset=st.integers(0, 170),
    length=st.integers(0, 100),
    room=st.sampled_from([0, 1000, 1 << 20]),
)
def test_any_page_of_any_files_however_often_it_is_looked_at(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], group: int, offset: int, length: int, room: int
):
    folder = tmp_path_factory.mktemp("pages")
    start = 0
    for place, size in enumerate(sizes):
        ids = pa.array(range(start, start + size), pa.int64())
        table = pa.table({"id": ids, "text": pa.array([f"text {number}" for number in ids.to_pylist()], pa.string())})
        pq.write_table(table, folder / f"train-{place}.parquet", row_group_size=group)
        start += size
    dataset: Dataset = open_dataset(folder)
    engine = DuckEngine(dataset, Settings(cache=folder / "cache", threads=1, memory=128 << 20, held=room))
    expected = list(range(start))[offset : offset + length]
    taken = [number for number in (start - 1, 0, offset, offset // 2, 1) if 0 <= number < start]
    try:
        table = engine.open(dataset.split(None, None), Stop())
        for _ in range(3):  # the second look may keep what it reads, the third finds it
            page = engine.rows(table, offset, length, Stop(), 100)
            assert page.rows.column("id").to_pylist() == list(page.ids) == expected and page.total == start
            assert page.rows.column_names == ["id", "text"]
            assert engine.take(table, taken, Stop()).column("id").to_pylist() == taken
        alone = replace(table, types={"text": "VARCHAR"})
        found = engine.take(alone, taken, Stop()).to_pydict()
        assert found == {"text": [f"text {number}" for number in taken]}
    finally:
        engine.close()


def test_pages_turned_in_one_row_group_read_no_file(tmp_path: Path):
    path = write_parquet(tmp_path / "train.parquet", records(3000), group=1000)
    dataset = open_dataset(tmp_path)
    engine = DuckEngine(dataset, Settings(cache=tmp_path / "cache", threads=1, memory=128 << 20))
    try:
        table = engine.open(dataset.split(None, None), Stop())
        for offset in (1100, 1200):
            assert list(engine.rows(table, offset, 100, Stop()).ids) == list(range(offset, offset + 100))
        path.write_bytes(b"PAR1 gone PAR1")
        held = engine.rows(table, 1300, 100, Stop())
        assert held.rows.column("id").to_pylist() == list(range(1300, 1400))
        with pytest.raises(UnreadableData):
            engine.rows(table, 1950, 100, Stop())
    finally:
        engine.close()


def test_columns_with_hostile_names(tmp_path: Path, client: Open):
    names = ['"; DROP TABLE data; --', "file_row_number", "__row", "filename", "a.b", "SELECT", "é 한", "?"]
    pq.write_table(pa.table({name: [1, 2, 3] for name in names}), tmp_path / "train.parquet")
    viewer = client(tmp_path)
    page = get(viewer, "/rows", offset=1, length=1)
    assert page["rows"][0]["row"] == dict.fromkeys(names, 2) and page["rows"][0]["row_idx"] == 1
    for name in names:
        quoted = '"' + name.replace('"', '""') + '"'
        assert numbers(get(viewer, "/filter", where=f"{quoted} = 3")) == [2]
        assert numbers(get(viewer, "/filter", orderby=f"{quoted} desc")) == [2, 1, 0]


def test_paths_with_characters_of_patterns(tmp_path: Path, client: Open):
    for name in ("train[1].parquet", "train*2.parquet", "train?3.parquet", "it's 4-train.parquet"):
        write_parquet(tmp_path / "a [b] c" / name, records(2))
    write_text(tmp_path / "csv" / "train[1]*?'.csv", "x\n1\n")
    assert get(client(tmp_path / "a [b] c"), "/rows")["num_rows_total"] == 8
    assert column(get(client(tmp_path / "csv"), "/rows"), "x") == [1]


def test_files_with_other_columns(tmp_path: Path, client: Open):
    pq.write_table(pa.table({"a": [1], "b": ["x"]}), tmp_path / "train-1.parquet")
    pq.write_table(pa.table({"a": [2.5], "c": [True]}), tmp_path / "train-2.parquet")
    pq.write_table(pa.table({"a": ["text"]}), tmp_path / "train-3.parquet")
    page = get(client(tmp_path), "/rows")
    assert column(page, "a") == [1, 2.5] and column(page, "b") == ["x", None] and column(page, "c") == [None, True]
    assert page["partial"] is True
    told = " ".join(page["notices"])
    assert "train-2.parquet has other columns" in told and "train-3.parquet is left out: column 'a'" in told


def test_a_broken_file_is_named_and_the_rest_shown(tmp_path: Path, client: Open):
    write_parquet(tmp_path / "train-1.parquet", records(5))
    good = write_parquet(tmp_path / "train-2.parquet", records(5, 5)).read_bytes()
    (tmp_path / "train-2.parquet").write_bytes(good[:-10])
    (tmp_path / "train-3.parquet").write_bytes(b"")
    write_parquet(tmp_path / "train-4.parquet", records(5, 10))
    page = get(client(tmp_path), "/rows")
    assert column(page, "id") == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14] and page["partial"] is True
    assert len(page["notices"]) == 2 and "train-2.parquet is not readable as Parquet" in page["notices"][0]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "test.parquet").write_bytes(b"nonsense")
    status, code, text = refused(client(tmp_path / "other"), "/rows")
    assert (status, code) == (500, "StreamingRowsError") and "test.parquet is not readable" in text


def test_pages_damaged_inside_say_so(tmp_path: Path, client: Open):
    path = write_parquet(tmp_path / "train.parquet", records(2000), group=500)
    data = bytearray(path.read_bytes())
    data[200:2000] = b"\xff" * 1800
    path.write_bytes(bytes(data))
    status, code, text = refused(client(tmp_path), "/rows")
    assert status == 500 and code in ("StreamingRowsError", "UnexpectedApiError") and text


def test_a_csv_with_ragged_rows(tmp_path: Path, client: Open):
    good = "".join(f"{row},text {row}\n" for row in range(3000))
    write_text(tmp_path / "train.csv", "id,text\n" + good + "3000,too,many,cells\n3001\n" + "3002,fine\n")
    page = get(client(tmp_path), "/rows", offset=2998)
    assert {2998, 2999, 3002} <= set(column(page, "id")) and page["partial"] is True
    assert "do not fit" in page["notices"][0]


def test_a_number_column_with_a_late_word(tmp_path: Path, client: Open):
    write_text(tmp_path / "train.csv", "id\n" + "1\n" * 30_000 + "word\n")
    page = get(client(tmp_path), "/rows", offset=29_999)
    assert column(page, "id") == ["1", "word"] and page["partial"] is False


def test_mixed_types_of_json(tmp_path: Path, client: Open):
    rows = [{"a": 1, "b": [1]}, {"a": "text", "b": {"x": 1}}, {"a": {"deep": None}}, {"a": [1, "x"], "c": True}]
    write_jsonl(tmp_path / "train.jsonl", rows)
    page = get(client(tmp_path), "/rows")
    assert column(page, "a") == [1, "text", {"deep": None}, [1, "x"]] and column(page, "b")[:2] == [[1], {"x": 1}]
    assert {each["name"]: each["type"] for each in page["features"]}["a"] == {"_type": "Json"}


def test_json_that_is_none(tmp_path: Path, client: Open):
    write_text(tmp_path / "train-1.jsonl", '{"a": 1}\n{"a": 2}\n')
    write_text(tmp_path / "train-2.jsonl", '{"a": 3}\n{"a": \n')
    write_text(tmp_path / "train-3.jsonl", "")
    page = get(client(tmp_path), "/rows")
    assert {1, 2} <= set(column(page, "a")) and page["partial"] is True
    assert any("train-3.jsonl is empty" in each for each in page["notices"])
    write_text(tmp_path / "alone" / "train.json", "not json at all")
    status, code, text = refused(client(tmp_path / "alone"), "/rows")
    assert status == 500 and code == "StreamingRowsError" and "train.json" in text


def test_texts_that_are_not_utf8(tmp_path: Path, client: Open):
    (tmp_path / "train.csv").write_bytes("name\ncafé\n".encode("latin-1"))
    response = client(tmp_path).get("/rows")
    answer = response.json()
    assert ("train.csv" in answer["error"]) if response.status_code == 500 else answer["notices"]


def test_a_json_array_and_compressed_lines(tmp_path: Path, client: Open):
    import gzip

    write_text(tmp_path / "array" / "train.json", json.dumps(records(3)))
    assert column(get(client(tmp_path / "array"), "/rows"), "id") == [0, 1, 2]
    packed = tmp_path / "packed" / "train.jsonl.gz"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(b'{"id": 7}\n'))
    assert column(get(client(tmp_path / "packed"), "/rows"), "id") == [7]


def test_a_split_without_rows(tmp_path: Path, client: Open):
    pq.write_table(labeled(pa.table({"label": pa.array([], pa.int64())})), tmp_path / "train.parquet")
    viewer = client(tmp_path)
    assert get(viewer, "/rows")["num_rows_total"] == 0 and get(viewer, "/first-rows")["rows"] == []
    assert get(viewer, "/filter", where="label = 'pos'")["rows"] == []


def test_files_that_no_reader_may_be_given(tmp_path: Path, client: Open, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lamina.viewer.readers.LONGEST", 2 << 20)
    write_text(tmp_path / "train-1.csv", "a,b\n1,2\n")
    write_text(tmp_path / "train-2.csv", "a,b\n" + "x" * (3 << 20) + ",1\n")
    (tmp_path / "train-3.csv").write_bytes("a,b\n3,4\n".encode("utf-16"))
    write_text(tmp_path / "train-4.csv", "")
    page = get(client(tmp_path), "/rows")
    assert column(page, "a") == [1] and page["partial"] is True
    told = " ".join(page["notices"])
    assert (
        "train-2.csv has a line longer" in told and "train-3.csv is UTF-16" in told and "train-4.csv is empty" in told
    )


@pytest.mark.parametrize(("form", "place"), [("csv", 1), ("csv", 200_000), ("jsonl", 1), ("jsonl", 200_000)])
def test_a_line_longer_than_readers_expect_is_shown(tmp_path: Path, client: Open, form: str, place: int):
    long = "x" * (3 << 20 if form == "csv" else 20 << 20)
    row = "{},short and even shorter" if form == "csv" else '{{"id":{},"text":"short and even shorter"}}'
    lines = ["id,text"] if form == "csv" else []
    lines += [row.format(number).replace("short", long if number == place else "short") for number in range(place + 2)]
    write_text(tmp_path / f"train.{form}", "\n".join(lines) + "\n")
    viewer = client(tmp_path, memory=1 << 30)
    page = get(viewer, "/rows", offset=place - 1, cell=1000)
    assert column(page, "id") == [place - 1, place, place + 1] and page["partial"] is False
    assert [row["truncated_cells"] for row in page["rows"]] == [[], ["text"], []]
    whole = get(viewer, "/rows", offset=place, length=1, full=True)
    assert len(column(whole, "text")[0]) > len(long)


def test_an_object_too_long_for_json_is_told(tmp_path: Path, client: Open, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lamina.viewer.readers.LONGEST", 2 << 20)
    write_jsonl(tmp_path / "train.jsonl", [{"a": "x" * (40 << 20)}])
    status, code, text = refused(client(tmp_path), "/rows")
    assert (status, code) == (500, "StreamingRowsError") and "train.jsonl has a line longer than 2 MB" in text


def test_three_thousand_columns_of_csv(tmp_path: Path, client: Open):
    names = [f"column {place}" for place in range(3000)]
    lines = [",".join(names), *(",".join(str(row * place % 97) for place in range(3000)) for row in range(12))]
    write_text(tmp_path / "train.csv", "\n".join(lines) + "\n")
    viewer = client(tmp_path, memory=1 << 30)
    page = get(viewer, "/rows", offset=10)
    assert numbers(page) == [10, 11] and page["rows"][1]["row"]["column 2999"] == 11 * 2999 % 97
    assert len(page["features"]) == 3000 and numbers(get(viewer, "/filter", where='"column 2999" = 9')) == [11]


def test_csv_is_looked_into_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_text(tmp_path / "train-1.csv", "id;said\n1;'a;b'\n")
    write_text(tmp_path / "train-2.csv", "id;said\n2;'c'\n")
    write_text(tmp_path / "test-1.csv", "id,said\n1,a\n")
    write_text(tmp_path / "test-2.csv", "id\tother\n2\tb\n")
    dataset = open_dataset(tmp_path)
    engine = DuckEngine(dataset, Settings(cache=tmp_path / "cache", threads=1, memory=128 << 20))
    try:
        alike, unlike = (engine.open(dataset.split(None, name), Stop()) for name in ("train", "test"))
        assert "auto_detect = false" in alike.scan.source and "auto_detect" not in unlike.scan.source
        assert engine.rows(alike, 0, 9, Stop()).rows.to_pydict() == {"id": [1, 2], "said": ["a;b", "c"]}
        assert engine.rows(unlike, 0, 9, Stop()).rows.column_names == ["id", "said", "other"]
    finally:
        engine.close()


def test_the_file_that_does_not_fit_is_named(tmp_path: Path, client: Open):
    write_text(tmp_path / "train-1.csv", "a,b\n1,2\n")
    (tmp_path / "train-2.csv").write_bytes("a,b\n3,caf\xe9\n".encode("latin-1"))
    page = get(client(tmp_path), "/rows")
    assert 1 in column(page, "a") and page["partial"] is True
    assert "train-2.csv: " in page["notices"][0] and "not utf-8" in page["notices"][0]
