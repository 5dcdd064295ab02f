"""A set of a million reviews in Parquet, looked at through three doors: `datasets` with pandas, DuckDB by hand, our viewer.

All give what a page shows: rows as JSON, or statistics as JSON. Nobody may answer from what was found before:
each call has another offset, bound or word than the one before it.
"""

from __future__ import annotations

import http.client
import itertools
import json
import shutil
import tempfile
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlencode

from ..worker import Work

PAGE = 100
MEMORY = "1GB"
WORDS = ("river", "winter", "captain", "silver", "garden", "letter", "music", "thunder", "harbor", "window")
NUMERIC = ("stars", "votes", "score")


def turns(case: dict[str, Any]) -> itertools.count[int]:
    """Numbers that differ from call to call."""
    return itertools.count(case["rows"] // 3)


def bound(turn: int) -> int:
    """A bound of `votes` that leaves about a tenth of the rows."""
    return 9_000 + turn % 97


def as_json(frame: Any) -> bytes:
    text: str = frame.to_json(orient="records", date_format="iso")
    return text.encode()


def datasets(case: dict[str, Any], what: str) -> Work:
    """The `datasets` library, converted to Arrow beforehand except for "open", and pandas."""
    import datasets as library
    import pandas as pd

    library.disable_progress_bars()
    cache = tempfile.mkdtemp(prefix="benchmark-")

    def load(folder: str) -> Any:
        return library.load_dataset("parquet", data_files=case["files"], split="train", cache_dir=folder)

    if what == "open":

        def first() -> bytes:
            fresh = tempfile.mkdtemp(prefix="benchmark-")
            try:
                return as_json(load(fresh).with_format("pandas")[:PAGE])
            finally:
                shutil.rmtree(fresh)

        return Work(first)
    rows = load(cache).with_format("pandas")
    library.disable_caching()
    turn = turns(case)

    def page() -> bytes:
        start = next(turn) * 37 % (case["rows"] - PAGE)
        return as_json(rows[start : start + PAGE])

    def kept(test: Any) -> bytes:
        found = rows.filter(test, batched=True, batch_size=10_000)
        return as_json(found[:PAGE])

    def filtered() -> bytes:
        least = bound(next(turn))
        return kept(lambda batch: (batch["votes"] >= least) & (batch["label"] == 1))

    def searched() -> bytes:
        word = WORDS[next(turn) % len(WORDS)]
        return kept(lambda batch: batch["text"].str.contains(rf"\b{word}\b", case=False, regex=True))

    def statistics() -> bytes:
        frame = rows[:]
        found: dict[str, Any] = {}
        for name in NUMERIC:
            column = frame[name]
            counts, edges = pd.cut(column, 10, retbins=True)
            found[name] = {**column.describe().to_dict(), "hist": counts.value_counts(sort=False).tolist(), "edges": edges.tolist()}
        lengths = frame["text"].str.len()
        counts, edges = pd.cut(lengths, 10, retbins=True)
        found["text"] = {**lengths.describe().to_dict(), "hist": counts.value_counts(sort=False).tolist(), "edges": edges.tolist()}
        for name in ("label", "language"):
            found[name] = frame[name].value_counts(dropna=False).to_dict()
        found["written"] = {"min": frame["written"].min().isoformat(), "max": frame["written"].max().isoformat()}
        return json.dumps(found, default=str).encode()

    return Work({"page": page, "filter": filtered, "search": searched, "statistics": statistics}[what])


def duckdb(case: dict[str, Any], what: str) -> Work:
    """What someone who knows DuckDB would type, over the same files."""
    import duckdb as library

    def connect() -> Any:
        return library.connect(config={"threads": case["threads"], "memory_limit": MEMORY})

    files = ", ".join(f"'{file}'" for file in case["files"])
    source = f"read_parquet([{files}])"
    connection = connect()
    turn = turns(case)

    def rows(sql: str) -> bytes:
        return as_json(connection.execute(sql).df())

    def first() -> bytes:
        with connect() as fresh:
            return as_json(fresh.execute(f"SELECT * FROM {source} LIMIT {PAGE}").df())

    def page() -> bytes:
        return rows(f"SELECT * FROM {source} LIMIT {PAGE} OFFSET {next(turn) * 37 % (case['rows'] - PAGE)}")

    def narrowed(where: str) -> bytes:
        total = connection.execute(f"SELECT count(*) FROM {source} WHERE {where}").fetchone()
        assert total
        return rows(f"SELECT * FROM {source} WHERE {where} LIMIT {PAGE}") + str(total[0]).encode()

    def filtered() -> bytes:
        return narrowed(f"votes >= {bound(next(turn))} AND label = 1")

    def searched() -> bytes:
        return narrowed(f"regexp_matches(text, '\\b{WORDS[next(turn) % len(WORDS)]}\\b', 'i')")

    def statistics() -> bytes:
        found: dict[str, Any] = {"summary": connection.execute(f"SUMMARIZE SELECT * FROM {source}").df().to_dict()}
        for expression in (*NUMERIC, "length(text)"):
            low, high = connection.execute(f"SELECT min({expression}), max({expression}) FROM {source}").fetchone() or (0, 0)
            width = (high - low) / 10 or 1
            sql = f"SELECT least(9, floor(({expression} - {low}) / {width})) AS bar, count(*) FROM {source} GROUP BY ALL"
            found[expression] = connection.execute(sql).fetchall()
        for name in ("label", "language"):
            found[name] = connection.execute(f"SELECT {name}, count(*) FROM {source} GROUP BY ALL").fetchall()
        return json.dumps(found, default=str).encode()

    calls = {"open": first, "page": page, "filter": filtered, "search": searched, "statistics": statistics}
    return Work(calls[what])


def served(case: dict[str, Any], what: str) -> Work:
    """Our viewer, asked over HTTP as the page asks it; "open" and "statistics" without anything kept."""
    from lamina.viewer.app import create_app
    from lamina.viewer.settings import Settings

    def settings() -> Settings:
        folder = Path(tempfile.mkdtemp(prefix="benchmark-"))
        return Settings(cache=folder, hub_cache=folder, threads=case["threads"], memory=1 << 30)

    if what in ("open", "statistics"):
        return Work(lambda: _afresh(case["folder"], settings(), what))
    server = Server(create_app(case["folder"], settings()))
    turn = turns(case)

    def page() -> bytes:
        return server.get("/rows", offset=next(turn) * 37 % (case["rows"] - PAGE), length=PAGE, cell=8000)

    def filtered() -> bytes:
        where = f'"votes">={bound(next(turn))} and "label"=1'
        return server.get("/filter", where=where, offset=0, length=PAGE, cell=8000)

    def searched() -> bytes:
        return server.get("/search", query=WORDS[next(turn) % len(WORDS)], offset=0, length=PAGE, cell=8000)

    calls = {"page": page, "filter": filtered, "search": searched}
    calls[what]()  # the first search builds the index, which searching is not; see "search index"
    return Work(calls[what])


def indexed(case: dict[str, Any]) -> Work:
    """What our search costs once: an index built from nothing, and one word found."""
    from lamina.viewer.settings import Settings

    def run() -> bytes:
        folder = Path(tempfile.mkdtemp(prefix="benchmark-"))
        return _afresh(case["folder"], Settings(cache=folder, hub_cache=folder, threads=case["threads"]), "search")

    return Work(run)


def _afresh(folder: str, settings: Any, what: str) -> bytes:
    """One answer of a viewer that has seen nothing yet."""
    from lamina.viewer.app import create_app

    server = Server(create_app(folder, settings))
    try:
        if what == "open":
            return server.get("/rows", offset=0, length=PAGE, cell=8000)
        if what == "search":
            return server.get("/search", query=WORDS[0], offset=0, length=PAGE, cell=8000)
        while True:
            found = server.get("/statistics/progress")
            if json.loads(found)["state"] != "running":
                return found
    finally:
        server.close()
        shutil.rmtree(settings.cache, ignore_errors=True)


class Server:
    """An app on a free port of this machine, in a thread."""

    def __init__(self, app: Any) -> None:
        import uvicorn

        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error")
        self._socket = config.bind_socket()
        self._server = uvicorn.Server(config)
        self._thread = Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._thread.start()
        self._connection = http.client.HTTPConnection("127.0.0.1", self._socket.getsockname()[1], timeout=600)

    def get(self, path: str, **params: Any) -> bytes:
        self._connection.request("GET", f"{path}?{urlencode(params)}")
        response = self._connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise RuntimeError(content[:500].decode())
        return content

    def close(self) -> None:
        self._connection.close()
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()
