"""Small data sets of every format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from fastapi.testclient import TestClient

WORDS = ["alpha", "beta", "gamma", "delta", "epsilon"]
LABELS = ["neg", "pos"]


def records(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Rows whose every cell follows from their number."""
    return [
        {
            "id": row,
            "text": f"row {row} says {WORDS[row % 5]}",
            "label": row % 2,
            "score": row / 4,
            "even": row % 2 == 0,
            "tags": WORDS[: row % 4],
        }
        for row in range(start, start + count)
    ]


def labeled(table: pa.Table) -> pa.Table:
    """The table with its `label` declared as a ClassLabel, as the library does it."""
    features = {"label": {"names": LABELS, "_type": "ClassLabel"}}
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def write_parquet(path: Path, rows: list[dict[str, Any]], group: int = 1000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(labeled(pa.Table.from_pylist(rows)), path, row_group_size=group)
    return path


def write_jsonl(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_text(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def write_arrow(path: Path, rows: list[dict[str, Any]], stream: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = labeled(pa.Table.from_pylist(rows))
    make = pa.ipc.new_stream if stream else pa.ipc.new_file
    with make(str(path), table.schema) as writer:
        writer.write_table(table)
    return path


def get(client: TestClient, place: str, **parameters: Any) -> Any:
    """The JSON at a place, which must be there."""
    response = client.get(place, params=parameters)
    assert response.status_code == 200, response.text
    return response.json()


def refused(client: TestClient, place: str, **parameters: Any) -> tuple[int, str, str]:
    """Status, code and text of an error."""
    response = client.get(place, params=parameters)
    assert response.status_code >= 400, response.text
    return response.status_code, response.headers["x-error-code"], response.json()["error"]


def column(answer: Any, name: str) -> list[Any]:
    return [row["row"][name] for row in answer["rows"]]


def numbers(answer: Any) -> list[int]:
    return [row["row_idx"] for row in answer["rows"]]
