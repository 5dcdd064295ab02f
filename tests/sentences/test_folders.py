"""Folders of every module, cross-encoders and the published MiniLM, against sentence-transformers 5.7.0."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lamina.pipelines import pipeline
from lamina.sentences import CrossEncoder, SentenceTransformer, util
from tests.assets import asset
from tests.families.weights import fill
from tests.sentences import GOLDEN, MODELS
from tests.sentences.folders import FOLDERS, TEXTS
from tests.sentences.pairs import DOCUMENTS, PAIR_FOLDERS, QUERY, write_pair_folder

Named = Callable[[str], Path]
PAIRS = [(QUERY, document) for document in DOCUMENTS]


def recorded(name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    return rows


RECORDED = json.loads(MODELS.read_text(encoding="utf-8"))
CASES = [row for row in RECORDED if "folder" in row]
ANSWERS = recorded("answers")


@pytest.fixture(scope="module")
def model(folder: Named) -> Callable[[str], SentenceTransformer]:
    return cache(lambda name: SentenceTransformer(folder(name), device="cpu"))


@pytest.fixture(scope="module")
def again(
    model: Callable[[str], SentenceTransformer], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], SentenceTransformer]:
    """The same, saved and read back."""

    @cache
    def made(name: str) -> SentenceTransformer:
        target = tmp_path_factory.mktemp("saved") / "model"
        model(name).save_pretrained(target)
        return SentenceTransformer(target, device="cpu")

    return made


def test_every_folder_is_recorded() -> None:
    assert {row["folder"] for row in CASES} == set(FOLDERS)
    assert {row["pairs"] for row in RECORDED if "pairs" in row} == set(PAIR_FOLDERS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['folder']}-{'-'.join(case['call'])}")
def test_vectors_are_those_of_the_reference(
    model: Callable[[str], SentenceTransformer], again: Callable[[str], SentenceTransformer], case: dict[str, Any]
) -> None:
    call = dict(case["call"])
    method = call.pop("method", "encode")
    for made in (model(case["folder"]), again(case["folder"])):
        vectors = getattr(made, method)(TEXTS, **call)
        np.testing.assert_allclose(vectors, case["vectors"], atol=1e-6, rtol=1e-5)
        found = made.similarity(vectors[:1], vectors[1:])[0].tolist()
        assert found == pytest.approx(case["similar"], abs=2e-6, rel=1e-5)
        assert made.get_embedding_dimension() == vectors.shape[1] == made.encode([]).shape[1]


@pytest.mark.parametrize("name", ["default prompt", "encoder of two", "layers weighted, all of it", "first numbers"])
def test_the_pipeline_makes_the_same_vectors(
    folder: Named, model: Callable[[str], SentenceTransformer], name: str
) -> None:
    pipe = pipeline(model=folder(name), device="cpu")
    assert pipe.task == "sentence-similarity"
    np.testing.assert_allclose(pipe.embed(TEXTS), model(name).encode(TEXTS), atol=1e-6)


def check(found: Any, wanted: dict[str, Any]) -> None:
    """That an answer has the kind, type, shape and numbers of the reference."""
    assert type(found).__name__.lower() == wanted["kind"].lower()
    if wanted["kind"] == "list":
        assert len(found) == len(wanted["items"])
        for one, each in zip(found, wanted["items"], strict=True):
            check(one, each)
        return
    numbers = torch.as_tensor(np.asarray(found))
    assert (str(numbers.dtype), list(numbers.shape)) == (wanted["dtype"], wanted["shape"])
    values = numbers.double().flatten()[: len(wanted["values"])].tolist()
    steps = 0.0 if numbers.is_floating_point() else 1.0  # a last digit may tip a step of the quantization
    assert values == pytest.approx(wanted["values"], abs=1e-6 + steps, rel=1e-5)


@pytest.mark.parametrize(
    "case", [row for row in ANSWERS if "folder" in row], ids=lambda case: f"{case['folder']}-{case['options']}"
)
def test_encode_answers_in_the_form_of_the_reference(
    model: Callable[[str], SentenceTransformer], case: dict[str, Any]
) -> None:
    check(model(case["folder"]).encode(TEXTS[0] if case["single"] else TEXTS, **case["options"]), case["found"])


@pytest.mark.parametrize(
    "case",
    [row for row in ANSWERS if "classifier" in row],
    ids=lambda case: f"{case['classifier']}-{case['setting']}-{case['options']}",
)
def test_predict_answers_in_the_form_of_the_reference(checkpoint: Named, case: dict[str, Any]) -> None:
    scorer = CrossEncoder(checkpoint(case["classifier"]), device="cpu", **case["setting"])
    check(scorer.predict(PAIRS[0] if case["single"] else PAIRS, **case["options"]), case["found"])


@pytest.mark.parametrize("name", PAIR_FOLDERS)
def test_documents_are_ranked_as_the_files_say(checkpoint: Named, tmp_path: Path, name: str) -> None:
    expected = next(row["ranks"] for row in RECORDED if row.get("pairs") == name)
    scorer = CrossEncoder(write_pair_folder(name, tmp_path / "model", checkpoint), device="cpu")
    scorer.save_pretrained(tmp_path / "saved")
    for made in (scorer, CrossEncoder(tmp_path / "saved", device="cpu")):
        ranks = made.rank(QUERY, DOCUMENTS, return_documents=True)
        assert [rank["corpus_id"] for rank in ranks] == [number for number, _ in expected]
        assert [rank["score"] for rank in ranks] == pytest.approx([score for _, score in expected], abs=1e-6)
        assert [rank["text"] for rank in ranks] == [DOCUMENTS[rank["corpus_id"]] for rank in ranks]
        assert made.rank(QUERY, DOCUMENTS, top_k=1)[0]["corpus_id"] == expected[0][0]


def test_published_vectors_are_those_of_the_reference() -> None:
    rows = recorded("minilm")
    vectors = SentenceTransformer(asset("minilm"), device="cpu").encode([row["text"] for row in rows])
    np.testing.assert_allclose(vectors, [row["vector"] for row in rows], atol=1e-6)


@pytest.mark.parametrize("case", recorded("functions"), ids=lambda case: f"{case['function']}-{case['options']}")
def test_functions_over_vectors_give_what_the_reference_does(case: dict[str, Any]) -> None:
    a, b = torch.from_numpy(fill("a", (7, 12))), torch.from_numpy(fill("b", (30, 12)))
    given = [{"a": a, "b": b, "b7": b[:7], "a1": a[0]}[name] for name in case["arguments"]]
    for form in (lambda each: each, torch.Tensor.numpy):
        found = getattr(util, case["function"])(*map(form, given), **case["options"])
        if isinstance(found, list):
            assert same(found, case["found"])
        elif isinstance(found, torch.Tensor) or case["found"]["kind"] == "ndarray":
            check(found, case["found"])


def same(found: Any, wanted: Any) -> bool:
    """Whether nested lists and objects hold the same, numbers to six digits."""
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(same(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    return bool(found == pytest.approx(wanted, abs=1e-6))
