"""What must never happen: reading other files, writing, running on after the deadline, answering to other sites."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest
from starlette.requests import Request

from lamina.viewer.duckengine import DuckEngine
from lamina.viewer.errors import Cancelled, InvalidParameter, OutOfTime, ViewerError
from lamina.viewer.running import Runner
from lamina.viewer.settings import Settings
from lamina.viewer.sources import open_dataset
from lamina.viewer.stop import Stop
from tests.viewer.conftest import Open
from tests.viewer.data import get, records, refused, write_arrow, write_parquet, write_text

ENDLESS = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7 = 3"


@pytest.fixture
def engine(tmp_path: Path, settings: Settings):
    write_parquet(tmp_path / "data" / "train.parquet", records(50))
    write_arrow(tmp_path / "data" / "test.arrow", records(5))
    write_text(tmp_path / "secret.csv", "secret\n42\n")
    made = DuckEngine(open_dataset(tmp_path / "data"), settings)
    yield made
    made.close()


def run(engine: DuckEngine, text: str, stop: Stop | None = None) -> list[tuple[object, ...]]:
    split = open_split(engine)
    with engine.sql(text, split, stop or Stop()) as reader:
        return [tuple(row.values()) for row in reader.read_all().to_pylist()]


def open_split(engine: DuckEngine):
    return engine._dataset.split(None, None)


def test_the_console_reads_the_split(engine: DuckEngine):
    assert run(engine, "SELECT count(*), max(id) FROM data") == [(50, 49)]
    assert run(engine, "WITH x AS (SELECT id FROM data LIMIT 2) SELECT * FROM x ORDER BY 1") == [(0,), (1,)]
    assert run(engine, 'SELECT count(*) FROM "default.train"') == [(50,)]


@pytest.mark.parametrize(
    "text",
    [
        "COPY data TO '{own}'",
        "COPY data TO '{folder}/new.csv'",
        "CREATE TABLE x AS SELECT 1",
        "DROP VIEW data",
        "ATTACH '{folder}/x.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET memory_limit = '100GB'",
        "PRAGMA enable_progress_bar",
        "CALL pragma_version()",
        "EXPORT DATABASE '{folder}/x'",
        "SELECT 1; COPY data TO '{own}'",
        "EXPLAIN ANALYZE SELECT 1",
        "CREATE MACRO f() AS 1",
        "PREPARE x AS SELECT 1",
        "BEGIN",
        "",
        "  -- nothing",
        "not sql",
        "INSERT INTO data VALUES (1)",
    ],
)
def test_only_selects(engine: DuckEngine, tmp_path: Path, text: str):
    own = tmp_path / "data" / "train.parquet"
    before = own.read_bytes()
    with pytest.raises(InvalidParameter):
        run(engine, text.format(own=own, folder=tmp_path))
    assert own.read_bytes() == before and not (tmp_path / "new.csv").exists() and not (tmp_path / "x.db").exists()


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM '{secret}'",
        "SELECT * FROM read_csv('{secret}')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_blob('/etc/passwd')",
        "SELECT * FROM read_csv('{folder}/data/../secret.csv')",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM read_parquet('http://127.0.0.1:9/x.parquet')",
        "SELECT * FROM sniff_csv('{secret}')",
        "SELECT * FROM query('SELECT * FROM read_csv(''{secret}'')')",
        "SELECT * FROM query_table('{secret}')",
        "SELECT getenv('HOME')",
        "SELECT * FROM records",
        "SELECT * FROM engine",
        "SELECT * FROM sqlite_scan('{secret}', 'x')",
        "SELECT * FROM write_csv('{secret}')",
    ],
)
def test_no_other_file_is_read(engine: DuckEngine, tmp_path: Path, text: str):
    with pytest.raises(ViewerError):
        run(engine, text.format(secret=tmp_path / "secret.csv", folder=tmp_path))


def test_the_settings_are_locked(engine: DuckEngine):
    with pytest.raises(ViewerError):
        run(engine, "SELECT set_config('enable_external_access', 'true', false)")
    assert run(engine, "SELECT current_setting('enable_external_access')") == [(False,)]
    assert run(engine, "SELECT current_setting('lock_configuration')") == [(True,)]


def test_a_query_is_interrupted_from_another_thread(engine: DuckEngine):
    stop = Stop()
    ended = threading.Event()

    def nag() -> None:
        while not ended.wait(0.05):
            if time.monotonic() - began > 0.3:
                stop.now(OutOfTime("too long"))

    began = time.monotonic()
    thread = threading.Thread(target=nag)
    thread.start()
    try:
        with pytest.raises(OutOfTime, match="too long"):
            run(engine, ENDLESS, stop)
    finally:
        ended.set()
        thread.join()
    assert run(engine, "SELECT 1") == [(1,)]
    with pytest.raises(OutOfTime):
        engine.open(open_split(engine), stop), stop.check()


class Client:
    """A request whose client leaves after some looks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    async def is_disconnected(self) -> bool:
        self.looks -= 1
        return self.looks < 0


def request(looks: int = 10**6) -> Request:
    client = Client(looks)
    made = Request({"type": "http", "headers": []})
    made.is_disconnected = client.is_disconnected
    return made


def test_the_deadline_and_leaving_end_a_query(engine: DuckEngine):
    async def both() -> None:
        runner = Runner(0.2)
        with pytest.raises(OutOfTime, match=r"longer than 0\.2 seconds"):
            await runner.run(request(), lambda stop: run(engine, ENDLESS, stop))
        with pytest.raises(Cancelled, match="left"):
            await runner.run(request(3), lambda stop: run(engine, ENDLESS, stop), timeout=0)
        assert await runner.run(request(), lambda stop: run(engine, "SELECT 7", stop), timeout=0) == [(7,)]
        runner.close()

    asyncio.run(both())


def test_memory_is_bounded(engine: DuckEngine):
    with pytest.raises(ViewerError):
        run(engine, "SELECT list(range) FROM range(200000000)")
    assert run(engine, "SELECT count(*) FROM data") == [(50,)]


def test_a_slow_filter_is_told_with_its_code(tmp_path: Path, client: Open):
    write_parquet(tmp_path / "train.parquet", [{"text": "a" * 2000} for _ in range(20_000)])
    viewer = client(tmp_path, timeout=0.000001)
    get(viewer, "/is-valid")
    slow = "regexp_matches(text, '(a|b|ab)*c')"
    status, code, text = refused(viewer, "/filter", where=" or ".join([slow] * 40))
    assert (status, code) == (504, "QueryTimeoutError") and "interrupted" in text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:7861", ""])
def test_other_hosts_are_refused(tmp_path: Path, client: Open, host: str):
    write_text(tmp_path / "train.csv", "x\n1\n")
    viewer = client(tmp_path)
    response = viewer.get("/rows", headers={"Host": host})
    assert response.status_code == 403 and response.headers["x-error-code"] == "ForbiddenHost"


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:80", "hub.localhost:9", "LOCALHOST"])
def test_own_names_are_known(tmp_path: Path, client: Open, host: str):
    write_text(tmp_path / "train.csv", "x\n1\n")
    assert client(tmp_path).get("/rows", headers={"Host": host}).status_code == 200


def test_pages_of_other_sites_may_not_read(tmp_path: Path, client: Open):
    write_text(tmp_path / "train.csv", "x\n1\n")
    for origin in ("https://evil.example", "http://localhost.evil.example", "null"):
        response = client(tmp_path).get("/rows", headers={"Origin": origin})
        assert "access-control-allow-origin" not in response.headers
    opened = client(tmp_path, origins=("https://site.example",)).get(
        "/rows", headers={"Origin": "https://site.example"}
    )
    assert opened.headers["access-control-allow-origin"] == "https://site.example"


def test_a_huge_cell(tmp_path: Path, client: Open):
    write_parquet(tmp_path / "train.parquet", [{"text": "x" * (20 << 20)}, {"text": "small"}])
    viewer = client(tmp_path)
    response = viewer.get("/rows", params={"cell": 2000})
    assert response.status_code == 200 and len(response.content) < 10_000
    assert response.json()["rows"][0]["truncated_cells"] == ["text"]
    assert len(viewer.get("/rows").content) < 11 << 20
