"""Similar sentences: pooling as the model's folder says, cosines as the reference computes them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lamina.errors import PipelineError
from lamina.pipelines import pipeline
from lamina.pipelines.pooling import MODES, Pooling, read_pooling
from tests.assets import asset
from tests.pipelines.checkpoints import GOLDEN

SOURCE, OTHERS = "a happy dog", ["a joyful puppy 🐶", "stock markets fell sharply today", "a happy dog"]
PREFIX = "sentence_transformers.models."


def sentence_folder(
    source: Path, target: Path, pooling: dict[str, Any], *further: str, length: int | None = None
) -> Path:
    """A copy of `source` with the files that make it a sentence model."""
    shutil.copytree(source, target)
    modules = [{"idx": 0, "name": "0", "path": "", "type": PREFIX + "Transformer"}]
    modules.append({"idx": 1, "name": "1", "path": "1_Pooling", "type": PREFIX + "Pooling"})
    modules += [{"idx": 2, "name": "2", "path": "2_" + kind, "type": PREFIX + kind} for kind in further]
    (target / "modules.json").write_text(json.dumps(modules))
    (target / "1_Pooling").mkdir()
    (target / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 32, **pooling}))
    if length is not None:
        (target / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": length}))
    return target


def expected_vectors(folder: Path, texts: list[str], mode: str) -> torch.Tensor:
    """Vectors from the plain features of each text."""
    features = pipeline("feature-extraction", model=folder, return_tensors=True, device="cpu")
    rows = []
    for text in texts:
        states = features(text)[0].double()
        weights = torch.arange(1, len(states) + 1).double()
        rows.append(
            {
                "cls": states[0],
                "max": states.amax(0),
                "mean": states.sum(0) / len(states),
                "mean_sqrt_len_tokens": states.sum(0) / len(states) ** 0.5,
                "weightedmean": (states * weights[:, None]).sum(0) / weights.sum(),
                "lasttoken": states[-1],
            }[mode]
        )
    return torch.stack(rows).float()


def test_a_published_sentence_model_answers_as_the_reference_does() -> None:
    recorded = json.loads((GOLDEN / "sentence-similarity.json").read_text(encoding="utf-8"))
    pipe = pipeline("sentence-similarity", model=asset("minilm"), device="cpu")
    for case in recorded:
        found = pipe(source_sentence=case["source_sentence"], sentences=case["sentences"])
        assert all(type(score) is float for score in found)
        assert found == pytest.approx(case["output"], abs=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_pooling_is_as_the_folder_says(checkpoint: Callable[[str], Path], tmp_path: Path, mode: str) -> None:
    keys = {
        "cls": "pooling_mode_cls_token",
        "lasttoken": "pooling_mode_lasttoken",
        "weightedmean": "pooling_mode_weightedmean_tokens",
    }
    key = keys.get(mode, f"pooling_mode_{mode}" + ("" if mode.endswith("tokens") else "_tokens"))
    folder = sentence_folder(checkpoint("bert-body"), tmp_path / "model", {key: True, "pooling_mode_unused": False})
    pipe = pipeline("sentence-similarity", model=folder, device="cpu")
    vectors = expected_vectors(checkpoint("bert-body"), [SOURCE, *OTHERS], mode)
    torch.testing.assert_close(pipe.embed([SOURCE, *OTHERS]), vectors, atol=1e-5, rtol=1e-4)
    cosines = torch.nn.functional.cosine_similarity(vectors[:1], vectors[1:])
    assert pipe(source_sentence=SOURCE, sentences=OTHERS) == pytest.approx(cosines.tolist(), abs=1e-5)


def test_several_modes_are_joined_and_normalized(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    modes = {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}
    folder = sentence_folder(checkpoint("bert-body"), tmp_path / "model", modes, "Normalize")
    vector = pipeline("sentence-similarity", model=folder, device="cpu").embed(SOURCE)
    parts = [expected_vectors(checkpoint("bert-body"), [SOURCE], mode)[0] for mode in ("cls", "mean")]
    torch.testing.assert_close(vector, torch.nn.functional.normalize(torch.cat(parts), dim=0), atol=1e-5, rtol=1e-4)
    assert float(vector.norm()) == pytest.approx(1)


def test_sentences_are_cut_where_the_folder_says(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    folder = sentence_folder(checkpoint("bert-body"), tmp_path / "model", {"pooling_mode": "mean"}, length=6)
    pipe = pipeline("sentence-similarity", model=folder, device="cpu")
    assert read_pooling(folder) == Pooling(("mean",), False, 6)
    torch.testing.assert_close(pipe.embed("one two three four and then some"), pipe.embed("one two three four"))
    longer = pipeline("sentence-similarity", model=checkpoint("bert-body"), device="cpu")
    assert longer(source_sentence="word " * 500, sentences=["word"])[0] < 1


def test_one_a_list_or_a_stream(checkpoint: Callable[[str], Path]) -> None:
    pipe = pipeline("sentence-similarity", model=checkpoint("bert-body"), device="cpu")
    asked = {"source_sentence": SOURCE, "sentences": OTHERS}
    expected = pipe(**asked)
    assert expected[2] == pytest.approx(1, abs=1e-6)
    assert pipe(asked) == pipe(SOURCE, sentences=OTHERS) == expected
    assert pipe([asked, asked]) == [pytest.approx(expected)] * 2
    assert list(pipe(item for item in [asked])) == [pytest.approx(expected)]


def test_vectors_can_be_trained_on(checkpoint: Callable[[str], Path]) -> None:
    vectors = pipeline("sentence-similarity", model=checkpoint("bert-body"), device="cpu").embed(OTHERS)
    scale = torch.ones(1, requires_grad=True)
    (vectors * scale).sum().backward()
    assert scale.grad is not None


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"modules.json": [{"type": PREFIX + "Dense", "path": "2_Dense"}]}, "module 'Dense'"),
        ({"modules.json": [{"type": PREFIX + "Pooling", "path": "1_Pooling"}]}, "is not a file"),
        ({"modules.json": "{"}, "not valid JSON"),
        (
            {"modules.json": [{"type": PREFIX + "Pooling", "path": ""}], "config.json": {"pooling_mode": "vote"}},
            "names no pooling",
        ),
        (
            {"modules.json": [{"type": PREFIX + "Pooling", "path": ""}], "config.json": {}},
            "names no pooling",
        ),
        ({"modules.json": {"a": 1}}, "list of modules"),
        ({"modules.json": [{"type": PREFIX + "Pooling", "path": "../other"}]}, "outside"),
        ({"modules.json": [], "sentence_bert_config.json": {"max_seq_length": -3}}, "max_seq_length"),
    ],
)
def test_a_folder_that_is_not_understood_is_refused(tmp_path: Path, files: dict[str, Any], message: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(PipelineError, match=message):
        read_pooling(tmp_path)
