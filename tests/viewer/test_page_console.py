"""The SQL console: answers, downloads, refusals, and queries that end when nobody waits for them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from lamina.viewer.app import create_app
from lamina.viewer.settings import Settings

from . import reviews
from .test_page import WAIT

ENDLESS = "SELECT sum(a.range * b.range % 7) FROM range(1000000) a, range(1000000) b"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reviews.write(tmp_path_factory.mktemp("data") / "reviews")


@pytest.fixture(scope="module")
def address(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    cache = tmp_path_factory.mktemp("cache")
    settings = Settings(cache=cache, hub_cache=cache, timeout=3600, console_rows=100)
    with reviews.serving(create_app(folder, settings)) as found:
        yield found


def ask(address: str, sql: str, **more: Any) -> httpx.Response:
    return httpx.post(f"{address}/view/sql", json={"sql": sql, "split": "train", **more}, timeout=WAIT / 1000)


def test_an_answer_has_columns_types_and_rows(address: str):
    found = ask(
        address, "SELECT label, count(*) AS many, avg(stars) AS mean FROM data GROUP BY label ORDER BY label"
    ).json()
    assert found["columns"] == [
        {"name": "label", "type": "INT64"},
        {"name": "many", "type": "INT64"},
        {"name": "mean", "type": "DOUBLE"},
    ]
    assert [row[:2] for row in found["rows"]] == [[0, 84], [1, 83], [2, 83]]
    assert found["truncated"] is False


def test_answers_are_cut_where_the_settings_say(address: str):
    found = ask(address, "SELECT range FROM range(5000)").json()
    assert (len(found["rows"]), found["truncated"]) == (100, True)


def test_columns_of_one_name_odd_numbers_and_nothing(address: str):
    found = ask(address, "SELECT 1 AS a, 2 AS a, 'nan'::DOUBLE, '-inf'::FLOAT, NULL, 9007199254740993").json()
    assert found["rows"] == [[1, 2, "NaN", "-Infinity", None, 9007199254740993]]
    assert ask(address, "SELECT * FROM data WHERE false").json()["rows"] == []


def test_other_splits_can_be_joined(address: str):
    names = [table["name"] for table in httpx.get(f"{address}/view/tables?split=train").json()["tables"]]
    assert names == ["data", "default.test"]
    assert ask(address, 'SELECT count(*) FROM data JOIN "default.test" USING (id)').json()["rows"] == [[30]]


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE data",
        "SELECT 1; SELECT 2",
        "COPY (SELECT 1) TO '{folder}/train-00000-of-00002.parquet'",
        "COPY (SELECT 1) TO '/tmp/written.csv'",
        "CREATE TABLE mine AS SELECT 1",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "ATTACH '/tmp/other.db'",
        "PRAGMA database_list",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT getenv('HOME')",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/written.csv'",
        "WITH x AS (SELECT 1) INSERT INTO data SELECT * FROM x",
        "SELEC 1",
        "SELECT nothing FROM data",
        "",
    ],
)
def test_anything_but_one_select_over_the_data_is_refused(address: str, folder: Path, sql: str):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    answer = ask(address, sql.replace("{folder}", str(folder)))
    assert answer.status_code in (400, 422, 500), answer.text[:200]
    assert answer.json()["error"]
    assert "root:" not in answer.text
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"sql": 1}', b'{"sql": "SELECT 1", "split": 3}', b"[" * 10_000])
def test_bodies_that_are_no_question(address: str, body: bytes):
    answer = httpx.post(f"{address}/view/sql", content=body)
    assert answer.status_code == 422
    assert answer.headers["x-error-code"] == "InvalidParameter"


def test_other_sites_cannot_ask(address: str):
    refused = httpx.post(f"{address}/view/sql", json={"sql": "SELECT 1"}, headers={"Origin": "https://evil.example"})
    assert refused.status_code == 403


def download(address: str, sql: str, form: str) -> bytes:
    got = httpx.get(
        f"{address}/view/sql/download", params={"sql": sql, "format": form, "split": "train"}, timeout=WAIT / 1000
    )
    assert got.status_code == 200, got.text
    assert got.headers["content-disposition"] == f'attachment; filename="query.{form}"'
    return got.content


@pytest.mark.parametrize("rows", [0, 250_000])
def test_downloads_hold_every_row(address: str, rows: int):
    sql = f"SELECT range AS n, 'text ' || range AS t, [range, range + 1] AS l FROM range({rows}) ORDER BY n"
    parquet = pq.read_table(io.BytesIO(download(address, sql, "parquet")))
    assert parquet.num_rows == rows
    assert parquet.column_names == ["n", "t", "l"]
    csv = pyarrow.csv.read_csv(io.BytesIO(download(address, sql, "csv")))
    assert csv.num_rows == rows
    assert csv.column("n").to_pylist() == parquet.column("n").to_pylist() == list(range(rows))
    if rows:
        assert csv.column("l")[7].as_py() == "[7,8]"


def test_a_download_of_a_wrong_query_says_why(address: str):
    got = httpx.get(f"{address}/view/sql/download", params={"sql": "SELECT nothing FROM data", "split": "train"})
    assert got.status_code >= 400
    assert "nothing" in got.json()["error"]


def test_the_engine_is_free_again_when_the_reader_leaves(address: str):
    with pytest.raises(httpx.ReadTimeout):
        soon = httpx.Timeout(WAIT / 1000, read=0.5)
        httpx.post(f"{address}/view/sql", json={"sql": ENDLESS, "split": "train"}, timeout=soon)
    params = {"sql": "SELECT * FROM range(1000000000)"}
    with httpx.stream("GET", f"{address}/view/sql/download", params=params, timeout=WAIT / 1000) as got:
        next(got.iter_raw())
    # Each of the two would have kept it busy for an hour.
    assert ask(address, "SELECT count(*) FROM data").json()["rows"] == [[250]]


def test_a_query_beyond_its_time_is_ended(folder: Path, tmp_path: Path):
    app = create_app(folder, Settings(cache=tmp_path, hub_cache=tmp_path, timeout=0.5))
    with reviews.serving(app) as address:
        answer = ask(address, ENDLESS)
        assert (answer.status_code, answer.headers["x-error-code"]) == (504, "QueryTimeoutError")
        got = httpx.get(f"{address}/view/sql/download", params={"sql": ENDLESS}, timeout=WAIT / 1000)
        assert got.status_code == 504


@pytest.fixture
def console(page: Any, address: str) -> Any:
    page.set_default_timeout(WAIT)
    page.goto(f"{address}/?split=train&view=sql")
    page.wait_for_selector(".schema h3")
    return page


def test_the_page_runs_a_query_and_keeps_it_in_the_address(console: Any):
    console.get_by_label("SQL query").fill("SELECT text, label FROM data WHERE stars = 5 LIMIT 3")
    console.keyboard.press("Control+Enter")
    console.wait_for_selector(".results tbody tr")
    assert console.locator(".results tbody tr").count() == 3
    console.reload()
    assert console.get_by_label("SQL query").input_value().startswith("SELECT text, label")


def test_the_page_shows_what_is_wrong(console: Any):
    console.get_by_label("SQL query").fill("SELECT nothing FROM data")
    console.get_by_role("button", name="Run").click()
    console.get_by_role("alert").wait_for()
    assert "nothing" in console.get_by_role("alert").inner_text()


def test_the_page_cancels_a_query(console: Any):
    console.get_by_label("SQL query").fill(ENDLESS)
    console.keyboard.press("Control+Enter")
    console.get_by_role("button", name="Cancel").click()
    console.get_by_text("Cancelled").wait_for()
    console.get_by_label("SQL query").fill("SELECT 41 + 1 AS n")
    console.keyboard.press("Control+Enter")
    console.wait_for_selector(".results tbody tr")
    assert console.locator(".results tbody td").inner_text() == "42"


def test_examples_and_names_fill_the_editor(console: Any):
    editor = console.get_by_label("SQL query")
    for place in range(console.get_by_label("Example queries").locator("option").count() - 1):
        console.get_by_label("Example queries").select_option(str(place))
        answer = ask(console.url.partition("/?")[0], editor.input_value())
        assert answer.status_code == 200, (editor.input_value(), answer.text)
    editor.fill("")
    console.get_by_title("Insert stars", exact=True).first.click()
    assert editor.input_value() == '"stars"'


def test_the_page_saves_a_download(console: Any):
    console.get_by_label("SQL query").fill("SELECT id, stars FROM data")
    with console.expect_download() as waiting:
        console.get_by_role("button", name="Download Parquet").click()
    assert pq.read_table(waiting.value.path()).num_rows == 250
