"""Formats and splits by file name, and the order of shards."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamina.viewer.naming import beside_the_data, foreign, format_of, natural, split_of


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.parquet", "parquet"),
        ("a.CSV", "csv"),
        ("a.tsv.gz", "csv"),
        ("b/a.jsonl.zst", "json"),
        ("a.txt", "text"),
        ("a.arrow", "arrow"),
        ("a.parquet.gz", None),
        ("a.gz", None),
        ("parquet", None),
    ],
)
def test_formats(name: str, format: str | None):
    assert format_of(name) == format


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.csv", "train"),
        ("my-dev.jsonl", "validation"),
        ("test_1.txt", "test"),
        ("data/train-00000-of-00002.parquet", "train"),
        ("data/extra.small-00000-of-00001.parquet", "extra.small"),
        ("validation/part.csv", "validation"),
        ("eval/train.csv", "test"),
        ("latest.csv", None),
        ("trains.csv", None),
        ("imdb-train-00000-of-00001.arrow", "train"),
    ],
)
def test_splits(name: str, split: str | None):
    assert split_of(name) == split


def test_what_is_no_data_although_its_suffix_is():
    assert beside_the_data("README.txt") and beside_the_data("sub/LICENSE.txt") and beside_the_data("state.json")
    assert not beside_the_data("readme.csv") and not beside_the_data("poems.txt")
    assert foreign("a.csv.bz2") and not foreign("a.py.bz2")


def test_shards_in_the_order_of_their_numbers():
    names = ["part-10.csv", "part-2.csv", "part-1.csv", "a.csv"]
    assert sorted(names, key=natural) == ["a.csv", "part-1.csv", "part-2.csv", "part-10.csv"]


@given(st.lists(st.text(max_size=12), max_size=6))
def test_any_names_can_be_sorted_and_judged(names: list[str]):
    sorted(names, key=natural)
    for name in names:
        split_of(name), format_of(name), foreign(name), beside_the_data(name)
