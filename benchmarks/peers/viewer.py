"""A set of reviews in Parquet, looked at through three doors: `datasets` with pandas, DuckDB by hand, our viewer.

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
    """The `datasets` library, which has converted the files to Arrow beforehand except for "open", and pandas."""
    import datasets as library

    library.disable_progress_bars()
    if what == "open":
        return Work(lambda: first_by_datasets(case))
    library.disable_caching()
    return Work(getattr(Loaded(load(case, tempfile.mkdtemp(prefix="benchmark-")), case), what))


def load(case: dict[str, Any], cache: str) -> Any:
    import datasets as library

    found = library.load_dataset("parquet", data_files=case["files"], split="train", cache_dir=cache)
    return found.with_format("pandas")


def first_by_datasets(case: dict[str, Any]) -> bytes:
    fresh = tempfile.mkdtemp(prefix="benchmark-")
    try:
        return as_json(load(case, fresh)[:PAGE])
    finally:
        shutil.rmtree(fresh)


class Loaded:
    """A data set of the library; its batches are pandas frames."""

    def __init__(self, rows: Any, case: dict[str, Any]) -> None:
        self.rows = rows
        self.turn = turns(case)
        self.last = case["rows"] - PAGE

    def page(self) -> bytes:
        start = next(self.turn) * 37 % self.last
        return as_json(self.rows[start : start + PAGE])

    def kept(self, test: Any) -> bytes:
        found = self.rows.filter(test, batched=True, batch_size=10_000)
        return as_json(found[:PAGE]) + str(len(found)).encode()

    def filter(self) -> bytes:
        least = bound(next(self.turn))
        return self.kept(lambda batch: (batch["votes"] >= least) & (batch["label"] == 1))

    def search(self) -> bytes:
        word = WORDS[next(self.turn) % len(WORDS)]
        return self.kept(lambda batch: batch["text"].str.contains(rf"\b{word}\b", case=False, regex=True))

    def statistics(self) -> bytes:
        frame = self.rows[:]
        found = {name: histogram(frame[name]) for name in NUMERIC}
        found["text"] = histogram(frame["text"].str.len())
        for name in ("label", "language"):
            found[name] = frame[name].value_counts(dropna=False).to_dict()
        found["written"] = histogram(frame["written"].astype("int64"))
        return json.dumps(found, default=str).encode()


def histogram(column: Any) -> dict[str, Any]:
    import pandas as pd

    counts, edges = pd.cut(column, 10, retbins=True)
    summary: dict[str, Any] = column.describe().to_dict()
    return {**summary, "hist": counts.value_counts(sort=False).tolist(), "edges": edges.tolist()}


def duckdb(case: dict[str, Any], what: str) -> Work:
    """What someone who knows DuckDB would type, over the same files."""
    return Work(getattr(Typed(case), what))


class Typed:
    """A connection of DuckDB and the files."""

    def __init__(self, case: dict[str, Any]) -> None:
        files = ", ".join(f"'{file}'" for file in case["files"])
        self.source = f"read_parquet([{files}])"
        self.options = {"threads": case["threads"], "memory_limit": MEMORY}
        self.connection = self.connect()
        self.turn = turns(case)
        self.last = case["rows"] - PAGE

    def connect(self) -> Any:
        import duckdb as library

        return library.connect(config=self.options)

    def open(self) -> bytes:
        with self.connect() as fresh:
            return as_json(fresh.execute(f"SELECT * FROM {self.source} LIMIT {PAGE}").df())

    def page(self) -> bytes:
        start = next(self.turn) * 37 % self.last
        return as_json(self.connection.execute(f"SELECT * FROM {self.source} LIMIT {PAGE} OFFSET {start}").df())

    def narrowed(self, where: str) -> bytes:
        (total,) = self.connection.execute(f"SELECT count(*) FROM {self.source} WHERE {where}").fetchone()
        found = self.connection.execute(f"SELECT * FROM {self.source} WHERE {where} LIMIT {PAGE}")
        return as_json(found.df()) + str(total).encode()

    def filter(self) -> bytes:
        return self.narrowed(f"votes >= {bound(next(self.turn))} AND label = 1")

    def search(self) -> bytes:
        return self.narrowed(f"regexp_matches(text, '\\b{WORDS[next(self.turn) % len(WORDS)]}\\b', 'i')")

    def statistics(self) -> bytes:
        summary = self.connection.execute(f"SUMMARIZE SELECT * FROM {self.source}").df()
        found: dict[str, Any] = {"summary": summary.to_dict()}
        for value in (*NUMERIC, "length(text)", "epoch(written)"):
            low, high = self.connection.execute(f"SELECT min({value}), max({value}) FROM {self.source}").fetchone()
            width = (high - low) / 10 or 1
            bar = f"least(9, floor(({value} - {low}) / {width}))"
            sql = f"SELECT {bar} AS bar, count(*) FROM {self.source} GROUP BY ALL"
            found[value] = self.connection.execute(sql).fetchall()
        for name in ("label", "language"):
            sql = f"SELECT {name}, count(*) FROM {self.source} GROUP BY ALL"
            found[name] = self.connection.execute(sql).fetchall()
        return json.dumps(found, default=str).encode()


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
            found = server.get("/statistics/progress", wait=1)
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
        self._socket.listen()  # whoever asks before the server has started is kept waiting
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
