"""Searching settings with Optuna: each trial is a whole training run in a folder of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Protocol

from ..errors import TrainingDiverged, TrainingError
from .callbacks import TrainerCallback
from .state import BestRun

SPEEDS = ("_runtime", "_per_second")
OF_RUNS = ("n_jobs", "timeout", "catch", "callbacks", "gc_after_trial", "show_progress_bar")  # not of the study


def usual_space(trial: Any) -> dict[str, Any]:
    """The reference's: rate, epochs, seed and batch size."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-6, 1e-4, log=True),
        "num_train_epochs": trial.suggest_int("num_train_epochs", 1, 5),
        "seed": trial.suggest_int("seed", 1, 40),
        "per_device_train_batch_size": trial.suggest_categorical("per_device_train_batch_size", [4, 8, 16, 32, 64]),
    }


def usual_objective(metrics: dict[str, float]) -> float:
    """The reference's: the sum of all metrics, or the loss where there are none."""
    scores = {k: v for k, v in metrics.items() if k not in ("epoch", "eval_loss") and not k.endswith(SPEEDS)}
    return float(sum(scores.values())) if scores else float(metrics["eval_loss"])


class Reporter(TrainerCallback):
    """Tells a trial how it fares, and ends it where Optuna sees no hope."""

    def __init__(self, trial: Any, objective: Callable[[dict[str, float]], float]):
        self.trial, self.objective = trial, objective
        self.value: float | None = None
        self.hopeless = False

    def on_evaluate(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self.value = self.objective(dict(more["metrics"]))
        if not math.isfinite(self.value):
            return
        self.trial.report(self.value, state.global_step)
        self.hopeless = bool(self.trial.should_prune())
        control.should_training_stop |= self.hopeless


class Searched(Protocol):
    """What a search asks of a Trainer."""

    args: Any
    model: Any
    model_init: Any
    eval_dataset: Any
    trial: Any
    callbacks: list[TrainerCallback]

    def train(self) -> Any:
        """A run under `args`, with a model of `model_init`."""

    def evaluate(self) -> Any:
        """Scores over `eval_dataset`."""


class Search:
    """One search over the settings of a trainer, which is left as it was."""

    def __init__(
        self,
        trainer: Searched,
        space: Callable[[Any], dict[str, Any]] | None,
        objective: Callable[[dict[str, float]], float] | None,
        direction: str,
        backend: str | None,
        name: Callable[[Any], str] | None,
    ):
        if str(getattr(backend, "value", backend)) not in ("optuna", "None"):
            raise TrainingError(f"backend={backend!r}: only optuna is offered")
        if direction not in ("minimize", "maximize"):
            raise TrainingError(f"direction is minimize or maximize, not {direction!r}")
        if trainer.model_init is None:
            raise TrainingError("a search starts every trial afresh: give the Trainer model_init instead of model")
        if trainer.eval_dataset is None:
            raise TrainingError("a search needs an eval_dataset to judge by")
        if trainer.args.world_size > 1:
            raise TrainingError("a search runs in one process: run one without torchrun, with its own study or storage")
        self.trainer, self.space, self.name = trainer, space or usual_space, name
        self.objective, self.direction = objective or usual_objective, direction

    def run(self, count: int, options: dict[str, Any]) -> BestRun:
        """All trials, then the best of those that came to an end."""
        try:
            import optuna
        except ImportError as problem:
            raise TrainingError("hyperparameter_search needs Optuna: pip install 'lamina[search]'") from problem
        running = {name: options.pop(name) for name in OF_RUNS if name in options}
        if running.get("n_jobs", 1) != 1:
            raise TrainingError("n_jobs: trials run one after another, since they share this trainer")
        direction: Any = self.direction
        study = optuna.create_study(direction=direction, **options)
        study.optimize(lambda trial: self._trial(trial, optuna.TrialPruned), n_trials=count, **running)
        if not study.get_trials(states=(optuna.trial.TrialState.COMPLETE,)):
            raise TrainingError("no trial came to an end, so there is no best one")
        best = study.best_trial
        assert best.value is not None
        return BestRun(str(best.number), float(best.value), dict(best.params), study)

    def _trial(self, trial: Any, pruned: type[Exception]) -> float:
        trainer, args, model = self.trainer, self.trainer.args, self.trainer.model
        reporter = Reporter(trial, self.objective)
        trainer.args, trainer.trial = self._arguments(trial), trial
        trainer.callbacks.append(reporter)
        try:
            trainer.train()
            if reporter.value is None:
                trainer.evaluate()
        except TrainingDiverged as problem:
            raise pruned(str(problem)) from problem
        finally:
            trainer.callbacks.remove(reporter)
            trainer.args, trainer.trial, trainer.model = args, None, model
        if reporter.hopeless:
            raise pruned
        assert reporter.value is not None
        return reporter.value

    def _arguments(self, trial: Any) -> Any:
        args, chosen = self.trainer.args, self.space(trial)
        known = {each.name for each in fields(args)}
        unknown = sorted(set(chosen) - known)
        if unknown:
            raise TrainingError(f"hp_space names {', '.join(unknown)}: there are no such training arguments")
        name = self.name(trial) if self.name is not None else f"run-{trial.number}"
        return replace(args, **chosen, output_dir=str(Path(args.output_dir) / name))
