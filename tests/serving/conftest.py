"""One running server with a tiny model for every task, and our own pipelines on the same models to compare with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from lamina import pipeline
from lamina.serving import Limits, ServeSettings, create_app
from tests.assets import asset
from tests.pipelines.checkpoints import CHECKPOINTS, write_checkpoint
from tests.pipelines.writers import write_writer

from .running import Running, in_thread

DEADLINE = 600.0  # seconds for an answer, however much else the machine does
READERS = ("bert-moods", "bert-tags", "bert-qa", "bert-mask", "bert-nli", "bert-body")
WRITERS = ("gpt2", "bart", "marian", "t5")
MODELS = (*READERS, *WRITERS, "minilm")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a model by its name: tiny ones with random weights, and the published MiniLM."""
    folder = tmp_path_factory.mktemp("served")

    @cache
    def written(name: str) -> Path:
        if name == "minilm":
            return asset("minilm")
        if name in CHECKPOINTS:
            return write_checkpoint(name, folder, asset("minilm") / "vocab.txt")
        return write_writer(name, folder, asset)

    return written


@pytest.fixture(scope="session")
def pipe(checkpoint: Callable[[str], Path]) -> Callable[[str, str], Any]:
    """Our own pipeline for a task and a model's name."""

    @cache
    def made(task: str, name: str) -> Any:
        return pipeline(task, model=str(checkpoint(name)), device="cpu")

    return made


@pytest.fixture(scope="session")
def server(checkpoint: Callable[[str], Path]) -> Iterator[Running]:
    """All the models of `MODELS`, served without a key."""
    models = tuple(f"{name}={checkpoint(name)}" for name in MODELS)
    with in_thread(create_app(ServeSettings(models=models, device="cpu", limits=Limits(deadline=DEADLINE)))) as running:
        yield running


@pytest.fixture(scope="session")
def locked(checkpoint: Callable[[str], Path]) -> Iterator[Running]:
    """One model behind the key "open sesame"."""
    settings = ServeSettings(models=(f"gpt2={checkpoint('gpt2')}",), device="cpu", api_key="open sesame")
    with in_thread(create_app(settings)) as running:
        yield running
