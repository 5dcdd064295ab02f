"""What a run that goes on takes up again: weights, order, chance, counters; and what it refuses to take up."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from lamina.checkpoint.files import open_file
from lamina.checkpoint.saving import write_safetensors
from lamina.errors import CheckpointError, TrainingError
from lamina.training import EarlyStoppingCallback, add_lora, folders
from lamina.training.chance import random_state, restore, seeded

from .tiny import bert, equal, sentences, tagged, trainer, weights


def saving(folder: Path, *given: Any, **options: Any) -> Any:
    """Saves often; every kind of chance is in it: order, lengths, dropout."""
    settings = {"max_steps": 30, "save_strategy": "steps", "save_steps": 3, "logging_steps": 5}
    return trainer(folder, *given, **settings | options)


def test_checkpoints_that_are_cut_off_are_passed_over(tmp_path: Path):
    saving(tmp_path, max_steps=6).train()
    last, before = tmp_path / "checkpoint-6", tmp_path / "checkpoint-3"
    for path in sorted(last.iterdir()):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        assert folders.newest(tmp_path) == before, path.name
        with pytest.raises(CheckpointError, match=r"checkpoint-6 is not a whole checkpoint"):
            saving(tmp_path, max_steps=6).train(resume_from_checkpoint=last)
        path.unlink()
        assert folders.newest(tmp_path) == before, path.name
        path.write_bytes(content)
    assert folders.newest(tmp_path) == last


def test_another_dataset_or_setting_is_refused(tmp_path: Path):
    saving(tmp_path, max_steps=3).train()
    with pytest.raises(TrainingError, match="learning_rate"):
        saving(tmp_path, max_steps=3, learning_rate=1e-4).train(True)
    with pytest.raises(TrainingError, match="dataset"):
        saving(tmp_path, rows=sentences(24, seed=5), max_steps=3).train(True)
    with pytest.raises(TrainingError, match="model"):
        saving(tmp_path, bert(hidden_size=32), max_steps=3).train(True)
    saving(tmp_path, max_steps=3, logging_steps=7).train(True)


def test_a_callback_that_is_new_begins_anew(tmp_path: Path):
    options = {"eval_dataset": sentences(4), "eval_strategy": "steps", "eval_steps": 3, "metric_for_best_model": "loss"}
    saving(tmp_path, max_steps=6, **options).train()
    folders.discard(tmp_path / "checkpoint-6")
    run = saving(tmp_path, max_steps=6, callbacks=[EarlyStoppingCallback(5)], **options)
    assert run.train(resume_from_checkpoint=True).global_step == 6


def test_there_must_be_something_to_resume_from(tmp_path: Path):
    with pytest.raises(TrainingError, match="no whole checkpoint"):
        saving(tmp_path).train(resume_from_checkpoint=True)


def test_the_newest_and_the_best_are_kept(tmp_path: Path):
    best = iter([0.9, 0.1, 0.5, 0.4, 0.3])
    run = saving(
        tmp_path, max_steps=10, save_steps=2, eval_strategy="steps", eval_steps=2, save_total_limit=2,
        load_best_model_at_end=True, metric_for_best_model="score", greater_is_better=False,
        eval_dataset=sentences(4), compute_metrics=lambda found: {"score": next(best)},
    )  # fmt: skip
    run.train()
    assert [path.name for path in folders.checkpoints(tmp_path)] == ["checkpoint-4", "checkpoint-10"]
    assert run.state.best_metric == 0.1 and run.state.best_model_checkpoint == "checkpoint-4"
    chosen = type(run.model).from_pretrained(tmp_path / "checkpoint-4")
    assert equal(weights(run.model), weights(chosen))


def test_early_stopping_goes_on_counting(tmp_path: Path):
    scores = {2: 0.5, 4: 0.6, 6: 0.6, 8: 0.6, 10: 0.9}

    def run() -> Any:
        made = saving(
            tmp_path, max_steps=10, save_steps=2, eval_strategy="steps", eval_steps=2, eval_dataset=sentences(4),
            metric_for_best_model="score", callbacks=[EarlyStoppingCallback(2)],
        )  # fmt: skip
        made.compute_metrics = lambda found: {"score": scores[made.state.global_step]}
        return made

    first = run()
    first.train()
    assert first.state.global_step == 8
    folders.discard(tmp_path / "checkpoint-8")
    second = run()
    second.train(resume_from_checkpoint=True)
    assert second.state.global_step == 8 and second.state.log_history[0] == first.state.log_history[0]
    assert run().train(resume_from_checkpoint=True).global_step == 8


def test_an_epoch_that_ended_with_a_save_ends_once(tmp_path: Path):
    options = {"num_train_epochs": 3, "max_steps": -1, "save_strategy": "epoch", "eval_strategy": "epoch"}
    whole = saving(tmp_path / "whole", eval_dataset=sentences(4), **options)
    whole.train()
    run = saving(tmp_path / "cut", eval_dataset=sentences(4), **options)
    run.train()
    folders.discard(tmp_path / "cut" / "checkpoint-18")
    run = saving(tmp_path / "cut", eval_dataset=sentences(4), **options)
    run.train(resume_from_checkpoint=True)
    assert equal(weights(whole.model), weights(run.model))
    evaluated = [entry["epoch"] for entry in run.state.log_history if "eval_loss" in entry]
    assert evaluated == [1.0, 2.0, 3.0]


def test_adapters_resume_too(tmp_path: Path):
    def run(name: str) -> Any:
        return saving(tmp_path / name, add_lora(bert(), rank=2, dropout=0.1), max_steps=6)

    whole, cut = run("whole"), run("cut")
    whole.train()
    cut.train()
    folders.discard(tmp_path / "cut" / "checkpoint-6")
    resumed = run("cut")
    resumed.train(resume_from_checkpoint=True)
    assert equal(weights(whole.model), weights(resumed.model))


def test_masks_drawn_for_a_batch_depend_on_its_place_alone(tmp_path: Path):
    drawn: list[list[float]] = []

    def collator(rows: Any) -> Any:
        from .tiny import collate

        drawn.append(torch.rand(2).tolist())
        return collate(rows)

    def run() -> Any:
        return saving(tmp_path, bert("BertForMaskedLM"), tagged(), max_steps=6, data_collator=collator)

    run().train()
    all_drawn, drawn = drawn, []
    folders.discard(tmp_path / "checkpoint-6")
    run().train(resume_from_checkpoint=True)
    assert drawn == all_drawn[3:] and len({tuple(pair) for pair in all_drawn}) == 6


def test_scalars_and_tensors_of_nothing_come_back(tmp_path: Path):
    held = {
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "truth": torch.tensor(True),
        "nothing": torch.empty(0, dtype=torch.float64),
        "no columns": torch.empty(3, 0),
        "bytes": torch.arange(5, dtype=torch.uint8),
    }
    with open(tmp_path / "all.safetensors", "wb") as file:
        write_safetensors(file, held, {})
    with open_file(tmp_path / "all.safetensors") as found:
        assert set(found) == set(held)
        for name, tensor in held.items():
            assert found[name].dtype == tensor.dtype and found[name].shape == tensor.shape
            assert torch.equal(found[name], tensor)


def test_no_pickle_is_written(tmp_path: Path):
    saving(tmp_path, max_steps=3).train()
    names = {path.name for path in (tmp_path / "checkpoint-3").rglob("*")}
    assert {name.rpartition(".")[2] for name in names} == {"json", "safetensors"}


def test_random_state_comes_back_to_the_last_bit():
    import numpy as np

    def draw() -> tuple[Any, ...]:
        return random.gauss(0, 1), random.random(), np.random.normal(), np.random.rand(), float(torch.rand(()))

    draw()
    held = random_state()
    first = draw()
    restore(held)
    with seeded(1, 2):
        draw()
    assert draw() == first
