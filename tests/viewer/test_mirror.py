"""The mirror of the Hub: by hand, and by the `datasets` library, which is told nothing but HF_ENDPOINT."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lamina.viewer.app import create_app
from lamina.viewer.settings import Settings
from tests.viewer.conftest import Open
from tests.viewer.data import get, records, refused, write_jsonl, write_parquet, write_text
from tests.viewer.server import serve

NAMED = "/datasets/someone/data/resolve/main"
ABOUT = "/api/datasets/someone/data"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_parquet(tmp_path / "data" / "data" / "train-00000-of-00002.parquet", records(30))
    write_parquet(tmp_path / "data" / "data" / "train-00001-of-00002.parquet", records(20, 30))
    write_parquet(tmp_path / "data" / "data" / "test-00000-of-00001.parquet", records(7))
    write_text(tmp_path / "data" / "README.md", "---\nlicense: mit\n---\n# Data\n")
    return tmp_path / "data"


def test_files(folder: Path, client: Open):
    viewer = client(folder)
    place = f"{NAMED}/data/test-00000-of-00001.parquet"
    content = (folder / "data" / "test-00000-of-00001.parquet").read_bytes()
    whole = viewer.get(place)
    assert whole.content == content and whole.headers["content-length"] == str(len(content))
    revision = whole.headers["x-repo-commit"]
    assert len(revision) == 40 and whole.headers["etag"].startswith('"')
    head = viewer.head(place)
    assert head.status_code == 200 and head.content == b"" and head.headers["etag"] == whole.headers["etag"]
    part = viewer.get(place, headers={"Range": "bytes=4-9"})
    assert part.status_code == 206 and part.content == content[4:10]
    assert viewer.get(place.replace("main", revision)).content == content
    assert viewer.get("/datasets/data/resolve/main/README.md").text.startswith("---")


@pytest.mark.parametrize(
    ("place", "code"),
    [
        (f"{NAMED}/nothing.csv", "EntryNotFound"),
        (f"{NAMED}/../secret.csv", "RevisionNotFound"),  # as the client has shortened it
        (f"{NAMED}/..%2Fsecret.csv", "EntryNotFound"),
        (f"{NAMED}/%2Fetc%2Fpasswd", "EntryNotFound"),
        (f"{NAMED}//etc/passwd", "EntryNotFound"),
        ("/datasets/someone/data/resolve/other/README.md", "RevisionNotFound"),
        ("/datasets/someone/other/resolve/main/README.md", "RepoNotFound"),
        ("/api/datasets/someone/other", "RepoNotFound"),
        (f"{ABOUT}/revision/other", "RevisionNotFound"),
        (f"{ABOUT}/tree/main/nowhere", "EntryNotFound"),
    ],
)
def test_what_is_not_here(folder: Path, client: Open, place: str, code: str):
    write_text(folder.parent / "secret.csv", "secret")
    status, found, text = refused(client(folder), place)
    assert (status, found) == (404, code) and text


def test_what_it_says_of_itself(folder: Path, client: Open):
    viewer = client(folder)
    about = get(viewer, ABOUT)
    assert about["id"] == "someone/data" and about["private"] is False and len(about["sha"]) == 40
    assert {"rfilename", "size"} == set(about["siblings"][0])
    assert get(viewer, f"{ABOUT}/revision/{about['sha']}") == about
    names = [entry["path"] for entry in get(viewer, f"{ABOUT}/tree/main")]
    assert names == ["data", "README.md"]
    deep = get(viewer, f"{ABOUT}/tree/main", recursive=True)
    assert len([entry for entry in deep if entry["type"] == "file"]) == 4
    assert len(get(viewer, f"{ABOUT}/tree/main/data")) == 3
    wanted = {"paths": ["README.md", "data", "gone"]}
    for body in ({"data": wanted}, {"json": wanted}):
        found = viewer.post(f"{ABOUT}/paths-info/main", **body).json()
        assert [(entry["path"], entry["type"]) for entry in found] == [("README.md", "file"), ("data", "directory")]
    assert (
        viewer.post(f"{ABOUT}/paths-info/main", content=b"{", headers={"content-type": "application/json"}).status_code
        == 422
    )


@pytest.fixture
def served(folder: Path, tmp_path: Path) -> Iterator[int]:
    """The port of a real server."""
    write_jsonl(folder / "more" / "lines.jsonl", [{"a": 1}])
    app = create_app(folder, Settings(cache=tmp_path / "cache", hub_cache=tmp_path / "hub", offline=True, threads=1))
    with serve(app) as port:
        yield port


# The library asks hub.localhost and datasets-server.hub.localhost; not every machine resolves names below localhost.
CLIENT = """
import json, socket
find = socket.getaddrinfo
def nearby(host, *rest, **named):
    return find("127.0.0.1" if str(host).endswith("localhost") else host, *rest, **named)
socket.getaddrinfo = nearby
from datasets import load_dataset
whole = load_dataset("someone/data")
stream = load_dataset("someone/data", split="train", streaming=True)
rows = list(stream)
print(json.dumps({
    "splits": {name: len(split) for name, split in whole.items()},
    "names": whole["train"].features["label"].names,
    "last": whole["train"][49],
    "streamed": [row["id"] for row in rows],
    "kind": type(stream).__name__,
}))
"""


def test_the_datasets_library(served: int, tmp_path: Path):
    pytest.importorskip("datasets", reason="the library is a peer, not a dependency")
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH") if name in os.environ}
    environment = {
        **kept,
        "HF_ENDPOINT": f"http://hub.localhost:{served}",
        "HF_HOME": str(tmp_path / "hf"),
        "HOME": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", CLIENT], env=environment, capture_output=True, text=True, timeout=1200, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["splits"] == {"train": 50, "test": 7} and found["names"] == ["neg", "pos"]
    assert found["last"] == records(50)[49] and found["streamed"] == list(range(50))
    assert found["kind"] == "IterableDataset"
