"""Sentence models and cross-encoders, against what sentence-transformers 5.7.0 makes of the same files."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from lamina.pipelines import pipeline
from tests.pipelines.checkpoints import GOLDEN
from tests.pipelines.sentence_folders import FOLDERS, TEXTS, write_sentence_folder

Checkpoint = Callable[[str], Path]
RECORDED: list[dict[str, Any]] = json.loads((GOLDEN / "sentence-models.json").read_text(encoding="utf-8"))
CASES = [row for row in RECORDED if "folder" in row]


@pytest.fixture(scope="module")
def made(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    @cache
    def make(name: str) -> Any:
        folder = write_sentence_folder(name, tmp_path_factory.mktemp("sentence") / "model", checkpoint)
        return pipeline(model=folder, device="cpu")

    return make


def test_every_folder_is_recorded() -> None:
    assert {row["folder"] for row in CASES} == set(FOLDERS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['folder']}-{'-'.join(case['call'])}")
def test_vectors_are_those_of_the_reference(made: Callable[[str], Any], case: dict[str, Any]) -> None:
    pipe = made(case["folder"])
    assert pipe.task == "sentence-similarity"
    vectors = pipe.embed(TEXTS, **case["call"])
    torch.testing.assert_close(vectors, torch.tensor(case["vectors"]), atol=2e-5, rtol=1e-4)
    found = pipe(source_sentence=TEXTS[0], sentences=TEXTS[1:], **case["call"])
    assert found == pytest.approx(case["similar"], abs=1e-4, rel=1e-4)


def test_a_text_alone_and_in_company_has_the_same_vector(made: Callable[[str], Any]) -> None:
    for name in ("prompt left out, weighted", "dense, relu, norm, dense", "dense of tokens"):
        together = made(name).embed(TEXTS)
        alone = torch.stack([made(name).embed(text) for text in TEXTS])
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_a_prompt_may_be_chosen_for_the_whole_pipeline(made: Callable[[str], Any], checkpoint: Checkpoint) -> None:
    stored = made("prompts")
    again = type(stored)(stored.model, stored.tokenizer, sentence=stored.settings.sentence, prompt_name="query")
    torch.testing.assert_close(again.embed(TEXTS), stored.embed(TEXTS, prompt_name="query"))
