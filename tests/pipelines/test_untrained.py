"""Answers from weights that no file holds: said in Python, refused by the server and by whoever asks."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from lamina.errors import PipelineError
from lamina.pipelines import base, pipeline
from lamina.pipelines.base import refuse_untrained
from lamina.serving import ServeSettings
from lamina.serving.models import named_models

CASES: list[tuple[str, str, tuple[str, ...], str | None]] = [  # checkpoint, task, tensors taken out, what is missed
    ("bert-moods", "question-answering", (), "qa_outputs"),
    ("bert-body", "token-classification", (), "classifier"),
    ("bert-mask", "text-classification", (), "classifier"),
    ("bert-mask", "text-classification", (), "pooler"),
    ("bert-mask", "zero-shot-classification", (), "classifier"),
    ("bert-mask", "text-generation", ("cls.predictions.transform",), "cls.predictions.transform"),
    ("bert-body", "fill-mask", (), "cls.predictions"),
    ("bert-moods", "text-classification", (), None),
    ("bert-tags", "token-classification", (), None),
    ("bert-qa", "question-answering", (), None),
    ("bert-body", "feature-extraction", ("pooler",), None),
    ("bert-body", "sentence-similarity", ("pooler",), None),
    ("bert-mask", "feature-extraction", (), None),
    ("bert-nli", "sentence-similarity", (), None),
]


@pytest.fixture
def folder(checkpoint: Callable[[str], Path], tmp_path: Path) -> Callable[[str, tuple[str, ...]], Path]:
    def make(name: str, without: tuple[str, ...]) -> Path:
        made = shutil.copytree(checkpoint(name), tmp_path / "model")
        tensors = load_file(made / "model.safetensors")
        kept = {name: tensor for name, tensor in tensors.items() if not any(part in name for part in without)}
        save_file(kept, made / "model.safetensors", metadata={"format": "pt"})
        return made

    return make


@pytest.mark.parametrize(("name", "task", "without", "missed"), CASES)
def test_random_answers_are_said_and_refused(
    folder: Callable[[str, tuple[str, ...]], Path],
    name: str,
    task: str,
    without: tuple[str, ...],
    missed: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    base.announce.cache_clear()
    made = folder(name, without)
    pipe = pipeline(task, model=made, device="cpu")
    said = [record.message for record in caplog.records if "would be random" in record.message]
    served = next(iter(named_models(ServeSettings(models=(f"m={made}",), device="cpu", task=task)).values()))
    served.load()
    if missed is None:
        assert not said
        refuse_untrained(pipe)
        assert served.state == "ready"
        return
    assert len(said) == 1
    for part in (str(made), missed, task):
        assert part in said[0]
    with pytest.raises(PipelineError, match=f"holds no .*{missed}.*answers to {task} would be random; train it for"):
        refuse_untrained(pipe)
    assert served.state == "failed"
    assert "would be random" in served.error
    pipeline(task, model=made, device="cpu")
    again = [record for record in caplog.records if record.name == base.__name__]
    assert len([record for record in again if "would be random" in record.message]) == 1
