"""The clients under examples/ run against a real server, and the server's page names them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.browser import node_program

from .running import Running

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = ROOT / "examples"


def test_the_python_client(server: Running) -> None:
    url = server.model("bert-moods")
    command = [sys.executable, str(EXAMPLES / "serve_client.py"), url]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4
    assert all(any(mood in line for mood in ("GRIM", "PLAIN", "MERRY")) for line in done.stdout.splitlines())


def test_the_javascript_client(server: Running) -> None:
    command = [node_program(), str(EXAMPLES / "serve_client.mjs"), server.model("gpt2"), "Berlin is"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Berlin is")
    assert len(done.stdout) > len("Berlin is\n")


def test_the_page_names_them() -> None:
    page = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    assert all(f"examples/{file.name}" in page for file in EXAMPLES.glob("serve_client.*"))
