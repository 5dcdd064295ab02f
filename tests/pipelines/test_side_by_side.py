"""Many texts on a machine of several threads: passes run at once, and nobody can tell by the answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lamina import pipeline

TEXTS = [f"{'good ' * (number % 50)}text number {number}" for number in range(256)]


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_answers_are_those_of_one_pass_after_another(
    checkpoint: Callable[[str], Path], threads: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = pipeline("text-classification", str(checkpoint("bert-moods")), device="cpu")
    select, names = pipe.select, set[str]()

    def watched(*args: Any) -> Any:
        names.add(threading.current_thread().name.rpartition("_")[0] or "caller")
        return select(*args)

    monkeypatch.setattr(pipe, "select", watched)
    threads(1)
    alone = pipe(TEXTS)
    assert names == {"caller"}
    threads(2)
    together = pipe(TEXTS)
    assert "lamina-pass" in names
    assert [each["label"] for each in together] == [each["label"] for each in alone]
    assert [each["score"] for each in together] == pytest.approx([each["score"] for each in alone], rel=1e-5)
