"""Checkpoints shared by the tests of this folder, each written once a run."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.assets import asset
from tests.pipelines.checkpoints import write_checkpoint
from tests.sentences.folders import write_sentence_folder


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny checkpoint, by its name in tests/pipelines/checkpoints.py."""
    folder = tmp_path_factory.mktemp("checkpoints")

    @cache
    def written(name: str) -> Path:
        return write_checkpoint(name, folder, asset("minilm") / "vocab.txt")

    return written


@pytest.fixture(scope="session")
def folder(checkpoint: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny sentence model, by its name in folders.py."""

    @cache
    def written(name: str) -> Path:
        return write_sentence_folder(name, tmp_path_factory.mktemp("sentence") / "model", checkpoint)

    return written
