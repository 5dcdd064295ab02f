"""Errors travel between processes, as those of data workers and of pools do: pickled, they come back as they were."""

from __future__ import annotations

import copy
import importlib
import pickle
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest

import lamina
from lamina.errors import LaminaError, TrainingInterrupted

ARGUMENTS: dict[str, tuple[Any, ...]] = {"TrainingInterrupted": ("asked to end", 143)}  # beyond a message


def kinds(of: type[LaminaError] = LaminaError) -> Iterator[type[LaminaError]]:
    yield of
    for kind in of.__subclasses__():
        yield from kinds(kind)


for module in pkgutil.walk_packages(lamina.__path__, "lamina."):
    if module.name.rpartition(".")[2] in ("errors", "guards", "hub", "tables"):
        importlib.import_module(module.name)
KINDS = sorted({kind for kind in kinds() if kind.__module__.startswith("lamina.")}, key=lambda kind: kind.__qualname__)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__qualname__)
@pytest.mark.parametrize("again", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy], ids=["pickle", "copy"])
def test_an_error_comes_back_as_it_was(kind: type[LaminaError], again: Any) -> None:
    error = kind(*ARGUMENTS.get(kind.__name__, ("what was wrong",)))
    error.add_note("where") if hasattr(error, "add_note") else None
    found = again(error)
    assert (type(found), str(found), found.args, vars(found)) == (kind, str(error), error.args, vars(error))


def test_one_that_ends_the_program_keeps_its_code() -> None:
    found = pickle.loads(pickle.dumps(TrainingInterrupted("asked to end", 143)))
    assert isinstance(found, SystemExit) and found.code == 143
