"""All that a run needs to go on as if it had never stopped, as safetensors and JSON; no pickle."""

from __future__ import annotations

import hashlib
import json
import marshal
import math
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .. import __version__
from ..auto.pretrained import PreTrainedModel
from ..checkpoint.files import open_file
from ..checkpoint.saving import write_safetensors
from ..errors import CheckpointError, LaminaError, TrainingError
from ..files.atomic import staged
from ..files.paths import inside
from ..files.shown import cause, shown
from ..sentences.transformer import SentenceTransformer
from . import folders, sharding
from .chance import random_state, restore, undisturbed
from .lora import adapted, load_adapter, save_adapter
from .ranks import Ranks
from .state import TrainerState

WEIGHTS, TENSORS = "weights.safetensors", "training.safetensors"
SAMPLED = 1024  # rows that a fingerprint looks at


def save_model(model: nn.Module, folder: Path, tokenizer: Any = None) -> None:
    """Write a model so that it can be loaded again: a plain checkpoint, an adapter, or any module's own tensors."""
    with staged(folder, CheckpointError) as new:
        if adapted(model):
            save_adapter(model, folder)
        elif isinstance(model, PreTrainedModel | SentenceTransformer):
            model.save_pretrained(folder)
        else:
            tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
            with open(new(WEIGHTS), "wb") as file:
                write_safetensors(file, tensors, {})
        if tokenizer is not None:
            tokenizer.save_pretrained(folder)


def load_model(model: nn.Module, folder: Path) -> None:
    """Give a model the weights that a checkpoint has, in place."""
    if sharding.sharded(model):
        sharding.read(folder, sharding.parts(model))
        return
    if adapted(model):
        load_adapter(model, folder)
        return
    if isinstance(model, PreTrainedModel):
        with undisturbed():
            state = type(model).from_pretrained(folder, config=model.config, dtype=model.dtype).state_dict()
    elif isinstance(model, SentenceTransformer):
        with undisturbed():
            state = SentenceTransformer(folder, device="cpu", model_kwargs={"dtype": model.dtype}).state_dict()
    else:
        with open_file(inside(folder, WEIGHTS)) as weights:
            state = {name: weights[name].clone() for name in weights}
    try:
        model.load_state_dict(state)
    except RuntimeError as problem:
        raise CheckpointError(f"{folder} does not fit the model: {cause(problem, 500)}") from problem


class Snapshot:
    """The parts of a run that change while it trains, to be written and read as one."""

    def __init__(
        self,
        model: nn.Module,
        state: TrainerState,
        optimizer: Optimizer,
        scheduler: Any,
        scaler: Any,
        callbacks: Mapping[str, Any],
        identity: Mapping[str, Any],
        ranks: Ranks,
    ):
        """`callbacks` are those with a `state_dict` by name, `identity` is what a resumed run must have in common."""
        self.model, self.state, self.optimizer, self.scheduler = model, state, optimizer, scheduler
        self.scaler, self.callbacks, self.identity, self.ranks = scaler, callbacks, identity, ranks

    def save(self, output: Path, tokenizer: Any, args: Mapping[str, Any], model_only: bool = False) -> Path:
        """Write checkpoint-N into `output`, from the first process alone; all processes call this."""
        processes = self.ranks.collect((os.getpid(), random_state()))
        step = self.state.global_step
        tensors = {f"rank.{i}.{key}": value for i, (_, held) in enumerate(processes) for key, value in held.items()}
        large: dict[str, Tensor] = {}
        optimizer = {} if model_only else self._optimizer_state(large)

        def write(folder: Path) -> None:
            if sharding.sharded(self.model):
                self._write_parts(folder, large)
                if tokenizer is not None:
                    tokenizer.save_pretrained(folder)
            else:
                save_model(self.model, folder, tokenizer)
                tensors.update(large)
            with open(folder / TENSORS, "wb") as file:
                write_safetensors(file, tensors, {})
            _write_json(folder / "training_args.json", args)
            _write_json(folder / folders.STATE, self._plain(optimizer, model_only) | {"files": folders.sizes(folder)})

        if self.ranks.first:
            folders.publish(output, step, write)
        elif sharding.sharded(self.model):
            self._write_parts(folders.aside_of(output, step, processes[0][0]), large)
        self.ranks.wait()
        return output / f"checkpoint-{step}"

    def _write_parts(self, folder: Path, optimizer: Mapping[str, Tensor]) -> None:
        self.ranks.wait()  # until the first process has made the folder
        sharding.write(folder, {**sharding.parts(self.model), **optimizer})

    def _plain(self, optimizer: dict[str, Any], model_only: bool) -> dict[str, Any]:
        return {
            "trainer": self.state.to_dict(),
            "resumable": not model_only,
            "optimizer": optimizer,
            "scheduler": _plain_state(self.scheduler.state_dict()),
            "scaler": self.scaler.state_dict(),
            "callbacks": {name: callback.state_dict() for name, callback in self.callbacks.items()},
            "identity": dict(self.identity),
            "versions": {"lamina": __version__, "torch": torch.__version__, "python": platform.python_version()},
        }

    def _optimizer_state(self, tensors: dict[str, Tensor]) -> dict[str, Any]:
        """The optimizer's tensors into `tensors`, the rest as plain data."""
        state = self.optimizer.state_dict()
        values: dict[str, dict[str, Any]] = {}
        for number, held in state["state"].items():
            for key, value in held.items():
                if isinstance(value, Tensor):
                    tensors[sharding.state_name(number, key)] = value
                else:
                    values.setdefault(str(number), {})[key] = value
        return {"groups": _plain_state(state["param_groups"]), "values": values}

    def load(self, folder: Path) -> None:
        """Put everything back as it was when `folder` was written; refused where data or settings differ."""
        damage = folders.damage(folder)
        if damage is not None:
            raise CheckpointError(f"{folder} is not a whole checkpoint: {damage}")
        stored = folders.read_state(folder)
        if not stored.get("resumable"):
            raise TrainingError(f"{folder} was saved with save_only_model=True: it can be loaded, not resumed")
        check_identity(stored["identity"], dict(self.identity), folder)
        try:
            self._restore(stored, folder)
        except LaminaError:
            raise
        except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as problem:
            raise CheckpointError(
                f"{folder} does not fit this run: {type(problem).__name__}: {cause(problem)}"
            ) from problem

    def _restore(self, stored: dict[str, Any], folder: Path) -> None:
        with open_file(inside(folder, TENSORS)) as weights:
            tensors = {name: weights[name].clone() for name in weights}
        if sharding.sharded(self.model):
            large = sharding.empty_state(self.optimizer)
            sharding.read(folder, {**sharding.parts(self.model), **large})
            tensors.update(large)
        else:
            load_model(self.model, folder)
        held: dict[int, dict[str, Any]] = {int(n): dict(v) for n, v in stored["optimizer"]["values"].items()}
        for name, tensor in tensors.items():
            if name.startswith("optimizer."):
                _, number, key = name.split(".", 2)
                held.setdefault(int(number), {})[key] = tensor
        self.optimizer.load_state_dict({"state": held, "param_groups": stored["optimizer"]["groups"]})
        self.scheduler.load_state_dict(stored["scheduler"])
        if stored["scaler"]:
            self.scaler.load_state_dict(stored["scaler"])
        known = {field.name for field in fields(TrainerState)}
        for name, value in stored["trainer"].items():
            if name in known and name != "is_world_process_zero":
                setattr(self.state, name, value)
        for name, callback in self.callbacks.items():
            if name in stored["callbacks"]:  # one that is new begins anew
                callback.load_state_dict(stored["callbacks"][name])
        prefix = f"rank.{self.ranks.rank}."
        restore({name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)})


def check_identity(stored: Mapping[str, Any], own: dict[str, Any], folder: Path) -> None:
    """Refuse to go on with other data, settings or another model; names what differs."""
    own = json.loads(json.dumps(own))
    differing = [key for key in {**stored, **own} if stored.get(key) != own.get(key)]
    if differing:
        listed = ", ".join(
            f"{key} ({shown(stored.get(key))} there, {shown(own.get(key))} here)" for key in differing[:6]
        )
        raise TrainingError(
            f"{folder} belongs to another run: it differs in {listed}. Resume with the same data and settings, "
            "or start afresh in another output_dir"
        )


def fingerprint(dataset: Any) -> str:
    """A short name for what a dataset holds: every row of a list, and of others up to 1024 rows and their number."""
    count = len(dataset)
    digest = hashlib.blake2b(str(count).encode(), digest_size=16)
    if isinstance(dataset, (list, tuple)):
        with suppress(ValueError):  # rows of tensors, say, which are sampled below
            for row in dataset:
                digest.update(marshal.dumps(row, 2))
            return digest.hexdigest()
    with undisturbed():
        for number in range(min(count, SAMPLED)):
            row = dataset[number * count // min(count, SAMPLED)]
            digest.update(json.dumps(row, sort_keys=True, default=_as_data).encode())
    return digest.hexdigest()


def _as_data(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (bytes, bytearray)):
        return hashlib.blake2b(value).hexdigest()
    return dict(value) if isinstance(value, Mapping) else type(value).__name__


def _plain_state(state: Any) -> Any:
    """Without what JSON cannot hold: functions of a schedule, which are made anew."""
    if isinstance(state, Mapping):
        return {key: _plain_state(value) for key, value in state.items() if not callable(value)}
    if isinstance(state, (list, tuple)):
        return [_plain_state(value) for value in state]
    if isinstance(state, float) and not math.isfinite(state):
        return None  # such as a correlation of constant predictions
    return float(state) if isinstance(state, Tensor) else state


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    text = json.dumps(_plain_state(value), indent=1, allow_nan=False, default=str)
    path.write_text(text + "\n", encoding="utf-8")
