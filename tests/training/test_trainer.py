"""The Trainer's face: what scripts written for the reference call, and what it answers to mistakes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import lamina
from lamina.errors import TrainingError
from lamina.training import (
    EarlyStoppingCallback,
    EvalPrediction,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    Trainer,
    TrainerCallback,
)
from lamina.training import TrainingArguments as Arguments

from .tiny import arguments, bert, collate, equal, sentences, t5, tagged, trainer, weights


def test_evaluation_scores_every_row_in_order(tmp_path: Path):
    rows = sentences(10, 3)
    seen: dict[str, Any] = {}

    def compute(found: EvalPrediction) -> dict[str, float]:
        logits, labels = found
        assert np.array_equal(found[0], found.predictions) and np.array_equal(found[1], found.label_ids)
        seen.update(logits=logits, labels=labels)
        return {"accuracy": (logits.argmax(-1) == labels).mean()}

    model = bert()
    run = trainer(tmp_path, model, per_device_eval_batch_size=3, group_by_length=True, compute_metrics=compute)
    metrics = run.evaluate(rows)
    with torch.no_grad():
        single = [model.eval()(**collate([row])) for row in rows]
    wanted = torch.cat([output.logits for output in single]).numpy()
    np.testing.assert_allclose(seen["logits"], wanted, atol=1e-5)
    assert seen["labels"].tolist() == [row["label"] for row in rows]
    assert metrics["eval_loss"] == pytest.approx(float(sum(output.loss for output in single) / 10), abs=1e-6)
    assert metrics["eval_accuracy"] == (wanted.argmax(-1) == seen["labels"]).mean()
    assert {"eval_runtime", "eval_samples_per_second", "eval_steps_per_second", "epoch"} < set(metrics)


def test_predictions_of_tokens_are_padded(tmp_path: Path):
    rows = tagged(7)
    run = trainer(tmp_path, bert("BertForTokenClassification", num_labels=50), per_device_eval_batch_size=2)
    found = run.predict(rows)
    longest = max(len(row["labels"]) for row in rows)
    assert found.predictions.shape == (7, longest, 50) and found.label_ids.shape == (7, longest)
    for row, labels in zip(rows, found.label_ids, strict=True):
        assert labels[: len(row["labels"])].tolist() == row["labels"] and set(labels[len(row["labels"]) :]) <= {-100}
    assert "test_loss" in found.metrics


def test_a_metric_that_takes_batches(tmp_path: Path):
    class Counting:
        def __init__(self) -> None:
            self.sizes: list[int] = []

        def update(self, predictions: Any, labels: Any) -> None:
            assert predictions.shape == (len(labels), 2)
            self.sizes.append(len(labels))

        def compute(self) -> dict[str, float]:
            return {"rows": float(sum(self.sizes))}

    metric = Counting()
    run = trainer(tmp_path, compute_metrics=metric, per_device_eval_batch_size=4)
    assert run.evaluate(sentences(10))["eval_rows"] == 10.0 and metric.sizes == [4, 4, 2]


def test_scores_can_be_cut_before_they_are_kept(tmp_path: Path):
    def cut(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return logits.argmax(-1)

    run = trainer(tmp_path, preprocess_logits_for_metrics=cut)
    assert run.predict(sentences(5)).predictions.shape == (5,)


def test_evaluation_leaves_no_trace_in_training(tmp_path: Path):
    alone = trainer(tmp_path / "a")
    watched = trainer(tmp_path / "b", eval_strategy="steps", eval_steps=2, eval_dataset=sentences(6))
    alone.train()
    watched.train()
    assert equal(weights(alone.model), weights(watched.model))


def test_several_datasets_are_scored_apart(tmp_path: Path):
    parts = {"one": sentences(4), "two": sentences(4, 1)}
    found = trainer(tmp_path).evaluate(parts)
    assert {"eval_one_loss", "eval_two_loss"} < set(found)
    run = trainer(
        tmp_path, max_steps=2, eval_dataset=parts, eval_strategy="steps", eval_steps=1,
        metric_for_best_model="eval_two_loss", callbacks=[EarlyStoppingCallback(5)],
    )  # fmt: skip
    run.train()
    assert run.state.best_metric == min(e["eval_two_loss"] for e in run.state.log_history if "eval_two_loss" in e)


def test_both_spellings(tmp_path: Path):
    assert Arguments(str(tmp_path), evaluation_strategy="epoch").eval_strategy == "epoch"
    assert Arguments(str(tmp_path), train_sampling_strategy="group_by_length").group_by_length
    assert Arguments(str(tmp_path), no_cuda=True).use_cpu
    with pytest.raises(TrainingError, match="two values"):
        Arguments(str(tmp_path), evaluation_strategy="epoch", eval_strategy="steps")
    padder = type("Padder", (), {"pad": lambda self: None})()
    for name in ("tokenizer", "processing_class"):
        run = Trainer(bert(), arguments(tmp_path), **{name: padder})
        assert run.tokenizer is run.processing_class is padder
        assert type(run.data_collator).__name__ == "DataCollatorWithPadding"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eval_strategy": "always"}, "eval_strategy='always' is unknown"),
        ({"per_device_train_batch_size": 0}, "per_device_train_batch_size"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"learning_rate": "2e-5"}, "learning_rate must be a number from 0 on, not '2e-5'"),
        ({"num_train_epochs": "three"}, "num_train_epochs must be a number"),
        ({"warmup_ratio": 1.5}, "warmup_ratio"),
        ({"lr_scheduler_type": "step"}, "lr_scheduler_type"),
        ({"optim": "lion"}, "optim"),
        ({"save_total_limit": 0}, "save_total_limit"),
        ({"save_steps": 2.5}, "save_steps"),
        ({"num_train_epochs": 0}, "num_train_epochs"),
        ({"bf16": True, "fp16": True}, "exclude"),
        ({"peak_tflops": 0.0}, "peak_tflops"),
        ({"fp16": True, "use_cpu": True}, "accelerator"),
        ({"load_best_model_at_end": True}, "eval_strategy"),
        ({"load_best_model_at_end": True, "eval_strategy": "epoch"}, "save_strategy"),
        ({"train_sampling_strategy": "sorted"}, "train_sampling_strategy"),
    ],
)
def test_settings_that_make_no_sense(options: dict[str, Any], message: str, tmp_path: Path):
    with pytest.raises(TrainingError, match=message):
        Arguments(str(tmp_path), **options)


def test_data_that_cannot_be_trained_on(tmp_path: Path):
    with pytest.raises(TrainingError, match="no rows"):
        trainer(tmp_path, rows=[]).train()
    with pytest.raises(TrainingError, match="__getitem__"):
        trainer(tmp_path, rows=iter(sentences())).train()
    with pytest.raises(TrainingError, match=r"only the columns \['text'\]"):
        trainer(tmp_path, rows=[{"text": "a"}]).train()
    with pytest.raises(TrainingError, match="rows must be dicts"):
        trainer(tmp_path, rows=["a"]).train()
    with pytest.raises(TrainingError, match="no train_dataset"):
        Trainer(bert(), arguments(tmp_path)).train()
    with pytest.raises(TrainingError, match="a label is 7"):
        trainer(tmp_path, rows=[{"input_ids": [1, 2], "label": 7}]).train()
    with pytest.raises(TrainingError, match="no loss"):
        trainer(tmp_path, rows=[{"input_ids": [1, 2]}]).train()
    with pytest.raises(TrainingError, match="needs a model"):
        Trainer(args=arguments(tmp_path))
    with pytest.raises(TrainingError, match="uploaded"):
        trainer(tmp_path).push_to_hub()
    with pytest.raises(TrainingError, match="not among the metrics"):
        trainer(
            tmp_path, eval_strategy="steps", eval_steps=1, metric_for_best_model="f1", eval_dataset=sentences(2)
        ).train()


def test_columns_the_model_does_not_take_stay_out(tmp_path: Path):
    rows = [{**row, "text": "words", "idx": 3} for row in sentences()]
    assert trainer(tmp_path, rows=rows, max_steps=1).train().global_step == 1


def test_workers_make_the_same_batches(tmp_path: Path):
    alone, helped = trainer(tmp_path / "a", max_steps=3), trainer(tmp_path / "b", max_steps=3, dataloader_num_workers=1)
    alone.train()
    helped.train()
    assert equal(weights(alone.model), weights(helped.model))


def test_callbacks_see_every_event(tmp_path: Path):
    events: list[str] = []

    class Listener(TrainerCallback):
        def call(self, event: str, *arguments: Any, **more: Any) -> None:
            events.append(event)

    trainer(
        tmp_path, max_steps=2, callbacks=[Listener], eval_strategy="steps", eval_steps=2, eval_dataset=sentences(2),
        save_strategy="steps", save_steps=2,
    ).train()  # fmt: skip
    assert events == [
        "on_init_end", "on_train_begin", "on_epoch_begin", "on_step_begin", "on_step_end", "on_log", "on_step_begin",
        "on_step_end", "on_log", "on_log", "on_evaluate", "on_save", "on_train_end",
    ]  # fmt: skip


def test_a_model_made_for_each_run(tmp_path: Path):
    run = Trainer(args=arguments(tmp_path), model_init=bert, train_dataset=sentences(), data_collator=collate)
    first = run.train()
    assert run.train().training_loss == first.training_loss


def test_an_optimizer_of_ones_own(tmp_path: Path):
    model = bert()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    before = weights(model)
    trainer(tmp_path, model, optimizers=(optimizer, None)).train()
    assert equal(before, weights(model))


def test_the_saved_folder_loads(tmp_path: Path):
    run = trainer(tmp_path)
    run.train()
    run.save_model()
    assert equal(weights(lamina.BertForSequenceClassification.from_pretrained(tmp_path)), weights(run.model))


def test_written_predictions(tmp_path: Path):
    args = Seq2SeqTrainingArguments(
        str(tmp_path), predict_with_generate=True, generation_max_length=6, generation_num_beams=2, use_cpu=True,
        per_device_eval_batch_size=3, disable_tqdm=True,
    )  # fmt: skip
    seen: list[Any] = []

    def compute(found: EvalPrediction) -> dict[str, float]:
        seen.append(found)
        return {"length": float((found.predictions != 0).sum(1).mean())}

    model, rows = t5(), tagged(5)
    run = Seq2SeqTrainer(model, args, data_collator=collate, compute_metrics=compute)
    metrics = run.evaluate(rows)
    assert "eval_length" in metrics and "eval_loss" in metrics
    assert seen[0].predictions.shape[1] <= 6 and seen[0].predictions.min() >= 0
    alone = model.generate(torch.tensor([rows[0]["input_ids"]]), max_length=6, num_beams=2)[0]
    assert seen[0].predictions[0][: len(alone)].tolist() == alone.tolist()
    assert run.predict(rows, max_length=3).predictions.shape[1] <= 3


def test_loggers_get_every_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    taken: list[tuple[str, Any]] = []
    wandb, mlflow = ModuleType("wandb"), ModuleType("mlflow")

    class Run:
        def log(self, values: Any, step: int) -> None:
            taken.append(("wandb", (step, values)))

        def finish(self) -> None:
            taken.append(("wandb", "finish"))

    wandb.init = lambda **options: Run()
    mlflow.start_run = lambda run_name: None
    mlflow.log_params = lambda values: None
    mlflow.log_metrics = lambda values, step: taken.append(("mlflow", (step, values)))
    mlflow.end_run = lambda: taken.append(("mlflow", "finish"))
    for module in (wandb, mlflow):
        module.__spec__ = object()
        monkeypatch.setitem(sys.modules, module.__name__, module)
    trainer(tmp_path, max_steps=2, report_to=["wandb", "mlflow"]).train()
    steps = [(name, what[0]) for name, what in taken if what != "finish"]
    assert steps == [("wandb", 1), ("mlflow", 1), ("wandb", 2), ("mlflow", 2)]
    assert "train/loss" in taken[0][1][1] and "loss" in taken[1][1][1]
    assert [name for name, what in taken if what == "finish"] == ["wandb", "mlflow"]
    with pytest.raises(TrainingError, match="unknown"):
        trainer(tmp_path, report_to="paper")


def test_a_service_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("lamina.training.loggers.find_spec", lambda name: None)
    with pytest.raises(TrainingError, match="pip install wandb"):
        trainer(tmp_path, report_to="wandb")


def test_the_bar_shows_loss_rate_and_speed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    trainer(
        tmp_path, max_steps=3, disable_tqdm=False, eval_strategy="steps", eval_steps=3, eval_dataset=sentences(2)
    ).train()
    shown = capsys.readouterr().err
    assert "training" in shown and "3/3" in shown and "eval_loss" in shown


def test_the_state_can_be_read(tmp_path: Path):
    run = trainer(tmp_path, save_strategy="steps", save_steps=8)
    run.train()
    state = json.loads((tmp_path / "checkpoint-8" / "trainer_state.json").read_text())
    assert state["trainer"]["global_step"] == 8 and state["trainer"]["epoch"] == pytest.approx(8 / 6)
    assert len(state["trainer"]["log_history"]) == 8
