"""Checkpoints of the table's rows, each written once in a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .goldens import golden, write_checkpoint
from .rows.row import Row


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Row], Path]:
    """The folder of a row's checkpoint."""
    root = tmp_path_factory.mktemp("checkpoints")

    def folder(row: Row) -> Path:
        path = root / row.id
        return path if path.is_dir() else write_checkpoint(golden(row), path)

    return folder
