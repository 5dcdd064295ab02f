"""Vectors of texts learn what belongs together, by each loss, and a run that was stopped ends as one that was not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lamina import BertConfig, SentenceTransformer, Tokenizer, pipeline
from lamina.errors import DataError, TrainingInterrupted
from lamina.inference.rows import reads_packed
from lamina.training import TrainerCallback, recipes
from lamina.training.recipes import sentence_embeddings
from lamina.training.retrieval import RetrievalMetric, TrainedSentences, ranking_scores

ARGUMENTS = {"weight_decay": 0.0, "save_strategy": "no", "eval_strategy": "no"}
WORDS = [f"{first}{second}" for first in ("ba", "ke", "mi", "no", "tu", "za") for second in ("l", "r", "s", "t", "x")]
NEAR, FAR = [f"{word}o" for word in WORDS], [f"{word}a" for word in reversed(WORDS)]
TRIPLETS = [{"anchor": a, "positive": b, "negative": c} for a, b, c in zip(WORDS, NEAR, FAR, strict=True)]
SCORED = [
    {"one": a, "two": b, "score": score}
    for a, b, c in zip(WORDS, NEAR, FAR, strict=True)
    for b, score in ((b, 0.9), (c, 0.1))
]
WAYS: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str]] = {
    "pairs": (TRIPLETS, {}, "eval_recall_at_1"),
    "triplets": (TRIPLETS, {"negative_column": "negative"}, "eval_recall_at_1"),
    "margin": (TRIPLETS, {"negative_column": "negative", "loss": "margin"}, "eval_recall_at_10"),
    "scored": (SCORED, {"text_column": "one", "text_pair_column": "two", "label_column": "score"}, "eval_spearman"),
}


@pytest.fixture(scope="module")
def shape(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small BERT's shape with a vocabulary of the words, read as a sentence model."""
    folder = tmp_path_factory.mktemp("shape")
    Tokenizer.train([*WORDS, *NEAR, *FAR], kind="wordpiece", vocab_size=300).save_pretrained(folder)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    BertConfig(vocab_size=300, max_position_embeddings=32, **sizes, **dropout).save_pretrained(folder)
    return str(folder)


def run(model: str, output: Path, rows: list[dict[str, Any]], **settings: Any) -> dict[str, float]:
    arguments = {**ARGUMENTS, **settings.pop("arguments", {})}
    more = {"epochs": 12, "batch_size": 10, "learning_rate": 3e-3, "from_scratch": True, **settings}
    made = sentence_embeddings.Settings(model=model, train=rows, output=output, **more, arguments=arguments)
    return sentence_embeddings.train(made)


@pytest.mark.parametrize("way", WAYS)
def test_each_loss_learns_what_belongs_together(shape: str, tmp_path: Path, way: str) -> None:
    rows, settings, score = WAYS[way]
    results = run(shape, tmp_path / "out", rows, eval=rows, query_prompt="q ", **settings)
    assert results[score] > 0.8
    model = SentenceTransformer(tmp_path / "out", device="cpu")
    assert model.prompts["query"] == "q "
    found = model.similarity(model.encode_query(WORDS), model.encode_document(NEAR))
    assert found.shape == (len(WORDS), len(NEAR))
    assert pipeline(model=tmp_path / "out", device="cpu").task == "sentence-similarity"
    assert "SentenceTransformer" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "sentence-embeddings" in recipes.RECIPES


def test_small_matrices_are_learned_beside_the_weights(shape: str, tmp_path: Path) -> None:
    results = run(shape, tmp_path / "out", TRIPLETS, eval=TRIPLETS, lora=4, epochs=20, learning_rate=1e-2)
    assert results["eval_recall_at_10"] > 0.6
    assert SentenceTransformer(tmp_path / "out", device="cpu").encode(["x"]).shape == (1, 32)


class StopsAt(TrainerCallback):
    def __init__(self, step: int):
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        if state.global_step == self.step:
            raise KeyboardInterrupt
        return control


def test_a_stopped_run_ends_as_one_that_was_not(shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"epochs": 4, "arguments": {"save_strategy": "epoch"}}
    run(shape, tmp_path / "whole", TRIPLETS, **options)
    made = sentence_embeddings.Trainer

    def stopping(**given: Any) -> Any:
        trainer = made(**given)
        trainer.add_callback(StopsAt(8))
        return trainer

    with monkeypatch.context() as patched:
        patched.setattr(sentence_embeddings, "Trainer", stopping)
        with pytest.raises((KeyboardInterrupt, TrainingInterrupted)):
            run(shape, tmp_path / "out", TRIPLETS, **options)
    assert SentenceTransformer(tmp_path / "out" / "checkpoint-6", device="cpu").encode(["x"]).shape == (1, 32)
    run(shape, tmp_path / "out", TRIPLETS, resume=True, **options)
    whole, out = (SentenceTransformer(tmp_path / name, device="cpu").encode(WORDS) for name in ("whole", "out"))
    np.testing.assert_array_equal(whole, out)


def model_of(shape: str) -> TrainedSentences:
    from lamina import AutoConfig, AutoModelForTextEncoding, AutoTokenizer

    torch.manual_seed(0)
    body = AutoModelForTextEncoding.from_config(AutoConfig.from_pretrained(shape))
    made = TrainedSentences.around(body, AutoTokenizer.from_pretrained(shape))
    assert isinstance(made, TrainedSentences)
    return made


def test_vectors_in_training_are_those_of_encode(shape: str) -> None:
    model = model_of(shape)
    texts = [*WORDS[:5], "ba ke mi no tu za", ""]
    inputs = model.preprocess(texts)
    assert reads_packed(model.first.auto_model, model.rows(texts))
    made = model.embed(inputs["input_ids"], inputs["attention_mask"], inputs.get("token_type_ids"))
    np.testing.assert_allclose(made.detach().numpy(), model.encode(texts), atol=1e-6)
    assert made.requires_grad


def test_what_belongs_to_an_anchor_is_none_of_its_negatives(shape: str) -> None:
    model = model_of(shape)
    vectors = torch.nn.functional.normalize(torch.randn(3, 3, 8), dim=-1)
    labels = torch.tensor([[0, 0, 9], [0, 1, 0], [2, 2, 8]])  # two anchors alike; a negative that is a positive
    model.related = {(0, 0), (0, 1), (2, 2), (2, 9)}
    scores = vectors[:, 0] @ torch.cat([vectors[:, 1], vectors[:, 2]]).T * model.scale
    counted = torch.tensor([[1, 0, 1, 1, 0, 1], [0, 1, 1, 1, 0, 1], [1, 1, 1, 0, 1, 1]]).bool()
    wanted = torch.stack([-scores[row, row] + scores[row][counted[row]].logsumexp(0) for row in range(3)]).mean()
    torch.testing.assert_close(model._negatives(vectors, labels), wanted)


def test_searches_are_scored_by_what_they_find() -> None:
    assert ranking_scores([True] + [False] * 9, 1) == {
        "recall_at_1": 1, "recall_at_10": 1, "ndcg_at_10": 1, "mrr_at_10": 1,
    }  # fmt: skip
    found = ranking_scores([False, True, False, True], 3)
    assert found["recall_at_1"] == 0
    assert found["recall_at_10"] == pytest.approx(2 / 3)
    assert found["mrr_at_10"] == 0.5
    assert found["ndcg_at_10"] == pytest.approx((1 / np.log2(3) + 1 / np.log2(5)) / (1 + 1 / np.log2(3) + 0.5))
    metric = RetrievalMetric()
    axes = np.eye(4, dtype=np.float32)
    metric.update(np.stack([axes[[2, 0]], axes[[2, 2]]]), np.array([[0, 0], [1, 1]]))
    assert metric.compute()["recall_at_1"] == 0.5
    assert not metric.anchors


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        (TRIPLETS, {"loss": "triplet"}, "one of negatives, margin, cosine"),
        (TRIPLETS, {"loss": "margin"}, "give negative_column"),
        (TRIPLETS, {"loss": "cosine"}, "give label_column"),
        (SCORED, {"label_column": "score", "loss": "margin"}, "for pairs with scores"),
        (TRIPLETS, {"text_column": "question"}, "no value in the column 'question'"),
        ([{"anchor": "a", "positive": "b", "score": 4}], {"label_column": "score"}, "divide scores by the largest"),
        ([{"anchor": "a", "positive": "b", "score": "high"}], {"label_column": "score"}, "not a number from -1 to 1"),
    ],
)
def test_data_that_do_not_fit_are_refused(
    shape: str, tmp_path: Path, rows: list[dict[str, Any]], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        run(shape, tmp_path / "out", rows, **settings)
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


def test_modules_with_weights_learn_too(shape: str, tmp_path: Path) -> None:
    from lamina.sentences import Dense, Pooling, Transformer

    start = model_of(shape)
    body, tokenizer = start.first.auto_model, start.tokenizer
    chain = [Transformer(body, tokenizer), Pooling(32, "mean"), Dense(32, 8)]
    SentenceTransformer(modules=chain, device="cpu").save_pretrained(tmp_path / "start")
    before = SentenceTransformer(tmp_path / "start", device="cpu")[2].linear.weight
    run(str(tmp_path / "start"), tmp_path / "out", TRIPLETS, from_scratch=False, epochs=2)
    after = SentenceTransformer(tmp_path / "out", device="cpu")[2].linear.weight
    assert not torch.allclose(after, before, atol=1e-4)
    assert json.loads((tmp_path / "out" / "modules.json").read_text())[2]["path"] == "2_Dense"
