"""Killed at any moment, on a full disk or asked to stop: a run goes on to the very same weights."""

from __future__ import annotations

import errno
import os
import random
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lamina.errors import CheckpointError, LaminaError, TrainingError
from lamina.training import EarlyStoppingCallback, add_lora, checkpointing, folders
from lamina.training.chance import random_state, restore, seeded

from .tiny import bert, equal, sentences, tagged, trainer, weights

BUDGET = 4.0  # seconds of killing
STEPS = 30


def saving(folder: Path, **options: Any) -> Any:
    """Saves often; every kind of chance is in it: order, lengths, dropout."""
    settings = {"max_steps": STEPS, "save_strategy": "steps", "save_steps": 3, "logging_steps": 5}
    return trainer(folder, **settings | options)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}


def forked(work: Callable[[], None]) -> int:
    """The number of a child that does `work` and leaves with 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads: torch has none running here
        child = os.fork()
    if child:
        return child
    code = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def go_on(folder: Path) -> None:
    options = {"group_by_length": True, "gradient_accumulation_steps": 2, "save_total_limit": 2}
    run = saving(folder, bert(), sentences(40), **options)
    run.train(resume_from_checkpoint=folders.newest(folder))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_killed_at_random_it_ends_with_the_same_bits(tmp_path: Path):
    go_on(tmp_path / "whole")
    chance, kills, began = random.Random(1), 0, time.monotonic()
    while True:
        child = forked(lambda: go_on(tmp_path / "killed"))
        if time.monotonic() - began < BUDGET:
            time.sleep(chance.uniform(0.0, 0.15))
            os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in (0, -signal.SIGKILL)
        if status == 0:
            break
        kills += 1
    assert kills >= 5
    whole, killed = (tmp_path / name / f"checkpoint-{STEPS}" for name in ("whole", "killed"))
    assert contents(whole) == contents(killed) and set(contents(whole)) == {"model.safetensors", "training.safetensors"}
    assert len(folders.checkpoints(tmp_path / "killed")) == 2
    assert not list((tmp_path / "killed").glob(".*"))


FAULTS = {
    "fsync": (os, "fsync"),
    "rename": (os, "rename"),
    "replace": (Path, "replace"),
    "text": (Path, "write_text"),
    "tensors": (checkpointing, "write_safetensors"),
    "folder": (tempfile, "mkdtemp"),
    "own folder": (Path, "mkdir"),
}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_write_that_fails_leaves_the_last_checkpoint(
    fault: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    options = {"max_steps": 4, "save_steps": 2}
    whole = saving(tmp_path / "whole", **options)
    whole.train()
    home, name = FAULTS[fault]
    plain = getattr(home, name)
    failures = 0
    for failing in range(1, 40):
        calls = 0

        def broken(*arguments: Any, **more: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == failing:
                raise OSError(number, os.strerror(number))
            return plain(*arguments, **more)

        folder = tmp_path / str(failing)
        with monkeypatch.context() as patch:
            patch.setattr(home, name, broken)
            try:
                saving(folder, **options).train()
            except LaminaError as problem:
                failures += 1
                assert os.strerror(number) in str(problem)
        if calls < failing:
            break
        resumed = saving(folder, bert(initializer_range=0.5), **options)
        start = folders.newest(folder)
        if start is None:
            continue
        resumed.train(resume_from_checkpoint=start)
        assert equal(weights(whole.model), weights(resumed.model))
    assert failures >= 2 and calls < failing


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
