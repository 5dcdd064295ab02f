"""A search over settings: every trial trains afresh, the best is told, hopeless ones end early."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

from lamina.errors import TrainingError
from lamina.training import Trainer
from lamina.training.search import usual_objective, usual_space

from .tiny import arguments, bert, collate, sentences

optuna.logging.set_verbosity(optuna.logging.ERROR)


def searched(folder: Path, make: Any = bert, rows: int = 6, **options: Any) -> Trainer:
    given: dict[str, Any] = {"train_dataset": sentences(), "eval_dataset": sentences(rows, 1), "data_collator": collate}
    return Trainer(args=arguments(folder, max_steps=4, **options), model_init=make, **given)


def rates(trial: Any) -> dict[str, Any]:
    return {"learning_rate": trial.suggest_categorical("learning_rate", [1e-6, 1e-3])}


def test_the_best_trial_is_told_and_the_trainer_is_as_before(tmp_path: Path):
    run = searched(tmp_path)
    before = run.args
    grid = optuna.samplers.GridSampler({"learning_rate": [1e-6, 1e-3]}, seed=0)
    best = run.hyperparameter_search(hp_space=rates, n_trials=2, direction="minimize", sampler=grid)
    losses = {trial.params["learning_rate"]: trial.value for trial in best.run_summary.trials}
    assert len(losses) == 2 and best.objective == min(losses.values())
    assert losses[best.hyperparameters["learning_rate"]] == best.objective
    assert run.args is before and run.trial is None
    for name, value in best.hyperparameters.items():
        setattr(run.args, name, value)
    run.train()
    assert run.evaluate()["eval_loss"] == pytest.approx(best.objective, abs=1e-6)


def test_a_model_may_be_made_for_its_trial_and_folders_are_apart(tmp_path: Path):
    seen: list[Any] = []

    def make(trial: Any) -> Any:
        seen.append(None if trial is None else trial.number)
        return bert()

    run = searched(tmp_path, make, save_strategy="steps", save_steps=4)
    run.hyperparameter_search(hp_space=rates, n_trials=2, hp_name=lambda trial: f"trial-{trial.number}")
    assert seen == [None, 0, 1]
    assert sorted(path.parent.name for path in tmp_path.glob("*/checkpoint-4")) == ["trial-0", "trial-1"]


def test_hopeless_trials_end_early(tmp_path: Path):
    class Always(optuna.pruners.BasePruner):
        def prune(self, study: Any, trial: Any) -> bool:
            return trial.number > 0

    run = searched(tmp_path, eval_strategy="steps", eval_steps=1)
    best = run.hyperparameter_search(hp_space=rates, n_trials=3, pruner=Always())
    states = [trial.state.name for trial in best.run_summary.trials]
    assert states == ["COMPLETE", "PRUNED", "PRUNED"] and best.run_id == "0"
    assert [len(trial.intermediate_values) for trial in best.run_summary.trials] == [4, 1, 1]


def test_the_reference_space_and_objective():
    trial = optuna.trial.FixedTrial(
        {"learning_rate": 1e-5, "num_train_epochs": 2, "seed": 3, "per_device_train_batch_size": 8}
    )
    assert usual_space(trial)["num_train_epochs"] == 2
    assert usual_objective({"eval_loss": 2.0, "epoch": 1.0, "eval_runtime": 3.0, "eval_steps_per_second": 1.0}) == 2.0
    assert usual_objective({"eval_loss": 2.0, "eval_f1": 0.5, "eval_accuracy": 0.25}) == 0.75


def test_mistakes(tmp_path: Path):
    plain = Trainer(bert(), arguments(tmp_path), eval_dataset=sentences(4))
    with pytest.raises(TrainingError, match="model_init"):
        plain.hyperparameter_search()
    run = searched(tmp_path)
    with pytest.raises(TrainingError, match="direction"):
        run.hyperparameter_search(direction="up")
    with pytest.raises(TrainingError, match="only optuna"):
        run.hyperparameter_search(backend="ray")
    with pytest.raises(TrainingError, match="no such training arguments"):
        run.hyperparameter_search(hp_space=lambda trial: {"rate": 1.0}, n_trials=1)
    with pytest.raises(TrainingError, match="one after another"):
        run.hyperparameter_search(n_jobs=2)
    run.eval_dataset = None
    with pytest.raises(TrainingError, match="eval_dataset"):
        run.hyperparameter_search()
