"""The lines of code that the page offers run as they are and give the rows that the page shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lamina.viewer.app import create_app
from lamina.viewer.settings import Settings

from . import reviews
from .test_page import WAIT, settled

VIEWS = {
    "all": "",
    "simple": '&where="label"=2&where="stars">=2 and "stars"<5&where="seen"=true&orderby="id" desc',
    "null": '&where="stars" is null&where="text" ilike \'%not%\'',
    "lengths": '&where="tags".len()>=3&where="language"=\'ko\'',
    "sql": '&where="written">=\'2026-03-01\'&where="stars"=1 or "stars"=2&orderby="score"',
}
CHECK = """
import json, sys
import pandas as pd
def rows_of(code):
    names = {}
    exec(code, names)
    found = names.get("df") if "df" in names else names["rows"]
    if type(found).__module__.startswith(("duckdb", "_duckdb")):
        found = found.df()
    elif not isinstance(found, pd.DataFrame):
        found = found.to_pandas()
    return sorted(int(value) for value in found["id"])
answers, sys.stdout = sys.stdout, sys.stderr  # lines may print what they like
for line in sys.stdin:
    print(json.dumps([rows_of(code) for code in json.loads(line)]), file=answers, flush=True)
"""
Run = Callable[[list[str]], list[list[int]]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The ids in the rows that lines of code give; one process for all, which imports the libraries once."""
    folder = tmp_path_factory.mktemp("code")
    offline = {"HF_DATASETS_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    with (
        (folder / "errors").open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-c", CHECK],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **offline, "HF_HOME": str(folder / "home")},
        ) as process,
    ):
        assert process.stdin and process.stdout
        asked, answers = process.stdin, process.stdout

        def given(codes: list[str]) -> list[list[int]]:
            asked.write(json.dumps(codes) + "\n")
            asked.flush()
            answer = answers.readline()
            assert answer, (folder / "errors").read_text()[-3000:]
            found: list[list[int]] = json.loads(answer)
            return found

        yield given


def codes(page: Any) -> list[str]:
    """What the dialog offers, library by library."""
    page.locator("#code-button").click()
    found = []
    for tab in page.get_by_role("tab").all():
        tab.click()
        found.append(page.locator("#code").text_content())
    page.get_by_role("button", name="Close").click()
    return found


def ids(page: Any) -> list[int]:
    """The ids of every row that the page's view holds."""
    found: list[int] = []
    while True:
        names = page.locator("thead th").evaluate_all("all => all.map((cell) => cell.dataset.column ?? '')")
        found += [
            int(text) for text in page.locator(f"tbody tr > :nth-child({names.index('id') + 1})").all_inner_texts()
        ]
        if page.get_by_role("button", name="Next page").is_disabled():
            return sorted(found)
        before = page.locator(".range").inner_text()
        page.keyboard.press("n")
        page.wait_for_function("before => document.querySelector('.range').innerText !== before", arg=before)
        settled(page)


def test_lines_give_the_rows_of_the_page(page: Any, run: Run, tmp_path: Path):
    folder = reviews.write(tmp_path / "reviews")
    (folder / "broken-train.parquet").unlink()
    page.set_default_timeout(WAIT)
    wanted, offered = [], []
    with reviews.serving(create_app(folder, Settings(cache=tmp_path / "c", hub_cache=tmp_path / "h"))) as address:
        for view in VIEWS.values():
            page.goto(f"{address}/?split=train{view}")
            page.wait_for_selector("tbody tr")
            settled(page)
            offered += codes(page)
            wanted += [ids(page)] * 3
    assert all(wanted)
    for code, got, rows in zip(offered, run(offered), wanted, strict=True):
        assert got == rows, code


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "txt", "arrow", "saved"])
def test_lines_open_every_kind_of_file(page: Any, run: Run, tmp_path: Path, kind: str):
    folder = tmp_path / "it's a folder"
    folder.mkdir()
    write_kind(folder, kind)
    page.set_default_timeout(WAIT)
    with reviews.serving(create_app(folder, Settings(cache=tmp_path / "c", hub_cache=tmp_path / "h"))) as address:
        page.goto(address)
        page.wait_for_selector("tbody tr")
        offered = codes(page)
    if kind == "txt":
        offered = [f'{code}\nrows = (df if "df" in dir() else rows)\n' + COUNT for code in offered]
    for code, got in zip(offered, run(offered), strict=True):
        assert got == [1, 2, 3], code


COUNT = """
found = rows if hasattr(rows, "iloc") else rows.df() if hasattr(rows, "df") else rows.to_pandas()
df = found.assign(id=range(1, len(found) + 1))
"""


def write_kind(folder: Path, kind: str) -> None:
    if kind == "csv":
        (folder / "data.csv").write_text('id,text\n1,"a, b"\n2,c\n3,"d ""e"""\n')
    elif kind == "tsv":
        (folder / "data.tsv").write_text("id\ttext\n1\ta\n2\tb\n3\tc\n")
    elif kind == "jsonl":
        (folder / "data.jsonl").write_text('{"id": 1, "text": "a"}\n{"id": 2, "text": null}\n{"id": 3, "text": "c"}\n')
    elif kind == "txt":
        (folder / "data.txt").write_text('one, two\n"three\nfour\t5\n')
    elif kind == "arrow":
        with pa.ipc.new_stream(folder / "data.arrow", pa.schema({"id": pa.int64()})) as writer:
            writer.write_table(pa.table({"id": [1, 2, 3]}))
    else:
        from datasets import Dataset, DatasetDict

        DatasetDict({"train": Dataset.from_dict({"id": [1, 2, 3]})}).save_to_disk(folder)
