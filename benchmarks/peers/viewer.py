"""A set of reviews in Parquet, looked at through three doors: `datasets` with pandas, DuckDB by hand, our viewer.

All give what a page shows: rows as JSON, or statistics as JSON. "open", "jump" and "statistics" begin with the files
and nothing prepared, as somebody does who was just given them; the rest has had all the time it wants to open them:
`datasets` has converted them to Arrow, our viewer has indexed words and shown forty pages. Nobody may answer from what
was found before, for each call has another offset, bound or query than those before it.
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
STRIDE = 293_003  # rows between the pages of two calls: another row group each time
LOOKED_AT = 40  # pages before the first one measured: row groups seen twice are kept decoded, as far as there is room
FRESH = ("open", "jump", "statistics")  # from the files alone


def turns(case: dict[str, Any]) -> itertools.count[int]:
    """Numbers that differ from call to call."""
    return itertools.count(case["rows"] // 3)


def offset(case: dict[str, Any], turn: int) -> int:
    """Where a page begins, anywhere in the set."""
    return turn * STRIDE % (int(case["rows"]) - PAGE)


def bound(turn: int) -> int:
    """A bound of `votes` that leaves about a tenth of the rows."""
    return 9_000 + turn % 97


def as_json(frame: Any) -> bytes:
    text: str = frame.to_json(orient="records", date_format="iso")
    return text.encode()


def datasets(case: dict[str, Any], what: str) -> Work:
    """The `datasets` library, which converts the files to Arrow first, and pandas."""
    import datasets as library

    library.disable_progress_bars()
    if what in FRESH:
        turn = turns(case)
        return Work(lambda: from_files(case, what, turn))
    library.disable_caching()
    return Work(getattr(Loaded(load(case, tempfile.mkdtemp(prefix="benchmark-")), case, turns(case)), what))


def load(case: dict[str, Any], cache: str) -> Any:
    import datasets as library

    found = library.load_dataset("parquet", data_files=case["files"], split="train", cache_dir=cache)
    return found.with_format("pandas")


def from_files(case: dict[str, Any], what: str, turn: itertools.count[int]) -> bytes:
    fresh = tempfile.mkdtemp(prefix="benchmark-")
    try:
        found: bytes = getattr(Loaded(load(case, fresh), case, turn), what)()
        return found
    finally:
        shutil.rmtree(fresh)


class Loaded:
    """A data set of the library; its batches are pandas frames."""

    def __init__(self, rows: Any, case: dict[str, Any], turn: itertools.count[int]) -> None:
        self.rows = rows
        self.case = case
        self.turn = turn

    def open(self) -> bytes:
        return as_json(self.rows[:PAGE])

    def page(self) -> bytes:
        start = offset(self.case, next(self.turn))
        return as_json(self.rows[start : start + PAGE])

    jump = page

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
    turn = turns(case)
    if what in FRESH:
        return Work(lambda: from_nothing(case, what, turn))
    return Work(getattr(Typed(case, turn), what))


def from_nothing(case: dict[str, Any], what: str, turn: itertools.count[int]) -> bytes:
    typed = Typed(case, turn)
    with typed.connection:
        found: bytes = getattr(typed, what)()
    return found


class Typed:
    """A connection of DuckDB and the files."""

    def __init__(self, case: dict[str, Any], turn: itertools.count[int]) -> None:
        import duckdb as library

        files = ", ".join(f"'{file}'" for file in case["files"])
        self.source = f"read_parquet([{files}])"
        self.case = case
        self.turn = turn
        self.connection = library.connect(config={"threads": case["threads"], "memory_limit": MEMORY})

    def open(self) -> bytes:
        return as_json(self.connection.execute(f"SELECT * FROM {self.source} LIMIT {PAGE}").df())

    def page(self) -> bytes:
        start = offset(self.case, next(self.turn))
        return as_json(self.connection.execute(f"SELECT * FROM {self.source} LIMIT {PAGE} OFFSET {start}").df())

    jump = page

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
    """Our viewer, asked over HTTP as the page asks it."""
    server, turn = Server(), turns(case)
    ask = {"open": opened, "jump": page, "page": page, "filter": filtered, "search": searched, "statistics": statistics}

    def run() -> bytes:
        if what in FRESH:
            server.show(case)
        return ask[what](server, case, next(turn))

    if what not in FRESH:
        server.show(case)
        for _ in range(LOOKED_AT if what == "page" else 1):
            run()  # the first search builds the index, which searching is not; see "search index"
    return Work(run)


def indexed(case: dict[str, Any]) -> Work:
    """What our search costs once: an index built from nothing, and one word found."""
    server, turn = Server(), turns(case)

    def run() -> bytes:
        server.show(case)
        return searched(server, case, next(turn))

    return Work(run)


def opened(server: Server, case: dict[str, Any], turn: int) -> bytes:
    return server.get("/rows", offset=0, length=PAGE, cell=8000)


def page(server: Server, case: dict[str, Any], turn: int) -> bytes:
    return server.get("/rows", offset=offset(case, turn), length=PAGE, cell=8000)


def filtered(server: Server, case: dict[str, Any], turn: int) -> bytes:
    where = f'"votes">={bound(turn)} and "label"=1'
    return server.get("/filter", where=where, offset=0, length=PAGE, cell=8000)


def searched(server: Server, case: dict[str, Any], turn: int) -> bytes:
    query = f"{WORDS[turn % len(WORDS)]} absent{turn}"  # a second word, found nowhere: hits are remembered by query
    return server.get("/search", query=query, offset=0, length=PAGE, cell=8000)


def statistics(server: Server, case: dict[str, Any], turn: int) -> bytes:
    while True:
        found = server.get("/statistics/progress", wait=1)
        if json.loads(found)["state"] != "running":
            return found


class Server:
    """A server on a free port of this machine, in a thread; `show` puts a viewer into it that has seen nothing yet."""

    def __init__(self) -> None:
        import uvicorn

        self._app: Any = None
        self._cache = ""
        options: dict[str, Any] = {"log_level": "error", "lifespan": "off", "interface": "asgi3"}
        options["timeout_keep_alive"] = 3600  # who has no turn is paused, and keeps the connection
        config = uvicorn.Config(self._answer, host="127.0.0.1", port=0, **options)
        self._socket = config.bind_socket()
        self._socket.listen()  # whoever asks before the server has started is kept waiting
        Thread(target=uvicorn.Server(config).run, kwargs={"sockets": [self._socket]}, daemon=True).start()
        self._connection = http.client.HTTPConnection("127.0.0.1", self._socket.getsockname()[1], timeout=600)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)

    def show(self, case: dict[str, Any]) -> None:
        from lamina.viewer.app import create_app
        from lamina.viewer.settings import Settings

        if self._app is not None:
            self._app.state.viewer.close()
            shutil.rmtree(self._cache)
        self._cache = tempfile.mkdtemp(prefix="benchmark-")
        cache = Path(self._cache)
        settings = Settings(cache=cache, hub_cache=cache, threads=case["threads"], memory=1 << 30)
        self._app = create_app(case["folder"], settings)

    def get(self, path: str, **params: Any) -> bytes:
        self._connection.request("GET", f"{path}?{urlencode(params)}")
        response = self._connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise RuntimeError(content[:500].decode())
        return content
