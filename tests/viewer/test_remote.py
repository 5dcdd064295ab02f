"""Parquet elsewhere: over a web server of this machine, and as a Hub that our own mirror plays."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from lamina.viewer.app import create_app
from lamina.viewer.duck import connected, load_httpfs
from lamina.viewer.errors import SourceError
from lamina.viewer.remote import by_address, on_hub
from lamina.viewer.settings import Settings
from tests.viewer.conftest import Open
from tests.viewer.data import column, get, numbers, records, refused, write_parquet
from tests.viewer.server import serve


def why_not() -> str:
    """Why files elsewhere cannot be read here, empty where they can."""
    try:
        with connected({}) as connection:
            load_httpfs(connection)
    except SourceError as problem:
        return str(problem)
    return ""


CAUSE = why_not()
reading = pytest.mark.skipif(bool(CAUSE), reason=CAUSE)


@contextmanager
def web(folder: Path, head: bool = True) -> Iterator[tuple[str, list[int]]]:
    """A server of a folder's files that answers ranges; its address, and how many bytes each answer had."""
    sent: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = folder / self.path.strip("/")
            if not path.is_file() or (self.command == "HEAD" and not head):
                self.send_response(405 if path.is_file() else 404)
                self.send_header("Content-Length", "0")
                return self.end_headers()
            content = path.read_bytes()
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            start, end = (int(asked[1]), int(asked[2] or len(content) - 1) + 1) if asked else (0, len(content))
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(len(content[start:end])))
            self.send_header("ETag", '"one"')
            self.send_header("Last-Modified", "Wed, 21 Oct 2015 07:28:00 GMT")
            if asked:
                self.send_header("Content-Range", f"bytes {start}-{min(end, len(content)) - 1}/{len(content)}")
            self.end_headers()
            if self.command == "GET":
                sent.append(len(content[start:end]))
                self.wfile.write(content[start:end])
            return None

        do_HEAD = do_GET

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", sent
        server.shutdown()


@pytest.mark.skipif(not CAUSE, reason="this DuckDB has httpfs")
def test_without_the_extension_one_error_says_how_to_install_it():
    for address in ("https://127.0.0.1:9/a.parquet", "hf://datasets/owner/name"):
        with pytest.raises(SourceError, match="INSTALL httpfs"):
            create_app(address)


@pytest.mark.parametrize("head", [True, False])
def test_a_file_is_known_by_size_time_and_tag(tmp_path: Path, head: bool):
    path = write_parquet(tmp_path / "a b.parquet", records(10))
    path.rename(tmp_path / "a.parquet")
    with web(tmp_path, head) as (address, sent):
        file = by_address(f"{address}/a.parquet")
    assert file.size == (tmp_path / "a.parquet").stat().st_size and sum(sent) <= 1
    assert file.tag == '"one"' and file.modified == 1445412480 * 10**9 and file.place == file.address
    assert file.name == "a.parquet"


def test_what_cannot_be_read_elsewhere_is_said(tmp_path: Path):
    with web(tmp_path) as (address, _), pytest.raises(SourceError, match="404"):
        by_address(f"{address}/absent.parquet")
    with pytest.raises(SourceError, match="cannot be read"):
        by_address("http://127.0.0.1:9/a.parquet")
    with pytest.raises(SourceError, match="not Parquet by its name"):
        by_address("http://127.0.0.1:9/a.csv")


def test_files_of_a_data_set_of_the_hub(tmp_path: Path):
    for name in ("data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet", "more/test.parquet"):
        write_parquet(tmp_path / "set" / name, records(5))
    with serve(create_app(tmp_path / "set", Settings(cache=tmp_path / "cache"))) as port:
        settings = Settings(endpoint=f"http://127.0.0.1:{port}")
        files, name = on_hub("hf://datasets/owner/set", settings)
        assert name == "owner/set" and len(files) == 3
        sha = files[0].address.split("/")[-3]
        assert re.fullmatch("[0-9a-f]{40}", sha) and all(file.size > 0 for file in files)
        for path, count in (("/data", 2), ("@main/data/*-00001-*.parquet", 1), ("/more/test.parquet", 1), ("/", 3)):
            assert len(on_hub(f"hf://datasets/owner/set{path}", settings)[0]) == count
        with pytest.raises(SourceError, match="holds no Parquet"):
            on_hub("hf://datasets/owner/set/absent", settings)
        with pytest.raises(SourceError, match="cannot be read"):
            on_hub("hf://datasets/owner/other", settings)
    with pytest.raises(SourceError, match="is not hf://"):
        on_hub("hf://models/owner/set", settings)


@reading
def test_pages_filters_and_search_of_a_file_elsewhere(tmp_path: Path, client: Open):
    path = write_parquet(tmp_path / "far" / "train.parquet", records(50_000), group=5000)
    with web(path.parent) as (address, sent):
        viewer = client(f"{address}/train.parquet")
        page = get(viewer, "/rows", offset=40_000, length=3)
        assert numbers(page) == column(page, "id") == [40_000, 40_001, 40_002] and page["num_rows_total"] == 50_000
        assert page["features"][2]["type"]["_type"] == "ClassLabel"
        assert sum(sent) < path.stat().st_size / 2
        assert numbers(get(viewer, "/filter", where='"id" = 7')) == [7]
        assert get(viewer, "/search", query="49999")["num_rows_total"] == 1
        assert get(viewer, "/statistics/progress", wait=20)["state"] == "done"
        assert refused(viewer, "/rows", split="absent")[0] == 404
        linked = viewer.get("/parquet").json()["parquet_files"][0]["url"]
        assert viewer.get(linked, follow_redirects=False).headers["location"] == f"{address}/train.parquet"
        other = f"SELECT * FROM read_parquet('{address}/other.parquet')"
        assert viewer.post("/view/sql", json={"sql": other}).status_code == 422
        (path.parent / "broken.parquet").write_bytes(b"PAR1 no footer PAR1")
        status, _, text = refused(client(f"{address}/broken.parquet"), "/rows")
        assert status == 500 and "broken.parquet" in text
