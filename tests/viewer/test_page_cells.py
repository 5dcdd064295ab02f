"""Cells too long for the page: cut in the table, read on piece by piece in the open row, saved whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lamina.viewer.app import create_app
from lamina.viewer.settings import Settings

from . import reviews
from .test_page import WAIT

LONG = "naïve 영화 🎬 \n" * 200_000  # 2.4 million characters, 4.4 MB
NUMBERS = list(range(300_000))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("long")
    table = pa.table({"text": ["short", LONG], "list": [[1], NUMBERS], "a/b é": ["x", "y"]})
    pq.write_table(table, folder / "train.parquet")
    with reviews.serving(create_app(folder, Settings(cache=folder / "c", hub_cache=folder / "h"))) as found:
        yield found


def piece(address: str, **params: Any) -> httpx.Response:
    return httpx.get(f"{address}/view/cell", params={"config": "default", "split": "train", **params}, timeout=120)


def test_pieces_make_the_whole(address: str):
    offset, found = 0, []
    while offset is not None:
        answer = piece(address, row=1, column="text", offset=offset, length=1_000_000).json()
        assert answer["total"] == len(LONG)
        found.append(answer["text"])
        offset = answer["next"]
    assert len(found) == 3
    assert "".join(found) == LONG


def test_a_list_is_its_json(address: str):
    answer = piece(address, row=1, column="list", download=True)
    assert json.loads(answer.text) == NUMBERS


def test_the_file_is_the_cell(address: str):
    answer = piece(address, row=1, column="text", download=True)
    assert answer.content.decode() == LONG
    assert answer.headers["content-disposition"].startswith("attachment")
    named = piece(address, row=1, column="a/b é", download=True).headers["content-disposition"]
    assert named == f"attachment; filename*=UTF-8''{quote('a_b é-1.txt')}"


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"row": 1, "column": "none"}, 422),
        ({"row": 2, "column": "text"}, 404),
        ({"row": -1, "column": "text"}, 422),
        ({"row": 1, "column": "text", "length": 0}, 422),
        ({"row": 1, "column": "text", "offset": -1}, 422),
        ({"row": 1}, 422),
        ({"row": 1, "column": "text", "split": "none"}, 404),
    ],
)
def test_wrong_questions(address: str, params: dict[str, Any], status: int):
    answer = piece(address, **params)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_a_cell_beyond_the_limit_says_so(tmp_path: Path):
    pq.write_table(pa.table({"text": ["x" * 5000]}), tmp_path / "train.parquet")
    settings = Settings(cache=tmp_path / "c", hub_cache=tmp_path / "h", full_cell=1000)
    with reviews.serving(create_app(tmp_path, settings)) as address:
        answer = piece(address, row=0, column="text")
        assert (answer.status_code, answer.headers["x-error-code"]) == (500, "TooBigContentError")


def test_the_page_reads_on(page: Any, address: str):
    page.set_default_timeout(WAIT)
    page.goto(f"{address}/?row=1")
    said = page.locator(".field dd").first
    said.get_by_text("50,000 of 2,400,000 characters").wait_for()
    said.get_by_role("button", name="Show more").click()
    said.get_by_text("100,000 of 2,400,000 characters").wait_for()
    assert LONG[:100_000] in said.text_content()
    with page.expect_download() as waiting:
        said.get_by_role("link", name="Save to a file").click()
    assert waiting.value.path().read_text(encoding="utf-8") == LONG


def test_statistics_hold_no_long_text(address: str):
    while True:
        found = httpx.get(f"{address}/statistics/progress", timeout=120)
        if found.json()["state"] != "running":
            break
    kinds = {each["column_name"]: each["column_type"] for each in found.json()["statistics"]}
    assert kinds["text"] == "string_text"
    assert len(found.content) < 10_000
