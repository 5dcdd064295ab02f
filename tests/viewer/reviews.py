"""A small data set with everything that is hard to show, and a server for it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

NAMES = ["negative", "neutral", "positive"]
SCRIPT = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
KOREAN = "이 영화는 정말 재미있었고, 배우들의 연기도 훌륭했다."
ARABIC = "كان الفيلم رائعًا من البداية إلى النهاية."
LONG_WORDS = "a very long review that goes on and on, "
LARGE = 9_007_199_254_740_993  # an integer that a float cannot hold
ROWS = 250


def text_of(row: int) -> str:
    special = {0: SCRIPT, 1: KOREAN, 2: ARABIC, 3: LONG_WORDS * 600, 4: "Crème brûlée at the café 🎬 was naïve", 5: ""}
    return special.get(row, f"Review number {row}: the film was {'good' if row % 3 else 'not good'}. " * (1 + row % 7))


def reviews(rows: int = ROWS) -> pa.Table:
    columns: dict[str, list[Any]] = {
        "text": [text_of(row) for row in range(rows)],
        "label": [row % 3 for row in range(rows)],
        "stars": [None if row % 10 == 9 else row % 6 for row in range(rows)],
        "score": [float("nan") if row == 7 else float("inf") if row == 8 else row / 7 for row in range(rows)],
        "language": [["en", "ko", "ar", "fr"][row % 4] for row in range(rows)],
        "seen": [row % 2 == 0 for row in range(rows)],
        "tags": [[f"tag {place}" for place in range(row % 5)] for row in range(rows)],
        "author": [{"name": f"person {row % 13}", "books": [row, row + 1]} for row in range(rows)],
        "written": [datetime.datetime(2026, 1, 1) + datetime.timedelta(days=row) for row in range(rows)],
        "id": [LARGE + row for row in range(rows)],
        '"; DROP <b>': [row % 100 for row in range(rows)],
    }
    types = {"label": pa.int64(), "score": pa.float32(), "written": pa.timestamp("s")}
    table = pa.table({name: pa.array(values, types.get(name)) for name, values in columns.items()})
    features = {"label": {"names": NAMES, "_type": "ClassLabel"}}
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def write(folder: Path, rows: int = ROWS) -> Path:
    """Splits train and test, a second config, and files that cannot be read."""
    folder.mkdir(parents=True, exist_ok=True)
    table = reviews(rows)
    half = rows * 12 // 25
    pq.write_table(table.slice(0, half), folder / "train-00000-of-00002.parquet", row_group_size=50)
    pq.write_table(table.slice(half), folder / "train-00001-of-00002.parquet", row_group_size=50)
    pq.write_table(table.slice(0, 30), folder / "test-00000-of-00001.parquet")
    (folder / "broken-train.parquet").write_bytes(b"PAR1 this is no footer PAR1")
    (folder / "extra.jsonl").write_text('{"question": "why?", "answer": 1}\n{"question": "how?", "answer": 2}\n')
    return folder


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """The address of a server in a thread, on a free port."""
    import uvicorn

    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error")
    socket = config.bind_socket()
    socket.listen()  # whoever asks before the server has started is kept waiting
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, kwargs={"sockets": [socket]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        socket.close()
