"""Evaluation and prediction with a model: the half of a Trainer that changes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from ..errors import TrainingError
from ..files.shown import few
from ..spec import IGNORED
from .arguments import TrainingArguments
from .callbacks import TrainerCallback, TrainerControl, check_callback
from .collators import DataCollatorWithPadding, default_data_collator
from .evaluation import Evaluation, Read, reader
from .loading import Batches, Collator, check_rows, load, model_columns
from .loggers import RunLogger, create_loggers
from .objective import Objective
from .sampling import ordered_batches, row_lengths
from .state import EvalPrediction, PredictionOutput, TrainerState


class Evaluator:
    """A model with what it takes to read datasets and score them."""

    optimizer: Optimizer | None = None

    def __init__(
        self,
        model: nn.Module,
        args: TrainingArguments,
        data_collator: Collator | None,
        eval_dataset: Any,
        processing_class: Any,
        compute_metrics: Any,
        preprocess_logits_for_metrics: Callable[..., Any] | None,
    ):
        self.args = args
        self.model: nn.Module = model.to(args.device)
        self.processing_class, self.eval_dataset = processing_class, eval_dataset
        pads = getattr(processing_class, "pad", None) is not None
        padding: Any = DataCollatorWithPadding(processing_class) if pads else default_data_collator
        self.data_collator: Collator = data_collator or padding
        self.compute_metrics, self.preprocess_logits_for_metrics = compute_metrics, preprocess_logits_for_metrics
        self.callbacks: list[TrainerCallback] = []
        self.loggers: list[RunLogger] = create_loggers(args.report_to)
        self.state, self.control = TrainerState(is_world_process_zero=args.ranks.first), TrainerControl()
        self._logging = False

    @property
    def tokenizer(self) -> Any:
        """Older name of `processing_class`."""
        return self.processing_class

    def add_callback(self, callback: TrainerCallback | type[TrainerCallback]) -> None:
        """Have one more watch the run."""
        made = callback() if isinstance(callback, type) else callback
        check_callback(made)
        self.callbacks.append(made)

    def call(self, event: str, **more: Any) -> None:
        """Tell every callback of an event; one may return a TrainerControl, whose switches count from then on."""
        more |= self.told()
        for callback in self.callbacks:
            returned = callback.call(event, self.args, self.state, self.control, **more)
            if isinstance(returned, TrainerControl):
                vars(self.control).update(vars(returned))

    def told(self) -> dict[str, Any]:
        """What callbacks are told at every event."""
        return {"model": self.model, "processing_class": self.processing_class, "optimizer": self.optimizer}

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Loss and metrics over a dataset, `eval_dataset` of the Trainer by default; a dict of datasets one by one."""
        dataset = self.eval_dataset if eval_dataset is None else eval_dataset
        stored = callable(self.compute_metrics) and not hasattr(self.compute_metrics, "update")
        parts = {f"_{name}": part for name, part in dataset.items()} if isinstance(dataset, dict) else {"": dataset}
        if not parts:
            raise TrainingError("eval_dataset is an empty dict: it must hold datasets by their names")
        metrics: dict[str, float] = {}
        for name, part in parts.items():
            metrics |= self._evaluate(part, "eval_dataset", metric_key_prefix + name, stored, ignore_keys)[0]
        self.log({name: value for name, value in metrics.items() if name != "epoch"})
        self.call("on_evaluate", metrics=metrics)
        return metrics

    def predict(
        self, test_dataset: Any, ignore_keys: list[str] | None = None, metric_key_prefix: str = "test"
    ) -> PredictionOutput:
        """Scores and labels of every row, and metrics where there are labels."""
        metrics, found = self._evaluate(test_dataset, "test_dataset", metric_key_prefix, True, ignore_keys)
        self.call("on_predict", metrics=metrics)
        return PredictionOutput(found.predictions.whole(self.filler()), found.labels.whole(), metrics)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader[Any]:
        """The batches of an evaluation in the order of the rows, to look at: `for batch in ...: break`."""
        dataset = self.eval_dataset if eval_dataset is None else eval_dataset
        check_rows(dataset, "eval_dataset")
        plan = ordered_batches(len(dataset), self.args.per_device_eval_batch_size)
        batches = Batches(dataset, plan, self.data_collator, self._columns(), (self.args.seed, "evaluation"))
        return DataLoader(batches, batch_size=None)

    def get_test_dataloader(self, test_dataset: Any) -> DataLoader[Any]:
        """As `get_eval_dataloader`, for rows that must be named."""
        check_rows(test_dataset, "test_dataset")
        return self.get_eval_dataloader(test_dataset)

    def _evaluate(
        self, dataset: Any, what: str, prefix: str, stored: bool, ignored: Sequence[str] | None
    ) -> tuple[dict[str, float], Evaluation]:
        check_rows(dataset, what)
        args = self.args
        self.model.eval()
        lengths = row_lengths(dataset, args.length_column_name) if args.group_by_length else None
        plan = ordered_batches(len(dataset), args.per_device_eval_batch_size, lengths)
        own = plan[args.process_index :: args.world_size]
        if args.fsdp and len(own) < math.ceil(len(plan) / args.world_size):
            own = [*own, plan[0]]  # read along with the others, whose layers need every process, and not counted
        source = Batches(dataset, own, self.data_collator, self._columns(), (args.seed, "evaluation"))
        loader = load(source, 0, args.dataloader_num_workers, args.device.type == "cuda")
        streaming = self.compute_metrics if hasattr(self.compute_metrics, "update") else None
        run = Evaluation(args.ranks, streaming, stored and not args.prediction_loss_only)
        # Weights that are gathered while reading must still be good for training afterwards.
        with torch.no_grad() if args.fsdp else torch.inference_mode():
            seconds = run.run(loader, plan, self._read(ignored or ()), self.model, self._label_names())
        metrics = run.summary(prefix, seconds) | self._metrics(run, prefix)
        return metrics | {"epoch": self.state.epoch}, run

    def _metrics(self, run: Evaluation, prefix: str) -> dict[str, float]:
        if self.compute_metrics is None or self.args.prediction_loss_only:
            return {}
        if hasattr(self.compute_metrics, "update"):
            if not run.scored:
                return {}
            found = self.compute_metrics.compute()
        else:
            labels = run.labels.whole()
            if labels is None:
                if self.args.label_names:
                    raise TrainingError(f"label_names: the batches have no {few(self.args.label_names)}")
                return {}
            found = self.compute_metrics(EvalPrediction(run.predictions.whole(self.filler()), labels))
        if not isinstance(found, dict):
            raise TrainingError(f"compute_metrics must return a dict of numbers, not {type(found).__name__}")
        if not all(isinstance(name, str) for name in found):
            raise TrainingError("compute_metrics must return a dict whose keys are names of metrics: strings")
        named = {name if name.startswith(f"{prefix}_") else f"{prefix}_{name}": value for name, value in found.items()}
        return {name: value.item() if hasattr(value, "item") else value for name, value in named.items()}

    def filler(self) -> int:
        """What fills rows of predictions that are shorter than others."""
        return IGNORED

    def _read(self, ignored: Sequence[str]) -> Read:
        args = self.args
        dtype = torch.bfloat16 if args.bf16 or args.bf16_full_eval else None
        dtype = torch.float16 if args.fp16 or args.fp16_full_eval else dtype
        chosen, loss_only = self.preprocess_logits_for_metrics, args.prediction_loss_only
        return reader(self.objective(dtype), args.device, chosen, loss_only, ignored)

    def objective(self, dtype: torch.dtype | None) -> Objective:
        """What reads a batch."""
        return Objective(self.model, dtype=dtype)

    def _label_names(self) -> list[str]:
        if self.args.label_names:
            return list(self.args.label_names)
        targets = getattr(getattr(self.model, "objective", None), "targets", ("labels",))
        return list(targets) or ["labels"]

    def log(self, logs: dict[str, float]) -> None:
        """Note numbers under the step they belong to: log_history, the loggers, the bar."""
        entry = {**logs, "epoch": round(self.state.epoch, 6)}
        self.state.log_history.append({**entry, "step": self.state.global_step})
        if self._logging:
            plain = {name: float(value) for name, value in entry.items() if _finite(value)}
            for logger in self.loggers:
                logger.log(plain, self.state.global_step)
        self.call("on_log", logs=entry)

    def _columns(self) -> set[str] | None:
        return model_columns(self.model, self.args.label_names or ()) if self.args.remove_unused_columns else None


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
