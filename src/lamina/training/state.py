"""What a run knows of itself between two steps, and what it hands back at its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple
from uuid import uuid4


@dataclass
class TrainerState:
    """Where training stands; all of it goes into a checkpoint. Field names are the reference's where it has them."""

    global_step: int = 0
    max_steps: int = 0
    num_train_epochs: int = 0
    epoch_number: int = 0
    position: int = 0  # batches of this epoch that are done
    epoch_batches: int = 1  # of all batches it has
    best_metric: float | None = None
    best_model_checkpoint: str | None = None  # name of its folder
    best_global_step: int | None = None
    loss_sum: float = 0.0  # over all steps up to the last that was logged
    loss_since_log: float = 0.0
    logged_step: int = 0
    log_history: list[dict[str, Any]] = field(default_factory=list)
    run: str = field(default_factory=lambda: uuid4().hex)  # the same in all checkpoints of a run, resumed or not
    is_world_process_zero: bool = True

    @property
    def epoch(self) -> float:
        """Epochs that are done, as a fraction."""
        return self.epoch_number + self.position / max(1, self.epoch_batches)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self) | {"epoch": self.epoch}


class TrainOutput(NamedTuple):
    """What `train` returns."""

    global_step: int
    training_loss: float
    metrics: dict[str, float]


class BestRun(NamedTuple):
    """What `hyperparameter_search` returns."""

    run_id: str
    objective: float
    hyperparameters: dict[str, Any]
    run_summary: Any = None  # the study


class PredictionOutput(NamedTuple):
    """What `predict` returns: arrays in the order of the rows."""

    predictions: Any
    label_ids: Any
    metrics: dict[str, float]


@dataclass
class EvalPrediction:
    """What a function for metrics gets: scores and labels of all rows, as arrays; also indexable as a pair."""

    predictions: Any
    label_ids: Any

    def __iter__(self) -> Iterator[Any]:
        return iter((self.predictions, self.label_ids))

    def __getitem__(self, index: int) -> Any:
        return (self.predictions, self.label_ids)[index]
