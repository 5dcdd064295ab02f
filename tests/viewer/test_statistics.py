"""Statistics by the official rules, against the same rules worked out here over plain Python lists."""

from __future__ import annotations

import datetime
import math
import os
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lamina.viewer.columns import bars, float_edges, integer_edges
from lamina.viewer.duckengine import DuckEngine
from lamina.viewer.jobs import Progress
from lamina.viewer.settings import Settings
from lamina.viewer.sources import open_dataset
from lamina.viewer.statistics import compute
from lamina.viewer.stop import Stop
from lamina.viewer.values import Values
from tests.viewer.conftest import Open
from tests.viewer.data import get, labeled, refused, write_jsonl


def described(folder: Path, table: pa.Table) -> dict[str, tuple[str, dict[str, Any]]]:
    """Column -> type and statistics."""
    pq.write_table(table, folder / "train.parquet")
    return described_folder(folder)


def described_folder(folder: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    dataset = open_dataset(folder)
    engine = DuckEngine(dataset, Settings(cache=folder / "cache", threads=1, memory=128 << 20))
    try:
        opened = engine.open(dataset.split(None, None), Stop())
        found = compute(engine, opened, folder / "cache", Stop(), Progress())
        again = compute(engine, opened, folder / "cache", Stop(), Progress())
    finally:
        engine.close()
    assert found == again and found["num_examples"] == opened.num_rows
    return {each["column_name"]: (each["column_type"], each["column_statistics"]) for each in found["statistics"]}


def expected_numeric(values: list[float], edges: list[Any], rows: int) -> dict[str, Any]:
    counts = [0] * (len(edges) - 1)
    for value in values:
        place = next((at for at in range(len(counts) - 1) if value < edges[at + 1]), len(counts) - 1)
        counts[place] += 1
    missing = rows - len(values)
    return {
        "nan_count": missing,
        "nan_proportion": round(missing / rows, 5),
        "min": round(min(values), 5),
        "max": round(max(values), 5),
        "mean": pytest.approx(statistics.fmean(values), rel=1e-6, abs=1e-5),
        "median": pytest.approx(statistics.median(values), rel=1e-6, abs=1e-5),
        "std": pytest.approx(statistics.stdev(values), rel=1e-6, abs=1e-5) if len(values) > 1 else None,
        "histogram": {"hist": counts, "bin_edges": [round(edge, 5) for edge in edges]},
    }


def test_numbers(tmp_path: Path):
    ints = [3, 3, None, -7, 100, 41, 12, 0, None, 5]
    floats = [0.5, float("nan"), None, 2.25, -1.0, 100.125, 7.0, 3.3333333, 0.0, 1.0]
    found = described(tmp_path, pa.table({"i": ints, "f": floats, "none": pa.nulls(10, pa.float64())}))
    whole = [value for value in ints if value is not None]
    assert found["i"] == ("int", expected_numeric(whole, [-7, 4, 15, 26, 37, 48, 59, 70, 81, 92, 100], 10))
    finite = [value for value in floats if value is not None and not math.isnan(value)]
    assert found["f"] == ("float", expected_numeric(finite, float_edges(-1.0, 100.125), 10))
    empty = dict.fromkeys(("min", "max", "mean", "median", "std", "histogram"))
    assert found["none"] == ("float", {"nan_count": 10, "nan_proportion": 1.0, **empty})


def test_infinities_are_counted_apart(tmp_path: Path):
    _, found = described(tmp_path, pa.table({"f": [1.0, float("inf"), float("-inf"), 2.0]}))["f"]
    assert found["infinite_count"] == 2 and found["nan_count"] == 0 and (found["min"], found["max"]) == (1.0, 2.0)
    assert sum(found["histogram"]["hist"]) == 2


@pytest.mark.parametrize(
    ("low", "high", "edges"),
    [
        (0, 0, [0, 0]),
        (0, 1, [0, 1, 1]),
        (1, 10, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10]),
        (0, 10, [0, 2, 4, 6, 8, 10, 10]),
        (0, 99, [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99]),
        (-3, 8, [-3, -1, 1, 3, 5, 7, 8]),
    ],
)
def test_edges_of_whole_numbers(low: int, high: int, edges: list[int]):
    assert integer_edges(low, high) == edges


@given(st.integers(-(10**12), 10**12), st.integers(0, 10**12))
def test_edges_always_hold_everything(low: int, span: int):
    edges = integer_edges(low, low + span)
    assert edges[0] == low and edges[-1] == low + span and 2 <= len(edges) <= 11 and edges == sorted(edges)
    numbers = float_edges(float(low), float(low + span))
    assert numbers[0] == low and numbers[-1] == low + span and numbers == sorted(numbers)
    assert bars([1, 1, 4], 9) == [1, 0, 3, 5]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ints=st.lists(st.one_of(st.none(), st.integers(-(2**40), 2**40)), min_size=1, max_size=30),
    floats=st.lists(st.one_of(st.none(), st.floats(-1e9, 1e9)), min_size=1, max_size=30),
)
def test_any_numbers(tmp_path_factory: pytest.TempPathFactory, ints: list[Any], floats: list[Any]):
    for kind, given_values, edges in (("int", ints, integer_edges), ("float", floats, float_edges)):
        values = [value for value in given_values if value is not None]
        if values:
            arrow = pa.array(given_values, pa.int64() if kind == "int" else pa.float64())
            found = described(tmp_path_factory.mktemp("s"), pa.table({"x": arrow}))["x"]
            assert found == (kind, expected_numeric(values, edges(min(values), max(values)), len(given_values)))


def test_labels_and_texts(tmp_path: Path):
    label = pa.array([0, 1, 1, -1, None] * 4)
    table = labeled(
        pa.table(
            {
                "label": label,
                "few": ["a", "b", "b", None, "b"] * 4,
                "many": [f"{'x' * n} {n}" for n in range(20)],
                "empty": pa.nulls(20, pa.string()),
                "flag": [True, False, None, True, True] * 4,
            }
        )
    )
    found = described(tmp_path, table)
    assert found["label"] == (
        "class_label",
        {
            "nan_count": 4,
            "nan_proportion": 0.2,
            "no_label_count": 4,
            "no_label_proportion": 0.2,
            "n_unique": 2,
            "frequencies": {"neg": 4, "pos": 8},
        },
    )
    no_label = {"no_label_count": 0, "no_label_proportion": 0.0}
    assert found["few"] == (
        "string_label",
        {"nan_count": 4, "nan_proportion": 0.2, **no_label, "n_unique": 2, "frequencies": {"b": 12, "a": 4}},
    )
    kind, lengths = found["many"]
    assert kind == "string_text" and (lengths["min"], lengths["max"]) == (2, 22)
    assert found["empty"][0] == "string_label" and found["empty"][1]["frequencies"] == {}
    assert found["flag"] == ("bool", {"nan_count": 4, "nan_proportion": 0.2, "frequencies": {"False": 4, "True": 12}})


@pytest.mark.parametrize(
    ("rows", "different", "kind"),
    [(50, 10, "string_label"), (50, 11, "string_text"), (100, 20, "string_label"), (100, 21, "string_text"),
     (6000, 1000, "string_label"), (6000, 1001, "string_text")],
)  # fmt: skip
def test_where_labels_end(tmp_path: Path, rows: int, different: int, kind: str):
    found = described(tmp_path, pa.table({"x": [f"value {row % different}" for row in range(rows)]}))
    assert found["x"][0] == kind


def test_lengths_count_characters_and_items(tmp_path: Path):
    texts = ["한국어", "é", "🎬🎬", ""] + [f"text {n}" for n in range(30)]
    lists = [[1, 2], [], None, [1]] + [[0]] * 30
    found = described(tmp_path, pa.table({"t": texts, "l": lists, "s": [{"a": 1}] * 34}))
    assert (found["t"][1]["min"], found["t"][1]["max"]) == (0, 7)
    assert found["l"][0] == "list" and found["l"][1]["nan_count"] == 1 and found["l"][1]["max"] == 2
    assert "s" not in found


def test_moments(tmp_path: Path):
    start = datetime.datetime(2020, 1, 1)
    moments = [start, None, start + datetime.timedelta(seconds=10), start + datetime.timedelta(seconds=20)]
    zoned = pa.array(moments, pa.timestamp("us", "UTC"))
    found = described(tmp_path, pa.table({"t": moments, "z": zoned, "d": pa.array([0, 1, 2, None], pa.date32())}))
    kind, naive = found["t"]
    assert kind == "datetime" and naive["nan_count"] == 1 and naive["std"] == "0:00:10"
    assert (naive["min"], naive["max"]) == ("2020-01-01 00:00:00", "2020-01-01 00:00:20")
    assert naive["mean"] == naive["median"] == "2020-01-01 00:00:10"
    assert naive["histogram"]["bin_edges"][-1] == "2020-01-01 00:00:20" and sum(naive["histogram"]["hist"]) == 3
    assert found["z"][1]["min"] == "2020-01-01 00:00:00+0000"
    assert found["d"][1]["max"] == "1970-01-03 00:00:00"


def test_no_rows(tmp_path: Path):
    table = pa.table({"i": pa.array([], pa.int64()), "t": pa.array([], pa.string()), "b": pa.array([], pa.bool_())})
    found = described(tmp_path, table)
    assert found["i"][1]["nan_proportion"] == 0.0 and found["i"][1]["histogram"] is None
    assert found["t"][1]["frequencies"] == {} == found["b"][1]["frequencies"]


def finished(client: TestClient, **parameters: Any) -> Any:
    progress = get(client, "/statistics/progress", wait=20, **parameters)
    assert progress["state"] != "running", "the statistics were not finished within twenty seconds"
    return progress


def test_in_the_background_with_progress(tmp_path: Path, client: Open):
    write_jsonl(tmp_path / "train.jsonl", [{"id": row, "text": f"row {row}"} for row in range(500)])
    viewer = client(tmp_path)
    status, code, text = refused(viewer, "/statistics")
    assert (status, code) == (500, "ResponseNotReady") and "ask again" in text
    progress = finished(viewer)
    assert progress["state"] == "done" and progress["done"] == progress["total"] == 2
    answer = get(viewer, "/statistics")
    assert answer["num_examples"] == 500 and answer["partial"] is False
    assert [each["column_type"] for each in answer["statistics"]] == ["int", "string_text"]
    assert progress["statistics"] == answer["statistics"]


def test_a_failure_is_told(tmp_path: Path, client: Open):
    path = tmp_path / "train.parquet"
    pq.write_table(pa.table({"x": list(range(5000)), "y": [f"text {n}" for n in range(5000)]}), path)
    viewer = client(tmp_path)
    get(viewer, "/rows", length=1)
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[10 : len(data) // 2] = b"\xff" * (len(data) // 2 - 10)
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    progress = finished(viewer)
    assert progress["state"] == "failed" and "cannot be read" in progress["error"]
    assert viewer.get("/statistics").status_code == 500


@settings(max_examples=60)
@given(
    given_values=st.one_of(
        st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=40),
        st.lists(st.integers(-2, 2), min_size=1, max_size=40),
        st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=40),
    ),
    size=st.integers(1, 7),
)
def test_values_that_are_read_again_and_again_say_what_held_ones_say(given_values: list[Any], size: int):
    kind = np.int64 if isinstance(given_values[0], int) else np.float64
    pieces = [np.array(given_values[at : at + size], kind) for at in range(0, len(given_values), size)]
    held, again = (Values(lambda: pieces, held=way) for way in (True, False))
    assert again.median() == held.median() == pytest.approx(float(statistics.median(given_values)), rel=1e-12)
    assert held.mean == pytest.approx(statistics.fmean(given_values), rel=1e-9, abs=1e-6)
    assert (held.low, held.high, held.count) == (min(given_values), max(given_values), len(given_values))


def test_columns_too_large_to_be_held_say_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    numbers = [row * 7919 % 1000 for row in range(500)]
    columns = {"i": numbers, "f": [n / 7 for n in numbers], "t": ["x" * n + str(n) for n in numbers]}
    table = pa.table({**columns, "d": pa.array(numbers, pa.timestamp("s"))})
    held = described(tmp_path, table)
    monkeypatch.setattr("lamina.viewer.statistics.HELD", 100)
    (tmp_path / "again").mkdir()
    assert described(tmp_path / "again", table) == held


def test_numbers_of_more_than_64_bits(tmp_path: Path):
    for place, values in enumerate(([2**64 - 1, 2**64 - 3], [-(2**62), 5])):
        kind = pa.uint64() if place == 0 else pa.int64()
        pq.write_table(pa.table({"x": pa.array(values, kind)}), tmp_path / f"part-{place}.parquet")
    found = described_folder(tmp_path)["x"]
    assert found[0] == "int" and (found[1]["min"], found[1]["max"]) == (-(2**62), 2**64 - 1)
    assert sum(found[1]["histogram"]["hist"]) == 4


def test_extreme_numbers(tmp_path: Path):
    found = described(
        tmp_path, pa.table({"f": [1.7e308, 1.7e308, -1.7e308], "u": pa.array([0, 1, 2**64 - 1], "uint64")})
    )
    assert found["f"][1]["median"] == 1.7e308 and sum(found["f"][1]["histogram"]["hist"]) == 3
    assert (found["u"][1]["min"], found["u"][1]["max"], found["u"][1]["median"]) == (0, 2**64 - 1, 1.0)
    assert found["u"][1]["histogram"]["hist"] == [2, 0, 0, 0, 0, 0, 0, 0, 0, 1]
