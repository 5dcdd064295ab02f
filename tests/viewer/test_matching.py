"""Patterns of a card against names, compared with the standard library where both mean the same."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from time import thread_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamina.viewer.dataset import DataFile
from lamina.viewer.matching import matching

NAMES = ["train.csv", "data/train-1.csv", "data/en/test.csv", "data/en/deep/test.csv", "a[1].csv"]
FILES = [DataFile(Path("/", name), name, "csv", 1, 1) for name in NAMES]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("train.csv", ["train.csv"]),
        ("*.csv", ["train.csv", "a[1].csv"]),
        ("data/*", ["data/train-1.csv"]),
        ("data/**", ["data/train-1.csv", "data/en/test.csv", "data/en/deep/test.csv"]),
        ("**/test.csv", ["data/en/test.csv", "data/en/deep/test.csv"]),
        ("data/train-[0-9].csv", ["data/train-1.csv"]),
        ("data/train-[!0-9].csv", []),
        ("{train,test}.csv", ["train.csv"]),
        ("../*", []),
        ("/etc/passwd", []),
    ],
)
def test_patterns(pattern: str, found: list[str]):
    assert [file.name for file in matching(FILES, [pattern])] == found


def test_each_file_once_and_below_a_folder():
    assert [file.name for file in matching(FILES, ["*.csv", "train.csv"])] == ["train.csv", "a[1].csv"]
    assert [file.name for file in matching(FILES, ["*"], "data")] == ["data/train-1.csv"]


@given(st.text("ab*?", max_size=8), st.text("ab", min_size=1, max_size=8))
def test_one_part_as_the_standard_library_has_it(pattern: str, name: str):
    files = [DataFile(Path("/", name), name, "csv", 1, 1)]
    if pattern and pattern != "**":
        assert bool(matching(files, [pattern])) == fnmatchcase(name, pattern)


def test_no_pattern_takes_long():
    name = "a" * 200
    files = [DataFile(Path("/", name), name, "csv", 1, 1)]
    start = thread_time()
    assert matching(files, ["*a" * 100 + "b"]) == []
    assert thread_time() - start < 2
