"""Checkpoints shared by the tests of this folder, each written and loaded once a run."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from lamina.pipelines import pipeline
from lamina.pipelines.base import Pipeline
from tests.assets import asset
from tests.pipelines.checkpoints import write_checkpoint
from tests.pipelines.tasks import Task
from tests.pipelines.writers import WRITERS, write_writer


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny checkpoint, by its name in checkpoints.py or writers.py."""
    folder = tmp_path_factory.mktemp("checkpoints")

    @cache
    def written(name: str) -> Path:
        if name in WRITERS:
            return write_writer(name, folder, asset)
        return write_checkpoint(name, folder, asset("minilm") / "vocab.txt")

    return written


@pytest.fixture(scope="session")
def loaded(checkpoint: Callable[[str], Path]) -> Callable[[str, str], Any]:
    """The pipeline of a task around a checkpoint, on the CPU and without options; nobody may change it."""

    @cache
    def load(task: str, name: str) -> Any:
        return pipeline(task, model=checkpoint(name), device="cpu")

    return load


@pytest.fixture(scope="session")
def made(loaded: Callable[[str, str], Any]) -> Callable[..., Any]:
    """A pipeline for a task with options of its own, around what `loaded` gives."""

    def make(task: str, name: str, **options: Any) -> Any:
        found = loaded(task, name)
        return pipeline(task, model=found.model, tokenizer=found.tokenizer, device="cpu", **options)

    return make


@pytest.fixture
def pipe(task: Task, loaded: Callable[[str, str], Pipeline]) -> Pipeline:
    """The pipeline of a row of the table."""
    return loaded(task.name, task.checkpoint)
