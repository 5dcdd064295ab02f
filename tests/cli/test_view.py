"""`lamina view`: a real process that serves, and every way to start it wrongly."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from lamina.cli.options import browsable, listening
from lamina.cli.view import PORT, TRIED, settings_of, size_of
from lamina.errors import LaminaError
from tests.cli.conftest import Finished

Lamina = Callable[..., Finished]

WITHOUT_TORCH = """
import sys
from lamina.cli import view
import lamina.viewer.app, lamina.viewer.duckengine, duckdb, pyarrow
from lamina.viewer.app import create_app
create_app(sys.argv[1])
found = {"torch", "transformers", "datasets", "pandas"} & set(sys.modules)
assert not found, found
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.csv").write_text("id,text\n1,one\n2,two\n")
    (tmp_path / "data" / "link.csv").symlink_to("/etc/hostname")
    return tmp_path / "data"


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_it_serves_until_it_is_stopped(data: Path, tmp_path: Path):
    arguments = ["view", str(data), "--port", "0", "--no-open", "--cache", str(tmp_path / "cache")]
    process = subprocess.Popen(
        [sys.executable, "-m", "lamina", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"data at (http://127\.0\.0\.1:\d+/)  \(Ctrl\+C stops\)\n", line)
        assert found, line
        with urllib.request.urlopen(found[1] + "rows", timeout=300) as answer:
            assert [row["row"]["text"] for row in json.load(answer)["rows"]] == ["one", "two"]
        with urllib.request.urlopen(found[1], timeout=300) as page:
            assert b"<html" in page.read().lower()
    finally:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=300)
    assert "leads out of the folder" in said and len(said.splitlines()) == 1
    assert not list((tmp_path / "cache").glob("spill-*"))


def test_it_needs_no_torch(data: Path):
    environment = {**os.environ, "HOME": str(data.parent)}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(data)], capture_output=True, text=True, timeout=600, env=environment
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["{folder}/nothing"], 1, "neither a file or folder here"),
        (["{folder}/*.parquet"], 1, "no file matches"),
        (["org/name"], 1, "Hub is off"),
        (["{folder}/data", "--memory", "much"], 2, "--memory"),
        (["{folder}/data", "--memory", "1K"], 2, "at least 64M"),
        (["{folder}/data", "--threads", "0"], 2, "--threads"),
        (["{folder}/data", "--port", "70000"], 2, "--port"),
        (["{folder}/data", "--host", "no.such.host.invalid", "--no-open"], 1, "cannot listen on"),
        ([], 2, "PATH_OR_NAME"),
    ],
)
def test_ways_to_start_it_wrongly(
    lamina: Lamina, data: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], status: int, said: str
):
    monkeypatch.setenv("HOME", str(data.parent))
    finished = lamina("view", *(argument.format(folder=data.parent) for argument in arguments))
    assert finished.status == status and said in " ".join(finished.err.split()), finished.err


def test_a_port_that_is_taken():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LaminaError, match=rf"cannot listen on 127\.0\.0\.1, port {port}: "):
            listening("127.0.0.1", [port], LaminaError)
    free = listening("127.0.0.1", range(PORT, PORT + TRIED), LaminaError)
    assert 7861 <= free.getsockname()[1] < 7881
    free.close()


@pytest.mark.parametrize(
    ("text", "size"), [("1G", 1 << 30), ("512MiB", 512 << 20), ("1.5gb", 3 << 29), ("99999999", 99999999)]
)
def test_sizes(text: str, size: int):
    assert size_of(text) == size


def test_what_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.localhost:1")
    found = settings_of("1G", 1, 5.0, None, "0.0.0.0", origin=None, tokenizer=None)
    assert found.offline and found.hub_cache == tmp_path and found.endpoint == "http://hub.localhost:1"
    assert (
        found.hosts == ("*",) and browsable("0.0.0.0") == "127.0.0.1" and browsable("::1") == browsable("::") == "[::1]"
    )
