"""Search: any word in any language, best first, from an index that is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamina.viewer.duckengine import DuckEngine
from lamina.viewer.jobs import Progress
from lamina.viewer.search import build, match_expression, ranges, spaced
from lamina.viewer.settings import Settings
from lamina.viewer.sources import open_dataset
from lamina.viewer.stop import Stop
from tests.viewer.conftest import Open
from tests.viewer.data import get, numbers, records, refused, write_jsonl, write_parquet, write_text

TEXTS = [
    "The quick brown fox",
    "what can we do",
    "A naïve café owner",
    "서울에서 만난 한국어 선생님",
    "我爱自然语言处理",
    "running dogs and a fox, a fox",
    'o\'clock AND OR NOT near* "quoted"',
    "東京タワー",
]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    write_jsonl(
        tmp_path / "data" / "train.jsonl",
        [{"text": text, "more": [{"deep": f"deep{n}"}]} for n, text in enumerate(TEXTS)],
    )
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("quick", [0]),
        ("what", [1]),
        ("can", [1]),
        ("the", [0]),
        ("cafe", [2]),
        ("NAÏVE", [2]),
        ("한국", [3]),
        ("서울", [3]),
        ("自然", [4]),
        ("東京", [7]),
        ("dog", [5]),
        ("deep6", [6]),
        ("fox", [5, 0]),
        ("quick what", [0, 1]),
        ('"brown fox"', [0]),
        ('"fox brown"', []),
        ("o'clock", [6]),
        ("near*", [6]),
        ("absent", []),
        ("!!!", []),
        ('"', []),
        ("text:fox", []),
    ],
)
def test_words(texts: Path, client: Open, query: str, found: list[int]):
    answer = get(client(texts), "/search", query=query)
    assert sorted(numbers(answer)) == sorted(found) and answer["num_rows_total"] == len(found)
    if query == "fox":
        assert numbers(answer) == [5, 0]


def test_names_of_classes_are_found(tmp_path: Path, client: Open):
    viewer = client(write_parquet(tmp_path / "train.parquet", records(10)))
    assert sorted(numbers(get(viewer, "/search", query="pos"))) == [1, 3, 5, 7, 9]


def test_pages_filters_and_orders(tmp_path: Path, client: Open):
    viewer = client(write_parquet(tmp_path / "train.parquet", records(50)))
    page = get(viewer, "/search", query='"says alpha"', offset=2, length=3)
    assert page["num_rows_total"] == 10 and len(page["rows"]) == 3
    found = get(viewer, "/search", query="says", where="id >= 45", orderby="id desc")
    assert numbers(found) == [49, 48, 47, 46, 45] and found["num_rows_total"] == 5
    assert sorted(numbers(get(viewer, "/search", query="says", where="id >= 47"))) == [47, 48, 49]


def test_the_index_is_built_once_and_follows_the_files(tmp_path: Path, client: Open):
    path = write_jsonl(tmp_path / "train.jsonl", [{"text": "one"}])
    kept = tmp_path / "cache" / "search"
    assert numbers(get(client(path), "/search", query="one")) == [0]
    (index,) = kept.iterdir()
    changed = index.stat().st_ctime_ns
    before = index.read_bytes()
    assert numbers(get(client(path), "/search", query="one")) == [0]
    assert list(kept.iterdir()) == [index] and index.read_bytes() == before and index.stat().st_ctime_ns >= changed
    write_jsonl(path, [{"text": "zero"}, {"text": "one"}])
    assert numbers(get(client(path), "/search", query="one")) == [1] and len(list(kept.iterdir())) == 2


def test_what_cannot_be_searched(tmp_path: Path, client: Open):
    write_text(tmp_path / "train.csv", "a,b\n1,2\n")
    viewer = client(tmp_path)
    assert refused(viewer, "/search", query="x")[:2] == (400, "SearchFeatureNotAvailableError")
    assert (
        refused(viewer, "/search", query=" ")[:2] == refused(viewer, "/search")[:2] == (422, "MissingRequiredParameter")
    )
    assert get(viewer, "/is-valid")["search"] is False


def test_a_damaged_index_is_named(tmp_path: Path, client: Open):
    path = write_jsonl(tmp_path / "train.jsonl", [{"text": "one"}])
    get(client(path), "/search", query="one")
    (index,) = (tmp_path / "cache" / "search").iterdir()
    index.write_bytes(b"no database, but long enough to be looked at by SQLite" * 100)
    status, _, text = refused(client(path), "/search", query="one")
    assert status == 500 and index.name in text and "remove" in text


@given(st.text(max_size=60))
def test_any_query_is_only_words(query: str):
    import sqlite3

    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE VIRTUAL TABLE words USING fts5(a, content = '')")
        connection.execute("INSERT INTO words (rowid, a) VALUES (0, ?)", [spaced(query)])
        expression = match_expression(query)
        if expression:
            connection.execute("SELECT rowid FROM words WHERE words MATCH ?", [expression]).fetchall()
    connection.close()


def test_ranges_of_rows_searched_apart_find_what_one_search_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lamina.viewer.search.SHARED", 10)
    rows = [{"text": " ".join(["river"] * (row % 7) + ["word"] * (row % 5) + ["end"])} for row in range(95)]
    write_jsonl(tmp_path / "train.jsonl", rows)
    dataset = open_dataset(tmp_path)
    engine = DuckEngine(dataset, Settings(cache=tmp_path / "cache", threads=1, memory=128 << 20))
    try:
        table = engine.open(dataset.split(None, None), Stop())
        one, many = (
            build(engine, table, tmp_path / "cache", Stop(), Progress(), threads=threads) for threads in (1, 4)
        )
    finally:
        engine.close()
    assert ranges(95, 4) == [(0, 22), (23, 46), (47, 70), (71, 94)] and ranges(0, 4) == [(0, -1)]
    for query, total in (("river", 81), ("river end", 95), ('"word end"', 76), ("absent", 0)):
        whole, count = one.found(query, Stop())
        assert count == total == len(whole) and many.found(query, Stop()) == (whole, count)
        assert many.found(query, Stop(), 10, 20) == many.found(query, Stop(), 10, 20) == (whole[10:30], count)
