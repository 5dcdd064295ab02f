"""What may watch and steer a run: methods named after its events, and switches that ask for something."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..errors import TrainingError
from .arguments import TrainingArguments
from .state import TrainerState

EVENTS = (
    "on_init_end", "on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "on_step_begin", "on_step_end",
    "on_evaluate", "on_predict", "on_save", "on_log",
)  # fmt: skip
UNSENT = ("on_substep_end", "on_pre_optimizer_step", "on_optimizer_step", "on_prediction_step", "on_push_begin")


@dataclass
class TrainerControl:
    """Switches that a callback may set; the loop clears each when it has done so."""

    should_training_stop: bool = False
    should_epoch_stop: bool = False
    should_save: bool = False
    should_evaluate: bool = False
    should_log: bool = False


class TrainerCallback:
    """Override any method named in EVENTS: (args, state, control, **more). Keep what matters in `state_dict`.

    A method may set switches of `control`, or return a TrainerControl of its own that takes its place.
    """

    def call(
        self, event: str, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> TrainerControl | None:
        """Hand an event on to the method of its name, where there is one."""
        method = getattr(self, event, None)
        return None if method is None else method(args, state, control, **more)

    def state_dict(self) -> dict[str, Any]:
        """Plain data that a resumed run needs; {} where there is none."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""


class EarlyStoppingCallback(TrainerCallback):
    """Stop when the best metric has not improved by more than `threshold` in `patience` evaluations."""

    def __init__(self, early_stopping_patience: int = 1, early_stopping_threshold: float = 0.0):
        self.patience, self.threshold = early_stopping_patience, early_stopping_threshold
        self.counter = 0
        self.best: float | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any
    ) -> None:
        """Check that there will be something to go by."""
        if args.metric_for_best_model is None or args.eval_strategy == "no":
            raise TrainingError(
                "EarlyStoppingCallback needs metric_for_best_model and an eval_strategy in the arguments"
            )
        if state.global_step == 0:
            self.best, self.counter = None, 0
        control.should_training_stop |= self.counter >= self.patience  # a resumed run that had ended

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """Count evaluations without improvement."""
        value = find_metric(more["metrics"], args.metric_for_best_model or "loss")
        sign = 1 if args.greater_is_better else -1
        if not math.isnan(value) and (self.best is None or (value - self.best) * sign > self.threshold):
            self.best, self.counter = value, 0
            return
        self.counter += 1
        if self.counter >= self.patience:
            control.should_training_stop = True

    def state_dict(self) -> dict[str, Any]:
        """The counter and the metric it counts from."""
        return {"counter": self.counter, "best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on counting."""
        self.counter, self.best = state["counter"], state["best"]


def check_callback(callback: Any) -> None:
    """Refuse an object that hears of nothing, or that waits for an event which is never sent."""
    name = type(callback).__name__
    unsent = [event for event in UNSENT if hasattr(callback, event)]
    if unsent:
        raise TrainingError(
            f"{name} has a method {unsent[0]}, and no such event is sent: there are {', '.join(EVENTS)}"
        )
    if not isinstance(callback, TrainerCallback):
        raise TrainingError(f"a {name} is not a callback: derive its class from TrainerCallback")


def find_metric(metrics: dict[str, Any], name: str) -> float:
    """The metric of that name, with or without "eval_"; TrainingError names those there are."""
    key = name if name in metrics else f"eval_{name}"
    if key not in metrics:
        raise TrainingError(f"metric_for_best_model={name!r} is not among the metrics {sorted(metrics)}")
    return float(metrics[key])
