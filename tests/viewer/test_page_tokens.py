"""Token lengths: the counts are the tokenizer's own, they come while they are made, and stop when nobody looks."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from lamina.viewer.app import create_app
from lamina.viewer.counting import open_tokenizer
from lamina.viewer.settings import Settings
from lamina.viewer.tokens import BUILT_IN, portions

from . import reviews
from .test_page import WAIT


def whitespace(folder: Path, **limits: int) -> Path:
    """A tokenizer of one token a word, which cuts and pads as trained ones do."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=8)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(limits))
    return folder


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = reviews.write(tmp_path_factory.mktemp("data") / "reviews")
    cache = tmp_path_factory.mktemp("cache")
    whitespace(cache / "models--org--cached" / "snapshots" / "abc")
    broken = tmp_path_factory.mktemp("broken")
    (broken / "tokenizer.json").write_text("{}")
    given = (whitespace(tmp_path_factory.mktemp("words"), model_max_length=16), broken)
    with reviews.serving(create_app(folder, Settings(cache=cache, hub_cache=cache, tokenizers=given))) as found:
        yield found


def count(address: str, **params: Any) -> list[dict[str, Any]]:
    got = httpx.get(f"{address}/view/tokens", params={"split": "train", **params}, timeout=120)
    assert got.status_code == 200, got.text
    return [json.loads(line) for line in got.text.splitlines()]


def test_tokenizers_are_those_named_cached_and_built_in(address: str):
    found = httpx.get(f"{address}/view/tokenizers").json()["tokenizers"]
    assert [each["id"] for each in found] == ["given-0", "given-1", "org/cached", "built-in"]


def test_counts_are_whole_without_cutting_or_padding(address: str):
    last = count(address, column="text", tokenizer="given-0")[-1]
    wanted = Counter(len(reviews.text_of(row).split()) for row in range(reviews.ROWS))
    assert last["finished"] is True
    assert last["counts"] == [[length, rows] for length, rows in sorted(wanted.items())]
    assert last["longest"][0] == [3, len(reviews.text_of(3).split())]
    assert last["model_max_length"] == 16


def test_counts_of_the_built_in_tokenizer(address: str):
    last = count(address, column="text", tokenizer="built-in", rows=40)[-1]
    tokenizer = open_tokenizer(BUILT_IN)
    wanted = Counter(len(tokenizer.encode(reviews.text_of(row))) for row in range(40))
    assert {length: rows for length, rows in last["counts"]} == wanted
    assert (last["done"], last["total"]) == (40, 40)


@pytest.mark.parametrize(
    ("params", "status", "said"),
    [
        ({"column": "text", "tokenizer": "/etc"}, 404, "--tokenizer"),
        ({"column": "text", "tokenizer": "../../etc"}, 404, "--tokenizer"),
        ({"column": "stars", "tokenizer": "given-0"}, 422, "no column of text"),
        ({"column": "none", "tokenizer": "given-0"}, 422, "no column of text"),
        ({"column": "text", "tokenizer": "given-1"}, 500, "cannot be read"),
        ({"column": "text", "tokenizer": "given-0", "rows": "0"}, 422, "rows"),
        ({"column": "text"}, 422, "tokenizer"),
    ],
)
def test_wrong_questions(address: str, params: dict[str, Any], status: int, said: str):
    answer = httpx.get(f"{address}/view/tokens", params={"split": "train", **params}, timeout=120)
    assert answer.status_code == status
    assert said in answer.json()["error"]


def test_portions_are_bounded_and_skip_nulls():
    texts: list[str | None] = ["a", None, *["b" * 1_500_000] * 3, *["c"] * 2500]
    found = list(portions(texts, 10))
    assert [row for rows, _ in found for row in rows] == [10, *range(12, 12 + 2503)]
    assert all(len(portion) <= 1000 and sum(map(len, portion)) <= 3_500_000 for _, portion in found)


def children() -> set[str]:
    """Counting processes of ours that run now."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            parent = int((path.parent / "stat").read_text().rpartition(")")[2].split()[1])
            if b"lamina.viewer.counting" in path.read_bytes() and parent == os.getpid():
                found.add(path.parent.name)
        except OSError:
            continue
    return found


def test_leaving_ends_the_count(tmp_path: Path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(
        pa.table({"text": ["some words to be counted again and again " * 20] * 300_000}), tmp_path / "train.parquet"
    )
    cache = tmp_path / "cache"
    with reviews.serving(create_app(tmp_path / "train.parquet", Settings(cache=cache, hub_cache=cache))) as address:
        before = children()
        params = {"column": "text", "tokenizer": "built-in"}
        with httpx.stream("GET", f"{address}/view/tokens", params=params, timeout=120) as got:
            lines = got.iter_lines()
            assert json.loads(next(lines))["done"] == 0
            assert 0 < json.loads(next(lines))["done"] < 300_000
            assert children() - before
        deadline = time.monotonic() + 120
        while children() - before and time.monotonic() < deadline:
            time.sleep(0.05)
        assert children() <= before


def test_the_page_draws_them(page: Any, address: str):
    page.set_default_timeout(WAIT)
    page.goto(f"{address}/?split=train&view=tokens&column=text&tokenizer=given-0")
    page.wait_for_selector(".limit-line")
    assert page.locator(".chart rect").count() > 5
    assert "16 tokens" in page.locator(".chart").text_content()  # the model's own limit
    figures = page.locator(".figures").inner_text()
    assert "Longest" in figures
    assert "5,400" in figures
    page.get_by_role("spinbutton", name="Tokens a model reads").fill("100000")
    assert "100% of the rows fit" in page.locator("output").inner_text()
    page.get_by_role("button", name="Row 3", exact=True).click()
    page.get_by_role("heading", name="Row 3").wait_for()
