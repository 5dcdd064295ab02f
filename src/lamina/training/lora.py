"""Low-rank adaptation (Hu et al., 2021): linear layers keep their weights and learn a small correction beside them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpoint.files import open_file
from ..checkpoint.saving import write_safetensors
from ..errors import CheckpointError, TrainingError
from ..files.atomic import staged
from ..files.jsonfile import read_json_object
from ..files.paths import inside
from ..files.shown import cause, few

CONFIG, WEIGHTS = "lamina_adapter.json", "lamina_adapter.safetensors"
ATTENTION = ("qkv", "q", "kv", "out")  # names of the linear layers of attention


class LoRALinear(nn.Module):
    """A frozen linear layer plus `scale` times the product of two narrow matrices; starts as the layer alone."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float, dropout: float):
        super().__init__()
        self.base, self.rank, self.scale = base, rank, alpha / rank
        self.down = nn.Parameter(
            torch.empty(rank, base.in_features, dtype=base.weight.dtype, device=base.weight.device)
        )
        self.up = nn.Parameter(base.weight.new_zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))
        self.dropout = nn.Dropout(dropout)
        base.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """[..., in_features] to [..., out_features]."""
        found: Tensor = self.base(x) + F.linear(F.linear(self.dropout(x), self.down), self.up) * self.scale
        return found

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """A plain layer that computes the same, without dropout."""
        plain = nn.Linear(self.base.in_features, self.base.out_features, self.base.bias is not None, device="meta")
        correction = (self.up.double() @ self.down.double()) * self.scale
        plain.weight = nn.Parameter((self.base.weight.double() + correction).to(self.base.weight.dtype))
        if self.base.bias is not None:
            plain.bias = self.base.bias
        return plain


def add_lora(
    model: nn.Module,
    rank: int = 8,
    alpha: float = 16,
    dropout: float = 0.0,
    targets: Sequence[str] = ATTENTION,
    trained: Sequence[str] = ("head", "pooler"),
) -> nn.Module:
    """Swap, in place, every linear layer whose last name is among `targets`, and freeze all else but `trained`.

    `trained` are top-level parts that train whole, such as a fresh classifier. Returns the model.
    """
    if rank < 1:
        raise TrainingError(f"rank must be at least 1, not {rank}")
    if adapted(model):
        raise TrainingError("the model has LoRA layers already: merge_lora() first")
    shared = _shared(model)
    chosen = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and name.rpartition(".")[2] in targets
    ]
    if not chosen:
        known = sorted({n.rpartition(".")[2] for n, m in model.named_modules() if isinstance(m, nn.Linear)})
        raise TrainingError(f"no linear layer is called {' or '.join(targets)}: this model has {', '.join(known)}")
    tied = [name for name, module in chosen if id(module.weight) in shared]
    if tied:
        raise TrainingError(f"{tied[0]} shares its weight with another layer and cannot be adapted alone")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.split(".")[0] in trained and id(parameter) not in shared)
    for name, module in chosen:
        _replace(model, name, LoRALinear(module, rank, alpha, dropout).train(module.training))
    return model


def merge_lora(model: nn.Module) -> nn.Module:
    """Put every correction into the weights, in place: a plain model again, all of it trainable."""
    for name, layer in _layers(model):
        _replace(model, name, layer.merged())
    return model.requires_grad_(True)


@contextmanager
def merged(model: nn.Module) -> Iterator[nn.Module]:
    """The model with plain layers inside, and its LoRA layers again, untouched, afterwards."""
    layers = list(_layers(model))
    for name, layer in layers:
        _replace(model, name, layer.merged())
    try:
        yield model
    finally:
        for name, layer in layers:
            _replace(model, name, layer)


def adapted(model: nn.Module) -> bool:
    """Whether there are LoRA layers in it."""
    return any(True for _ in _layers(model))


def save_adapter(model: nn.Module, folder: str | Path) -> None:
    """Write what is trained, a few megabytes, and how it was made; the base model is not in it."""
    layers = dict(_layers(model))
    if not layers:
        raise TrainingError("the model has no LoRA layers to save: call add_lora() first")
    first = next(iter(layers.values()))
    config = {
        "rank": first.rank,
        "alpha": first.scale * first.rank,
        "dropout": first.dropout.p,
        "targets": sorted({name.rpartition(".")[2] for name in layers}),
        "trained": sorted({n.split(".")[0] for n, p in model.named_parameters() if p.requires_grad and not _own(n)}),
    }
    tensors = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    with staged(folder, CheckpointError) as new:
        with open(new(WEIGHTS), "wb") as file:
            write_safetensors(file, tensors, {})
        new(CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def load_adapter(model: nn.Module, folder: str | Path) -> nn.Module:
    """Give a model, plain or adapted alike, the adapter that `save_adapter` wrote."""
    folder = Path(folder)
    if not adapted(model):
        config = read_json_object(inside(folder, CONFIG), error=CheckpointError)
        try:
            add_lora(model, **config)
        except TypeError as problem:
            raise CheckpointError(f"{folder / CONFIG} describes no adapter of ours: {cause(problem)}") from problem
    own = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    with open_file(inside(folder, WEIGHTS)) as weights:
        differing = sorted(set(weights) ^ set(own)) or [n for n in own if weights.shape(n) != tuple(own[n].shape)]
        if differing:
            raise CheckpointError(f"{folder} does not fit the model: {few(differing)}")
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(weights[name])
    return model


def _layers(model: nn.Module) -> Iterator[tuple[str, LoRALinear]]:
    yield from [(name, module) for name, module in model.named_modules() if isinstance(module, LoRALinear)]


def _own(name: str) -> bool:
    return name.rpartition(".")[2] in ("down", "up")


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, module)


def _shared(model: nn.Module) -> set[int]:
    """Weights that more than one layer holds."""
    held: dict[int, int] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            held[id(parameter)] = held.get(id(parameter), 0) + 1
    return {key for key, count in held.items() if count > 1}


def trainable_share(model: nn.Module) -> tuple[int, int]:
    """How many parameters are trained, and how many there are."""
    counts: list[Any] = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(n for n, trained in counts if trained), sum(n for n, _ in counts)
