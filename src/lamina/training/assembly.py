"""What a run is put together from: a model set to train as asked, an optimizer and a schedule over it, the engine."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from ..errors import TrainingError
from ..nn.model import Model
from ..spec import KINDS
from . import sharding
from .arguments import TrainingArguments
from .engine import Engine
from .objective import Objective, takes_training
from .optimization import create_optimizer, create_scheduler
from .packing import check_packable


def check_model(model: nn.Module, args: TrainingArguments) -> None:
    """Refuse what a model cannot do, and switch its activation checkpointing on where that is asked for."""
    if args.padding_free:
        check_packable(model)
    if args.label_smoothing_factor and isinstance(model, Model) and not takes_training(model):
        raise TrainingError(
            "label_smoothing_factor needs a forward that takes training= and passes it on to ours: that of "
            f"{type(model).__name__} does not"
        )
    if args.label_smoothing_factor and not isinstance(model, Model):
        raise TrainingError(f"label_smoothing_factor is for models of ours: a {type(model).__name__} is not")
    if args.label_smoothing_factor and not _smooths(model):
        raise TrainingError(
            f"label_smoothing_factor={args.label_smoothing_factor} is for losses over classes, one label each: "
            f"a {type(model).__name__} with these labels has none"
        )
    if args.gradient_checkpointing:
        switch = getattr(model, "gradient_checkpointing_enable", None)
        if switch is None:
            raise TrainingError(f"a {type(model).__name__} has no gradient_checkpointing_enable() to call")
        switch()


def _smooths(model: Any) -> bool:
    if model.kind in ("sequence-classification", "next-sentence"):
        kind = getattr(model.config, "problem_type", None)
        return kind in (None, "single_label_classification") and model.config.num_labels > 1
    return KINDS[model.kind].masked or model.kind == "multiple-choice"


def make_engine(
    model: nn.Module, args: TrainingArguments, optimizer: Optimizer | None, scheduler: Any, steps: int
) -> Engine:
    """The engine for a run of `steps`; optimizer and schedule are those given, or made as the arguments say."""
    dtype = torch.bfloat16 if args.bf16 else torch.float16 if args.fp16 else None
    objective = Objective(model, args.padding_free, dtype, args.labelled_only, args.label_smoothing_factor)
    if args.fsdp:
        if optimizer is not None:
            raise TrainingError("fsdp splits the weights first: name an optimizer by optim=, do not pass one")
        sharding.shard(objective, args)
    optimizer = create_optimizer(model, args) if optimizer is None else optimizer
    own = {id(parameter) for parameter in objective.parameters()}
    if not any(id(parameter) in own for group in optimizer.param_groups for parameter in group["params"]):
        raise TrainingError("the optimizer has none of this model's parameters: make it from the model that is trained")
    scheduler = create_scheduler(optimizer, args, steps) if scheduler is None else scheduler
    return Engine(objective, optimizer, scheduler, args)
