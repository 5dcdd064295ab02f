"""A pipeline whose model does as it is told: waits, fails or runs out of memory on words that say so."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import torch

from lamina.inference.rows import Row
from lamina.pipelines.base import Pipeline, Prepared
from lamina.serving import Served

from .asgi import PATIENCE


class Gate:
    """Holds every pass until it is opened, and remembers what was in each."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = threading.Event()
        self.batches: list[list[str]] = []


class Panic(BaseException):
    """What Rust code raises: no Exception."""


class FakeStages(Pipeline):
    """Texts in, their lengths out; each character is a token."""

    def __init__(self, gate: Gate | None = None):
        self.gate = gate or Gate()
        if gate is None:
            self.gate.open.set()

    def resolve_options(self, options: Mapping[str, Any]) -> Any:
        return dict(options)

    def prepare(self, items: Sequence[Any], settings: Any) -> Prepared:
        return Prepared(settings, items, [[Row({"input_ids": [1] * len(item)}, item)] for item in items])

    def shared_key(self, row: Row, settings: Any) -> Hashable:
        return settings.get("company")

    def packs(self, row: Row) -> bool:
        return False

    @property
    def pads(self) -> bool:
        return True

    def cost(self, row: Row, settings: Any) -> int:
        return len(row)

    def infer(self, rows: list[Row], settings: Any, watch: Any = None) -> list[Any]:
        words = [row.memory for row in rows]
        self.gate.batches.append(words)
        self.gate.entered.set()
        assert self.gate.open.wait(PATIENCE)
        if any("poison" in word for word in words):
            raise RuntimeError(f"cannot digest {words}")
        if any("panic" in word for word in words):
            raise Panic
        if any("huge" in word for word in words) and len(words) > 2:
            raise torch.OutOfMemoryError("out of memory")
        if any("boundless" in word for word in words):
            raise MemoryError
        return [len(word) for word in words]

    def finish(self, prepared: Prepared, found: Sequence[Any]) -> Iterator[Any]:
        return iter(found)


class FakePipeline:
    """As much of a pipeline as a server looks at."""

    task = "text-classification"

    def __init__(self) -> None:
        self.device = torch.device("cpu")
        self.tokenizer = type("Tokenizer", (), {"mask_token_id": None, "model_max_length": 100})()
        self.model = type("Model", (), {"kind": "sequence-classification", "spec": None})()
        self.model.config = type("Config", (), {"label2id": {}, "id2label": {}})()


class FakeServed(Served):
    """A model that answers with the lengths of texts."""

    def __init__(self, id: str, stages: FakeStages):
        super().__init__(id, FakePipeline, "text-classification")
        self.stages = stages

    def pipeline_for(self, task: str | None = None) -> Pipeline:
        return self.stages
