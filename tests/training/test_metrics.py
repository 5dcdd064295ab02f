from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lamina import Tokenizer
from lamina.errors import DataError
from lamina.training.entities import EntityMetric, entities
from lamina.training.metrics import ClassificationMetric, TokenAccuracy, installed, likeliest, perplexity
from lamina.training.named import load_metric
from lamina.training.squad import exact, overlap, squad_scores
from lamina.training.written import WrittenMetric, bleu, bleu_scores, rouge

GOLDEN = json.loads((Path(__file__).parent / "golden" / "metrics.json").read_text())


@pytest.mark.parametrize("case", GOLDEN["tags"])
def test_entity_scores_are_the_official_ones(case: dict[str, Any]):
    metric = EntityMetric({})
    for found, wanted in zip(case["found"], case["wanted"], strict=True):
        metric.add(found, wanted)
    assert metric.compute() == pytest.approx(case["scores"])


def test_entities_of_all_notations():
    assert entities(["B-PER", "I-PER", "O", "I-LOC", "B-LOC"]) == [("PER", 0, 1), ("LOC", 3, 3), ("LOC", 4, 4)]
    assert entities(["S-PER", "B-LOC", "E-LOC", "E-LOC"]) == [("PER", 0, 0), ("LOC", 1, 2), ("LOC", 3, 3)]
    assert entities(["I-PER", "I-LOC"]) == [("PER", 0, 0), ("LOC", 1, 1)]


def test_entity_metric_reads_logits_and_forgets_after_compute():
    metric = EntityMetric({0: "O", 1: "B-X", 2: "I-X"})
    logits = torch.eye(3)[torch.tensor([[0, 1, 2, 2], [1, 0, 0, 0]])]
    labels = torch.tensor([[-100, 1, 2, -100], [1, 0, 1, -100]])
    metric.update(logits, labels)
    assert metric.report() == {
        "X": {"precision": 1.0, "recall": pytest.approx(2 / 3), "f1": pytest.approx(0.8), "number": 3}
    }
    assert metric.compute()["accuracy"] == pytest.approx(4 / 5)
    assert metric.compute()["f1"] == 0


@pytest.mark.parametrize("case", GOLDEN["answers"])
def test_answer_scores_are_the_official_ones(case: dict[str, Any]):
    assert exact(case["found"], case["wanted"]) == case["exact"]
    assert overlap(case["found"], case["wanted"]) == pytest.approx(case["f1"])


def test_squad_takes_the_best_of_several_answers_and_tells_the_kinds_apart():
    scores = squad_scores({"a": "the Cat", "b": ""}, {"a": ["dog", "cat"], "b": []})
    assert scores["exact_match"] == scores["no_answer_f1"] == scores["has_answer_exact_match"] == 100
    assert squad_scores({"a": "big cat"}, {"a": ["cat"]}) == {"exact_match": 0, "f1": pytest.approx(200 / 3)}
    with pytest.raises(DataError, match="no answer was predicted for the question 'a'"):
        squad_scores({}, {"a": ["x"]})


def test_classification_scores_of_batches_are_those_of_the_whole():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(50, 2)), rng.integers(0, 2, 50)
    whole, parts = (ClassificationMetric(("accuracy", "f1", "matthews")) for _ in range(2))
    whole.update(logits, labels)
    for start in range(0, 50, 7):
        parts.update(torch.tensor(logits[start : start + 7]), torch.tensor(labels[start : start + 7]))
    found = parts.compute()
    assert found == whole.compute()
    predicted = logits.argmax(1)
    tp, fp, fn = (((predicted == a) & (labels == b)).sum() for a, b in ((1, 1), (1, 0), (0, 1)))
    tn = 50 - tp - fp - fn
    assert found["accuracy"] == pytest.approx((tp + tn) / 50)
    assert found["f1"] == pytest.approx(2 * tp / (2 * tp + fp + fn))
    root = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    assert found["matthews"] == pytest.approx((tp * tn - fp * fn) / root)
    with pytest.raises(DataError, match="nothing to score"):
        parts.compute()


def test_regression_and_several_labels():
    metric = ClassificationMetric(("pearson", "spearman"), "regression")
    metric.update(torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([1.0, 2.0, 3.0]))
    found = metric.compute()
    assert found["spearman"] == pytest.approx(1) and found["pearson"] == pytest.approx(0.98198, abs=1e-5)
    metric.update(torch.ones(3, 1), torch.tensor([1.0, 2.0, 3.0]))
    assert metric.compute()["pearson"] == 0
    several = ClassificationMetric(problem="multi_label_classification")
    several.update(torch.tensor([[2.0, -1.0], [1.0, 1.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    assert several.compute()["accuracy"] == 0.5
    with pytest.raises(DataError, match="no metric 'acuracy'"):
        ClassificationMetric(("acuracy",))


def test_token_accuracy_and_perplexity():
    logits = torch.eye(4)[torch.tensor([[1, 2, 3]])]
    masked, causal = TokenAccuracy(), TokenAccuracy(shifted=True)
    masked.update(logits, torch.tensor([[1, -100, 0]]))
    causal.update(logits, torch.tensor([[0, 1, 3]]))
    assert masked.compute() == {"accuracy": 0.5} and causal.compute() == {"accuracy": 0.5}
    masked.update(likeliest(logits), torch.tensor([[1, -100, 0]]))
    assert masked.compute() == {"accuracy": 0.5}
    assert perplexity(math.log(7)) == pytest.approx(7) and perplexity(1e9) == math.inf


def test_bleu_and_rouge_on_stored_values():
    found = ["the cat is on the mat", "there is a dog in the garden today"]
    wanted = ["the cat sat on the mat", "there is a dog in the garden"]
    assert bleu(wanted, wanted) == pytest.approx(100)
    # Runs of 1 to 4 words in common: 12 of 14, 9 of 12, 6 of 10, 4 of 8; no brevity penalty.
    assert bleu(found, wanted) == pytest.approx(100 * (12 / 14 * 9 / 12 * 6 / 10 * 4 / 8) ** 0.25)
    scores = rouge(found, wanted)
    # Words in common: 5 of 6 and 6; 7 of 8 and 7. Pairs: 3 of 5 and 5; 6 of 7 and 6.
    assert scores["rouge1"] == pytest.approx(100 * (5 / 6 + 14 / 15) / 2)
    assert scores["rouge2"] == pytest.approx(100 * (3 / 5 + 12 / 13) / 2)
    assert rouge(["It rains. We stay."], ["We stay. It rains."])["rougeLsum"] == pytest.approx(100)


def test_written_ids_are_scored_as_text():
    tokenizer = Tokenizer.train(["the cat is on the mat today"] * 2, kind="wordpiece", vocab_size=60)
    ids = tokenizer("the cat is on the mat")["input_ids"]
    metric = WrittenMetric(tokenizer, bleu_scores)
    metric.update(torch.tensor([[*ids, tokenizer.pad_token_id]]), torch.tensor([[*ids, -100, -100]]))
    assert metric.compute() == {"bleu": pytest.approx(100), "gen_len": len(ids)}


PREDICTED = [{"id": "1", "prediction_text": "a cat"}, {"id": "2", "prediction_text": ""}]
GOLD = [
    {"id": "1", "answers": {"text": ["cat"], "answer_start": [0]}},
    {"id": "2", "answers": {"text": [], "answer_start": []}},
]


@pytest.mark.parametrize(
    ("name", "predictions", "references", "scores"),
    [
        (("glue", "cola"), [0, 1, 1, 0], [0, 1, 0, 0], {"matthews_correlation": pytest.approx(1 / math.sqrt(3))}),
        (("glue", "mrpc"), [0, 1, 1, 0], [0, 1, 0, 0], {"accuracy": 0.75, "f1": pytest.approx(2 / 3)}),
        (
            ("glue", "stsb"),
            [1.0, 2.0, 3.0],
            [1.0, 2.0, 4.0],
            {"pearson": pytest.approx(0.98198, abs=1e-5), "spearmanr": pytest.approx(1)},
        ),
        (("glue", "mnli_matched"), [2, 1], [2, 0], {"accuracy": 0.5}),
        (("accuracy",), [1, 0], [1, 1], {"accuracy": 0.5}),
        (("pearsonr",), [1.0, 2.0], [1.0, 2.0], {"pearsonr": pytest.approx(1)}),
        (("squad",), PREDICTED[:1], GOLD[:1], {"exact_match": 100, "f1": 100}),
        (
            ("squad_v2",),
            PREDICTED,
            GOLD,
            {"exact": 100, "f1": 100, "total": 2, "HasAns_exact": 100, "HasAns_f1": 100, "HasAns_total": 1,
             "NoAns_exact": 100, "NoAns_f1": 100, "NoAns_total": 1},
        ),
        (
            ("seqeval",),
            [["B-X", "I-X", "O"]],
            [["B-X", "O", "O"]],
            {"X": {"precision": 0, "recall": 0, "f1": 0, "number": 1}, "overall_precision": 0, "overall_recall": 0,
             "overall_f1": 0, "overall_accuracy": pytest.approx(2 / 3)},
        ),
        (("rouge",), ["a cat sat"], ["a cat sat"], {"rouge1": 1, "rouge2": 1, "rougeL": 1, "rougeLsum": 1}),
    ],
    ids=str,
)  # fmt: skip
def test_metrics_answer_to_their_old_names(
    name: tuple[str, ...], predictions: list[Any], references: list[Any], scores: dict[str, Any]
):
    metric = load_metric(*name)
    assert metric.compute(predictions=predictions, references=references) == scores
    for prediction, reference in zip(predictions, references, strict=True):
        metric.add(prediction=prediction, reference=reference)
    assert metric.compute() == scores


def test_sacrebleu_takes_one_or_several_references():
    metric = load_metric("sacrebleu")
    found = ["the cat is on the mat"]
    one = metric.compute(predictions=found, references=[["the cat sat on the mat"]])
    two = metric.compute(predictions=found, references=[["the cat sat on the mat", "the cat is on the mat"]])
    assert one["score"] < two["score"] == pytest.approx(100) and one["sys_len"] == 6
    assert one == metric.compute(predictions=found, references=["the cat sat on the mat"])
    rouge_score = load_metric("rouge").compute(predictions=["a b"], references=["a c"])["rouge1"]
    assert rouge_score == rouge_score.mid.fmeasure == 0.5


def test_metrics_that_cannot_be_are_refused():
    with pytest.raises(DataError, match="no metric 'blue'; there are glue, accuracy"):
        load_metric("blue")
    with pytest.raises(DataError, match="glue has no task None; there are cola"):
        load_metric("glue")
    with pytest.raises(DataError, match="2 predictions for 1 references"):
        load_metric("accuracy").compute(predictions=[1, 1], references=[1])
    with pytest.raises(DataError, match="squad takes"):
        load_metric("squad").compute(predictions=["a"], references=["a"])
    with pytest.raises(DataError, match="nothing to score"):
        load_metric("f1").compute(predictions=[], references=[])


def test_a_metric_whose_library_is_missing_says_so_before_training(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lamina.training.metrics.find_spec", lambda name: None)
    with pytest.raises(
        DataError, match=r"matthews needs scikit-learn: install it with `pip install 'lamina\[train\]'`"
    ):
        ClassificationMetric(("accuracy", "matthews"))
    installed("accuracy")
