"""Where the numbers of a run go: a JSONL file always, and the services named in `report_to`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from ..errors import TrainingError
from ..files.atomic import rename, write_text
from .arguments import TrainingArguments

LOG_FILE = "log.jsonl"
PACKAGES = {"tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow"}


class RunLogger(Protocol):
    """What takes the numbers of a run."""

    def begin(self, args: TrainingArguments, history: Sequence[Mapping[str, Any]]) -> None:
        """Open a run; `history` is what a resumed one had logged."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Take the numbers of one step."""

    def end(self) -> None:
        """Close the run; nothing follows."""


class JsonLines:
    """One line per entry in log.jsonl of the output folder, flushed at once; a resumed run drops what it repeats.

    A run that starts anew leaves the log that it finds there under another name: log-1.jsonl, log-2.jsonl and so on.
    """

    def begin(self, args: TrainingArguments, history: Sequence[Mapping[str, Any]]) -> None:
        """Write what was logged so far, and go on after it."""
        path = Path(args.output_dir) / LOG_FILE
        try:
            if not history and path.is_file() and path.stat().st_size:
                numbered = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in count(1))
                rename(path, next(name for name in numbered if not name.exists()))
            write_text(path, "".join(json.dumps(entry) + "\n" for entry in history), TrainingError)
            self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 - closed by end()
        except OSError as problem:
            raise TrainingError(f"{path} cannot be written: {problem.strerror}") from problem

    def _write(self, entry: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()
        except OSError as problem:
            raise TrainingError(
                f"{self._file.name} cannot be written: {problem.strerror}; make room and resume"
            ) from problem

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._write({**values, "step": step})

    def end(self) -> None:
        """Close the file; what could not be written has been told of already."""
        with suppress(OSError):
            self._file.close()


class TensorBoard:
    """Event files in `logging_dir`, or runs/ of the output folder."""

    def begin(self, args: TrainingArguments, history: Sequence[Mapping[str, Any]]) -> None:
        writer = import_module("torch.utils.tensorboard").SummaryWriter
        self._writer = writer(args.logging_dir or str(Path(args.output_dir) / "runs"))
        self._writer.add_text("arguments", json.dumps(args.to_dict(), indent=2, default=str))

    def log(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(_grouped(name), value, step)

    def end(self) -> None:
        self._writer.close()


class WeightsAndBiases:
    """A run of Weights & Biases, by the account that its own login set up."""

    def begin(self, args: TrainingArguments, history: Sequence[Mapping[str, Any]]) -> None:
        self._run = import_module("wandb").init(name=args.run_name, dir=args.output_dir, config=args.to_dict())

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._run.log({_grouped(name): value for name, value in values.items()}, step=step)

    def end(self) -> None:
        self._run.finish()


class MLflow:
    """A run of MLflow, at the tracking address that it is set to."""

    def begin(self, args: TrainingArguments, history: Sequence[Mapping[str, Any]]) -> None:
        """Start the run and note the arguments."""
        self._mlflow = import_module("mlflow")
        self._mlflow.start_run(run_name=args.run_name)
        self._mlflow.log_params({name: str(value)[:250] for name, value in args.to_dict().items()})

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._mlflow.log_metrics(dict(values), step=step)

    def end(self) -> None:
        self._mlflow.end_run()


KINDS: dict[str, type[TensorBoard] | type[WeightsAndBiases] | type[MLflow]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
    "mlflow": MLflow,
}


def create_loggers(report_to: str | Sequence[str] | None) -> list[RunLogger]:
    """The JSONL file and the services asked for; "all" means those that are installed."""
    names = [report_to] if isinstance(report_to, str) else list(report_to or [])
    if "all" in names:
        names = [name for name in KINDS if find_spec(PACKAGES[name]) is not None]
    loggers: list[RunLogger] = [JsonLines()]
    for name in names:
        if name == "none":
            continue
        if name not in KINDS:
            raise TrainingError(f"report_to={name!r} is unknown: one of {', '.join(KINDS)}, all, none")
        if find_spec(PACKAGES[name]) is None:
            raise TrainingError(f"report_to={name!r} needs the package {PACKAGES[name]}: pip install {PACKAGES[name]}")
        loggers.append(KINDS[name]())
    return loggers


def _grouped(name: str) -> str:
    """Curves of training and evaluation in panels of their own."""
    return f"eval/{name.removeprefix('eval_')}" if name.startswith("eval_") else f"train/{name}"
