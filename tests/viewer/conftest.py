"""A viewer over files that a test writes, without a server process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from lamina.viewer.app import create_app
from lamina.viewer.settings import Settings

Open = Callable[..., TestClient]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache=tmp_path / "cache", hub_cache=tmp_path / "hub", offline=True, memory=256 << 20, threads=1)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Open]:
    """`client(path, **settings)` is a client of a viewer of that path."""
    with ExitStack() as closing:

        def opened(path: Path | str, **changed: Any) -> TestClient:
            known: dict[str, Any] = {"cache": tmp_path / "cache", "hub_cache": tmp_path / "hub", "offline": True}
            app = create_app(path, Settings(**{**known, "memory": 256 << 20, "threads": 1, **changed}))
            return closing.enter_context(TestClient(app, raise_server_exceptions=False))

        yield opened
