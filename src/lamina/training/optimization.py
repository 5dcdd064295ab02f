"""Which parameters decay, the optimizer over them, and how the learning rate goes from step to step."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ..errors import TrainingError
from .arguments import TrainingArguments

NORMS = (nn.LayerNorm, nn.RMSNorm)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Trainable parameters in two groups: those that decay, and biases and norms, which do not."""
    spared = {id(p) for m in model.modules() if isinstance(m, NORMS) for p in m.parameters(recurse=False)}
    groups: tuple[list[nn.Parameter], list[nn.Parameter]] = ([], [])
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[id(parameter) in spared or name.split(".")[-1] == "bias"].append(parameter)
    if not any(groups):
        raise TrainingError("the model has no parameter to train: all have requires_grad=False")
    decays = (weight_decay, 0.0)
    return [{"params": group, "weight_decay": decay} for group, decay in zip(groups, decays, strict=True) if group]


def create_optimizer(model: nn.Module, args: TrainingArguments) -> Optimizer:
    """What `args.optim` names, over `parameter_groups`; fused where the device has the kernel."""
    groups = parameter_groups(model, args.weight_decay)
    if args.optim == "sgd":
        return torch.optim.SGD(groups, lr=args.learning_rate)
    fused = args.optim == "adamw_torch_fused" and args.device.type in ("cpu", "cuda", "xpu", "mps")
    betas = (args.adam_beta1, args.adam_beta2)
    return torch.optim.AdamW(groups, lr=args.learning_rate, betas=betas, eps=args.adam_epsilon, fused=fused)


def linear(step: int, warmup: int, steps: int) -> float:
    """Straight down to zero."""
    return max(0.0, (steps - step) / max(1, steps - warmup))


def cosine(step: int, warmup: int, steps: int, num_cycles: float = 0.5) -> float:
    """Along a cosine; half a cycle ends at zero."""
    done = (step - warmup) / max(1, steps - warmup)
    return max(0.0, 0.5 * (1 + math.cos(math.pi * 2 * num_cycles * done)))


def polynomial(step: int, warmup: int, steps: int, power: float = 1.0, lr_end: float = 0.0) -> float:
    """Down to the part `lr_end` of the learning rate along a polynomial."""
    if step > steps:
        return lr_end
    return (1 - lr_end) * (1 - (step - warmup) / max(1, steps - warmup)) ** power + lr_end


def constant(step: int, warmup: int, steps: int) -> float:
    """No change after the warm-up."""
    return 1.0


AFTER_WARMUP: dict[str, Callable[..., float]] = {
    "linear": linear,
    "cosine": cosine,
    "polynomial": polynomial,
    "constant": constant,
    "constant_with_warmup": constant,
}


def factor(step: int, kind: str, warmup: int, steps: int, options: dict[str, Any]) -> float:
    """The part of the learning rate at which step number `step` (from 0) is taken."""
    if step < warmup and kind != "constant":
        return step / max(1, warmup)
    return AFTER_WARMUP[kind](step, warmup, steps, **options)


def create_scheduler(optimizer: Optimizer, args: TrainingArguments, steps: int) -> LambdaLR:
    """The schedule that `args` names, over a run of `steps`."""
    options = dict(args.lr_scheduler_kwargs or {})
    if args.lr_scheduler_type == "polynomial" and "lr_end" in options:
        options["lr_end"] /= args.learning_rate or 1  # given as a rate, used as a part
    rate = partial(factor, kind=args.lr_scheduler_type, warmup=args.warmup(steps), steps=steps, options=options)
    try:
        rate(steps)
    except TypeError as problem:
        raise TrainingError(f"lr_scheduler_kwargs do not fit {args.lr_scheduler_type!r}: {problem}") from problem
    return LambdaLR(optimizer, rate)


def get_linear_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int, last_epoch: int = -1
) -> LambdaLR:
    """Up for the first steps, then straight down to zero; for scripts that make their own optimizer."""
    rate = partial(factor, kind="linear", warmup=num_warmup_steps, steps=num_training_steps, options={})
    return LambdaLR(optimizer, rate, last_epoch)
