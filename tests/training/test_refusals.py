"""Whatever training would pass over without a word is refused before it begins: one row each."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lamina.errors import DataError, InputError, TrainingError
from lamina.training import (
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainingArguments,
)
from lamina.training.checkpointing import fingerprint
from lamina.training.collators import DataCollatorWithPadding, default_data_collator

from .tiny import arguments, bert, sentences, t5, trainer

SETTINGS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"bf16": "false"}, "bf16 must be True or False, not 'false'"),
    ({"remove_unused_columns": "False"}, "remove_unused_columns must be True or False"),
    ({"greater_is_better": "False"}, "greater_is_better must be True or False or None"),
    ({"label_names": "labels"}, "label_names must be a list of strings or None, not 'labels'"),
    ({"label_names": ["labels", 5]}, "label_names must be a list of strings"),
    ({"report_to": 5}, "report_to must be a string or a list of strings or None"),
    ({"metric_for_best_model": 5, "greater_is_better": True}, "metric_for_best_model must be a string"),
    ({"lr_scheduler_kwargs": "power"}, "lr_scheduler_kwargs must be a dict"),
    ({"output_dir": None}, "output_dir must be a string, not None"),
    ({"logging_dir": 5}, "logging_dir must be a string"),
    ({"resume_from_checkpoint": 5}, "resume_from_checkpoint must be a string or True or False"),
    ({"eval_accumulation_steps": "x"}, "eval_accumulation_steps must be a whole number"),
    ({"seed": 1.5}, "seed must be a whole number"),
    ({"seed": -1}, "seed must be a whole number from 0 to 4294967295, not -1"),
    ({"seed": 2**70}, "seed must be a whole number from 0 to"),
    ({"data_seed": "x"}, "data_seed must be a whole number"),
    ({"max_steps": 1.5}, "max_steps must be a whole number"),
    ({"warmup_steps": 1.5}, "warmup_steps must be a whole number of steps, or a part below 1 of all, or 0"),
    ({"dataloader_num_workers": -1}, "dataloader_num_workers must be a whole number from 0 on"),
    ({"dataloader_num_workers": 1.5}, "dataloader_num_workers must be a whole number"),
    ({"bf16_full_eval": True, "fp16_full_eval": True}, "exclude each other"),
    ({"tf32": True}, "tf32=True needs an NVIDIA GPU"),
    ({"save_strategy": "best"}, "save_strategy='best' needs an eval_strategy"),
)


@pytest.mark.parametrize(("options", "message"), SETTINGS, ids=[next(iter(options)) for options, _ in SETTINGS])
def test_settings_of_another_kind(options: dict[str, Any], message: str, tmp_path: Path):
    with pytest.raises(TrainingError, match=message):
        TrainingArguments(**{"output_dir": str(tmp_path), "use_cpu": True, **options})


def test_settings_that_imply_others(tmp_path: Path):
    folder = str(tmp_path)
    assert TrainingArguments(folder, torch_compile_backend="aot_eager").torch_compile
    assert TrainingArguments(folder, torch_compile_mode="default").torch_compile
    assert TrainingArguments(folder, eval_strategy="epoch").do_eval and not TrainingArguments(folder).do_eval
    assert TrainingArguments(tmp_path, lr_scheduler_kwargs=None).lr_scheduler_kwargs is None


class Loss(Trainer):
    def compute_loss(self, *arguments: Any, **options: Any) -> Any:
        raise AssertionError


class Batches(Loss):
    def get_train_dataloader(self) -> Any:
        raise AssertionError


class Steps(TrainerCallback):
    def on_optimizer_step(self, *arguments: Any, **options: Any) -> None:
        raise AssertionError


def adam(model: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=1.0)


TRAINERS: tuple[tuple[Callable[[Path], Any], str], ...] = (
    (lambda out: Loss(bert(), arguments(out)), "Loss overrides compute_loss"),
    (lambda out: Batches(bert(), arguments(out)), "Batches overrides compute_loss, get_train_dataloader"),
    (lambda out: Trainer(bert(), str(out)), "args must be TrainingArguments, not a str"),
    (lambda out: Trainer(bert(), arguments(out), processing_class="a", tokenizer="b"), "given two values"),
    (lambda out: trainer(out, callbacks=[Steps()]), "Steps has a method on_optimizer_step"),
    (lambda out: trainer(out, callbacks=[object()]), "not a callback: derive its class"),
    (lambda out: trainer(out, compute_metrics=5), "compute_metrics must be a function"),
    (lambda out: Trainer(bert(), arguments(out), 5), "data_collator must be a function"),
    (lambda out: trainer(out, eval_strategy="epoch"), "eval_strategy='epoch' needs an eval_dataset"),
    (lambda out: trainer(out, eval_on_start=True), "eval_on_start=True needs an eval_dataset"),
    (lambda out: Trainer(args=arguments(out), model_init=bert, optimizers=(adam(bert()), None)), "model_init makes"),
    (lambda out: trainer(out, optimizers=(adam(bert()), None)).train(), "none of this model's parameters"),
    (lambda out: trainer(out, eval_dataset={}).evaluate(), "an empty dict"),
    (
        lambda out: trainer(out, rows={"input_ids": [[1]], "labels": [1]}).train(),
        "train_dataset is a dict with input_ids",
    ),
    (lambda out: Trainer(t5(), Seq2SeqTrainingArguments(str(out), predict_with_generate=True)), "Seq2SeqTrainer that"),
    (lambda out: trainer(out, bert(num_labels=1), label_smoothing_factor=0.1).train(), "for losses over classes"),
    (lambda out: trainer(out, torch_compile_mode="nope").train(), "torch_compile_mode: Unrecognized mode=nope"),
    (
        lambda out: trainer(out, compute_metrics=lambda found: {1: 2.0}).evaluate(sentences(4)),
        "keys are names of metrics",
    ),
    (
        lambda out: trainer(out, label_names=["nope"], compute_metrics=lambda found: {}).evaluate(sentences(4)),
        "label_names: the batches have no nope",
    ),
)


@pytest.mark.parametrize(("make", "message"), TRAINERS, ids=[message[:30] for _, message in TRAINERS])
def test_trainers_that_would_do_something_else(make: Callable[[Path], Any], message: str, tmp_path: Path):
    with pytest.raises(TrainingError, match=message):
        make(tmp_path)


def test_smoothing_of_several_labels_a_row(tmp_path: Path):
    rows = [{"input_ids": [1, 2], "label": [0.5, 0.5]}] * 8
    run = Trainer(
        bert(), arguments(tmp_path, label_smoothing_factor=0.1), train_dataset=rows, data_collator=default_data_collator
    )
    with pytest.raises(TrainingError, match="one label each: these are numbers"):
        run.train()


def test_a_seq2seq_trainer_generates(tmp_path: Path):
    args = Seq2SeqTrainingArguments(str(tmp_path), predict_with_generate=True, use_cpu=True, generation_max_length=5)
    found = Seq2SeqTrainer(t5(), args).predict([{"input_ids": [1, 2], "labels": [3, 4]}])
    assert found.predictions.shape[1] <= 5
    with pytest.raises(TrainingError, match="generation_max_length must be a whole number from 1 on"):
        Seq2SeqTrainingArguments(str(tmp_path), generation_max_length=0)


def test_the_control_that_a_callback_returns_counts(tmp_path: Path):
    seen: list[Any] = []

    class Stop(TrainerCallback):
        def on_step_end(
            self, args: Any, state: Any, control: Any, optimizer: Any, lr_scheduler: Any, **more: Any
        ) -> Any:
            seen.append((optimizer, lr_scheduler))
            return TrainerControl(should_training_stop=True)

    run = trainer(tmp_path, max_steps=5, callbacks=[Stop])
    run.train()
    assert run.state.global_step == 1
    assert isinstance(seen[0][0], torch.optim.Optimizer) and hasattr(seen[0][1], "get_last_lr")


def test_scores_that_are_left_out(tmp_path: Path):
    run = trainer(tmp_path)
    assert run.predict(sentences(4), ignore_keys=["logits"]).predictions is None


@pytest.mark.parametrize("padding", [False, True])
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"input_ids": [1], "label": 1}, {"input_ids": [2], "label": 1, "more": [0]}], "row 1 of a batch has 'more'"),
        ([{"input_ids": [1], "label": 1}, {"label": 1}], "row 1 of a batch has no 'input_ids'"),
        ([{"input_ids": [1]}, {"input_ids": [2], "label": 1}], "row 0 of a batch has no 'label'"),
        ([{"input_ids": [1], "label": 1, "labels": 0}] * 2, "'label' and 'labels' hold different labels"),
    ],
)
def test_rows_whose_columns_differ(rows: list[dict[str, Any]], message: str, padding: bool):
    class Tokenizer:
        pad_token_id = 0

        def pad(self, *arguments: Any, **options: Any) -> Any:
            raise AssertionError

    collator: Any = DataCollatorWithPadding(Tokenizer()) if padding else default_data_collator
    with pytest.raises(DataError, match=message):
        collator(rows)


def test_labels_under_two_names_that_agree():
    batch = default_data_collator([{"input_ids": [1], "label": 1, "labels": 1}] * 2)
    assert batch["labels"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("model", "label", "message"),
    [
        (bert(num_labels=1), float("nan"), "2 steps had a loss or gradient that is not finite"),
        (bert(), -100, "2 steps had no target at all"),
    ],
    ids=["NaN", "ignored"],
)
def test_steps_that_taught_nothing_are_told_of(
    model: Any, label: float, message: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    rows = [{"input_ids": [1, 2], "label": label}] * 8
    with caplog.at_level(logging.WARNING):
        Trainer(
            model, arguments(tmp_path, max_steps=2), train_dataset=rows, data_collator=default_data_collator
        ).train()
    assert message in caplog.text


@pytest.mark.parametrize("kind", [list, tuple])
def test_one_changed_row_among_many_is_another_dataset(kind: Any, tmp_path: Path):
    rows = sentences(5000)
    changed = [*rows[:4321], {**rows[4321], "label": 1 - rows[4321]["label"]}, *rows[4322:]]
    assert fingerprint(kind(rows)) == fingerprint(kind(rows)) != fingerprint(kind(changed))


def test_bytes_and_tensors_are_looked_into():
    assert fingerprint([{"a": b"1"}]) != fingerprint([{"a": b"2"}])
    first, second = ([{"a": torch.tensor([value])}] for value in (1, 2))
    assert fingerprint(first) == fingerprint(first) != fingerprint(second)


def test_errors_of_the_model_still_come_through(tmp_path: Path):
    rows = [{"input_ids": [1, 2], "label": -1}] * 8
    run = Trainer(bert(), arguments(tmp_path), train_dataset=rows, data_collator=default_data_collator)
    with pytest.raises(InputError, match="labels run from -1"):
        run.train()
