"""Texts as the reference takes them, and refusals in the words of the door that a request came through."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from lamina import pipeline
from lamina.serving import ServeSettings, create_app
from tests.sentences import MODELS
from tests.sentences.folders import TEXTS, write_sentence_folder
from tests.sentences.pairs import DOCUMENTS, PAIR_FOLDERS, QUERY, write_pair_folder

from .running import Running, in_thread

LONG = "word " * 100
GENERATED = {"max_new_tokens": 2, "do_sample": False}
PAIRS = {name: name.replace(" ", "-") for name in PAIR_FOLDERS}


@pytest.fixture(scope="module")
def named(checkpoint: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of this module's own models, by their ids."""
    place = tmp_path_factory.mktemp("named")
    sentences = {"prompts": "default prompt", "cls": "cls", "dense": "dense, then normalized"}
    pairs = {id: write_pair_folder(name, place / id, checkpoint) for name, id in PAIRS.items()}
    made = {id: write_sentence_folder(name, place / id, checkpoint) for id, name in sentences.items()}
    shutil.copytree(checkpoint("bert-spam"), place / "odd")
    config = json.loads((place / "odd" / "config.json").read_text())
    odd = config | {"sbert_ce_default_activation_function": "torch.nn.modules.activation.Softmax"}
    (place / "odd" / "config.json").write_text(json.dumps(odd))
    return {**pairs, **made, "odd": place / "odd"}


@pytest.fixture(scope="module")
def own(named: dict[str, Path]) -> Iterator[Running]:
    models = tuple(f"{name}={folder}" for name, folder in named.items())
    with in_thread(create_app(ServeSettings(models=models, device="cpu", precision="fp32"))) as running:
        yield running


@pytest.fixture(scope="module")
def featured(named: dict[str, Path]) -> Iterator[Running]:
    """A sentence model served for its features, whose files still say how texts become vectors."""
    settings = ServeSettings(models=(f"cls={named['cls']}",), device="cpu", task="feature-extraction", precision="fp32")
    with in_thread(create_app(settings)) as running:
        yield running


@pytest.mark.parametrize(
    ("model", "path", "inputs", "parameters"),
    [
        ("bert-moods", "", ["a", ""], {}),
        ("bert-tags", "", ["a", ""], {}),
        ("bert-body", "", ["a", ""], {}),
        ("gpt2", "", ["a", ""], GENERATED),
        ("t5", "", ["a", ""], GENERATED),
    ],
)
def test_an_empty_text_is_a_text(
    server: Running, model: str, path: str, inputs: list[str], parameters: dict[str, Any]
) -> None:
    body = {"inputs": inputs, **({"parameters": parameters} if parameters else {})}
    status, answers = server.post(f"/models/{model}{path}", body)
    assert (status, len(answers)) == (200, 2)


TOO_LONG = r"the text has 102 tokens and the model reads 64 at most; pass "
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    (
        "/models/bert-moods",
        {"inputs": ["a", LONG]},
        f'inputs[1]: text-classification: {TOO_LONG}"parameters": {{"truncation": true}} to cut it off',
    ),
    (
        "/models/bert-body",
        {"inputs": ["a", LONG]},
        f'inputs[1]: feature-extraction: {TOO_LONG}"parameters": {{"truncate": true}} to cut it off',
    ),
    (
        "/models/bart/pipeline/summarization",
        {"inputs": ["a", LONG * 2]},
        'inputs[1]: summarization: the text has 404 tokens and the model reads 64 at most; pass "parameters": '
        '{"chunk": "sentences"} to read it in windows of whole sentences, or "parameters": {"truncation": true} to cut '
        "it off",
    ),
    ("/models/bert-mask", {"inputs": ["a [MASK]", "b"]}, "inputs[1]: fill-mask: no mask token ([MASK]) in 'b'"),
    ("/models/bert-moods", {"inputs": ["a", {"txt": "b"}]}, 'inputs[1]: a dictionary input has the keys "text"'),
    ("/models/bert-qa", {"inputs": [{"question": "", "context": "c"}] * 2}, "inputs[0]: the question is empty"),
    ("/models/minilm/embed", {"inputs": ["a", LONG * 9], "truncate": False}, 'inputs[1]: the text has 902 tokens'),
    ("/models/minilm/embed", {"inputs": [LONG * 9], "truncate": False}, 'at most; pass "truncate": true to cut it off'),
    ("/models/bert-moods/predict", {"inputs": [["a"], [LONG]], "truncate": False}, 'inputs[1]: text-classification: '),
    ("/models/gpt2", {"inputs": ["a", LONG], "parameters": GENERATED}, "inputs[1]: text-generation: the text has "),
    ("/v1/completions", {"model": "gpt2", "prompt": ["a", LONG], "max_tokens": 2}, "prompt[1]: text-generation: the t"),
    (
        "/models/bert-nli/pipeline/zero-shot-classification",
        {"inputs": ["a", ""], "parameters": {"candidate_labels": ["b"]}},
        "inputs[1]: the text is empty",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "message"), REFUSED)
def test_a_refusal_names_the_item_and_the_options_as_its_door_does(
    server: Running, path: str, body: dict[str, Any], message: str
) -> None:
    status, answer = server.post(path, body)
    said = answer["error"]["message"] if isinstance(answer["error"], dict) else answer["error"]
    assert message in said
    assert "truncation=True" not in said
    assert status in (400, 422)


def test_prompts_are_put_before_texts(own: Running, named: dict[str, Path]) -> None:
    pipe = pipeline(model=named["prompts"], device="cpu")
    for asked in (None, "query", "passage", "plain"):
        given = {} if asked is None else {"prompt_name": asked}
        _, found = own.post("/models/prompts/embed", {"inputs": TEXTS, "normalize": False, **given})
        expected = pipe.embed(TEXTS, prompt_name=asked)
        torch.testing.assert_close(torch.tensor(found), expected, atol=1e-4, rtol=1e-3)
        _, features = own.post("/models/prompts", {"inputs": TEXTS, **given})
        torch.testing.assert_close(torch.tensor(features), expected, atol=1e-4, rtol=1e-3)
    status, refused = own.post("/models/prompts/embed", {"inputs": "a", "prompt_name": "other"})
    assert (status, refused["error"]) == (
        422,
        "prompt_name: the model stores no prompt called 'other'; it stores 'query', 'passage', 'plain'",
    )
    status, refused = own.post("/models/dense/embed", {"inputs": "a", "prompt_name": "query"})
    assert (status, refused["error"]) == (422, "prompt_name: the model stores no prompt called 'query'; it stores none")


def test_features_and_vectors_of_one_model_are_made_as_its_files_say(featured: Running, named: dict[str, Path]) -> None:
    expected = pipeline(model=named["cls"], device="cpu").embed(TEXTS[:2])
    _, found = featured.post("/models/cls/embed", {"inputs": TEXTS[:2], "normalize": False})
    torch.testing.assert_close(torch.tensor(found), expected, atol=1e-4, rtol=1e-3)
    _, info = featured.get("/models/cls/info")
    assert info["model_type"] == {"embedding": {"pooling": "cls"}}


@pytest.mark.parametrize("name", PAIR_FOLDERS)
def test_pairs_are_ranked_as_the_files_say(own: Running, name: str) -> None:
    rows = json.loads(MODELS.read_text(encoding="utf-8"))
    expected = next(row["ranks"] for row in rows if row.get("pairs") == name)
    asked = {"query": QUERY, "texts": DOCUMENTS}
    _, ranks = own.post(f"/models/{PAIRS[name]}/rerank", asked)
    assert [rank["index"] for rank in ranks] == [number for number, _ in expected]
    assert [rank["score"] for rank in ranks] == pytest.approx([score for _, score in expected], abs=1e-4)
    _, raw = own.post(f"/models/{PAIRS[name]}/rerank", {**asked, "raw_scores": True})
    logits = torch.tensor([rank["score"] for rank in raw])
    plain = [rank["score"] for rank in own.post("/models/identity/rerank", asked)[1]]
    assert logits.tolist() == pytest.approx(plain, abs=1e-4)


def test_an_activation_that_is_not_known_is_refused_where_it_counts(own: Running) -> None:
    asked = {"query": QUERY, "texts": DOCUMENTS}
    status, answer = own.post("/models/odd/rerank", asked)
    assert status == 422
    assert "Softmax" in answer["error"]
    assert own.post("/models/odd/rerank", {**asked, "raw_scores": True})[0] == 200
    assert own.post("/models/odd", {"inputs": "a"})[0] == 200
