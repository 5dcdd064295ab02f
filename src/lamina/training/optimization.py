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
LOWEST = 1e-7  # learning rate at which a polynomial ends by default


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
    return max(0.0, (steps - step) / max(1, steps - warmup))


def cosine(step: int, warmup: int, steps: int, num_cycles: float = 0.5) -> float:
    """Along a cosine; half a cycle ends at zero."""
    done = (step - warmup) / max(1, steps - warmup)
    return max(0.0, 0.5 * (1 + math.cos(math.pi * 2 * num_cycles * done)))


def cosine_with_restarts(step: int, warmup: int, steps: int, num_cycles: int = 1) -> float:
    """Down along a cosine again and again."""
    done = (step - warmup) / max(1, steps - warmup)
    return 0.0 if done >= 1 else 0.5 * (1 + math.cos(math.pi * (num_cycles * done % 1)))


def polynomial(step: int, warmup: int, steps: int, power: float = 1.0, end: float = 0.0) -> float:
    """Down to the part `end` of the learning rate along a polynomial."""
    if step > steps:
        return end
    left: float = (1 - (step - warmup) / max(1, steps - warmup)) ** power
    return (1 - end) * left + end


def inverse_sqrt(step: int, warmup: int, steps: int, timescale: int | None = None) -> float:
    """Down as one over the root of the steps taken; without an end."""
    scale = timescale or warmup or 10_000
    return math.sqrt(scale / (step + scale - warmup))


DECAYS: dict[str, Callable[[float], float]] = {
    "linear": lambda done: 1 - done,
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    "1-sqrt": lambda done: 1 - math.sqrt(done),
}


def warmup_stable_decay(
    step: int, warmup: int, steps: int, *, num_decay_steps: int, decay_type: str = "cosine", min_lr_ratio: float = 0.0
) -> float:
    """No change until the last `num_decay_steps`, then down to the part `min_lr_ratio`."""
    done = (step - (steps - num_decay_steps)) / max(1, num_decay_steps)
    if done < 0:
        return 1.0
    return min_lr_ratio + (1 - min_lr_ratio) * max(0.0, DECAYS[decay_type](min(done, 1.0)))


def constant(step: int, warmup: int, steps: int) -> float:
    return 1.0


AFTER_WARMUP: dict[str, Callable[..., float]] = {
    "linear": linear,
    "cosine": cosine,
    "cosine_with_restarts": cosine_with_restarts,
    "polynomial": polynomial,
    "inverse_sqrt": inverse_sqrt,
    "warmup_stable_decay": warmup_stable_decay,
    "constant": constant,
    "constant_with_warmup": constant,
}


def factor(step: int, kind: str, warmup: int, steps: int, options: dict[str, Any]) -> float:
    """The part of the learning rate at which step number `step` (from 0) is taken."""
    if step < warmup and kind != "constant":
        lowest = float(options.get("min_lr_ratio", 0.0))
        return lowest + (1 - lowest) * step / max(1, warmup)
    return AFTER_WARMUP[kind](step, warmup, steps, **options)


def create_scheduler(optimizer: Optimizer, args: TrainingArguments, steps: int) -> LambdaLR:
    """The schedule that `args` names, over a run of `steps`."""
    options = dict(args.lr_scheduler_kwargs or {})
    if args.lr_scheduler_type == "polynomial":  # given as a rate, used as a part
        options["end"] = options.pop("lr_end", LOWEST) / (args.learning_rate or 1)
    rate = partial(factor, kind=args.lr_scheduler_type, warmup=args.warmup(steps), steps=steps, options=options)
    try:
        rate(steps)
    except (TypeError, KeyError) as problem:
        raise TrainingError(f"lr_scheduler_kwargs do not fit {args.lr_scheduler_type!r}: {problem}") from problem
    return LambdaLR(optimizer, rate)


def get_linear_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int, last_epoch: int = -1
) -> LambdaLR:
    """Up for the first steps, then straight down to zero; for scripts that make their own optimizer."""
    rate = partial(factor, kind="linear", warmup=num_warmup_steps, steps=num_training_steps, options={})
    return LambdaLR(optimizer, rate, last_epoch)
