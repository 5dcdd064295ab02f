"""Precision by a walk over a model: every large nn.Linear is swapped for one that only reads, and computes faster.

The same walk serves a model in memory and one that is being loaded, where each layer is swapped as soon as it is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpoint.compact import SCALE, ZERO, joined
from ..checkpoint.convert import export
from ..errors import InputError
from ..families.names import Table, spell
from ..nn.model import Model
from ..nn.objectives import Head
from ..nn.stack import ACTIVATIONS, FeedForward
from .batching import give_back_freed
from .capabilities import has
from .linears import (
    GROUP,
    Activation,
    FrozenLinear,
    Int4Linear,
    Int8Linear,
    Int8WeightLinear,
    PackedLinear,
    RowInt8Linear,
)

PRECISIONS = ("fp32", "fp32-packed", "bf16", "int8", "int8-accurate", "int8-weights", "int4", "auto")
NARROWEST_HEAD = 64  # outputs; a head of fewer, such as a classifier's, stays as it is: little to gain, much to lose
STACKS = ("encoder", "decoder", "body")

Make = Callable[["Place"], nn.Module]


@dataclass
class Place:
    """A linear layer, where it is held, and the activation that follows it and may move into it."""

    path: str
    linear: nn.Linear
    holders: list[tuple[nn.Module, str]] = field(default_factory=list)
    tied: bool = False

    @property
    def activation(self) -> Activation | None:
        """What its holder applies to its answer and nothing else."""
        holder, name = self.holders[0]
        if isinstance(holder, FeedForward) and name == "up" and not holder.gated:
            return holder.activation
        return holder.activation if isinstance(holder, Head) and name == "dense" else None

    def swap(self, new: nn.Module) -> None:
        """Put `new`, which applies the activation too, wherever the layer is held, and let the layer's weights go."""
        activated = self.activation is not None
        for holder, name in self.holders:
            setattr(holder, name, new)
            if activated:
                holder.__dict__["activation"] = ACTIVATIONS["linear"]
        for name in self.linear._parameters:
            self.linear._parameters[name] = None


def find_linears(model: nn.Module) -> Iterator[Place]:
    """Every nn.Linear of a model once, by its first path."""
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    places: dict[int, Place] = {}
    for path, holder in model.named_modules():
        for name, module in holder.named_children():
            if isinstance(module, nn.Linear):
                whole = f"{path}.{name}".lstrip(".")
                place = places.setdefault(id(module), Place(whole, module, [], id(module.weight) in tables))
                place.holders.append((holder, name))
    yield from places.values()


def worth_swapping(model: Model, place: Place) -> bool:
    """Whether the layer reads every token: those of the stacks, and heads with an answer for each of a vocabulary."""
    if place.path.split(".")[0] in STACKS:
        return True
    if not place.path.startswith("head.") or model.head is None or model.head.spec.select is not None:
        return False
    return place.linear.out_features >= NARROWEST_HEAD or place.path == "head.dense"


def swap_linears(model: Model, make: Make) -> None:
    """Put what `make` gives for it in the place of every linear layer worth it."""
    for place in find_linears(model):
        if worth_swapping(model, place):
            place.swap(make(place))


class Freezer:
    """Swaps the linear layers of one model for a precision, in any order, each once."""

    def __init__(self, model: Model, precision: str):
        self.make = maker(model, precision)
        self.waiting = {id(place.linear): place for place in find_linears(model) if worth_swapping(model, place)}

    def __call__(self, linear: nn.Module) -> None:
        """Swap one layer, whose tensors are all there."""
        place = self.waiting.pop(id(linear), None)
        if place is not None:
            with torch.inference_mode(False), torch.no_grad():
                place.swap(self.make(place))
            give_back_freed()

    def finish(self) -> None:
        for place in list(self.waiting.values()):
            self(place.linear)

    def wants(self, module: nn.Module) -> bool:
        return id(module) in self.waiting


def maker(model: Model, precision: str) -> Make:
    writes = model.encoder is None or model.decoder is not None  # one token at a time

    def make(place: Place) -> nn.Module:
        weight, bias, activation = place.linear.weight, place.linear.bias, place.activation
        new: FrozenLinear
        if precision in ("fp32-packed", "bf16"):
            new = PackedLinear(weight, bias, activation, single=writes and precision == "fp32-packed")
        else:
            new = _integer_class(precision, place)(weight, bias, activation)
        new.tied = place.tied
        own = place.linear.parameters()
        new.num_parameters = sum(each.numel() for each in own if not (place.tied and each is weight))
        return new

    return make


def _integer_class(precision: str, place: Place) -> type[FrozenLinear]:
    if precision == "int4":
        coarse = place.path != "head.project" and place.linear.in_features % GROUP == 0
        return Int4Linear if coarse else Int8Linear  # four bits cost a vocabulary's scores too much
    return {"int8": Int8Linear, "int8-accurate": RowInt8Linear, "int8-weights": Int8WeightLinear}[precision]


def settle_precision(precision: Any, *, shared: bool = False) -> str | None:
    """The precision meant by a name, None for plain float32; "auto" is the fastest that this CPU computes well in.

    `shared` says that texts of several people meet in one batch: "auto" then chooses none whose answers depend on it.
    """
    if precision in (None, "fp32", "float32"):
        return None
    if precision == "auto" and not has("bf16_compute") and has("int8_compute") and has("int8_many"):
        return "int8-accurate" if shared else "int8"
    if precision == "auto":
        return "bf16" if has("bf16_compute") else "fp32-packed"
    if precision not in PRECISIONS:
        raise InputError(f"unknown precision {precision!r}: one of {', '.join(PRECISIONS)}")
    return str(precision)


def freeze(model: Model, precision: str) -> None:
    """Swap the linear layers of a model in memory; `precision` is what `settle_precision` gave."""
    if any(isinstance(module, FrozenLinear) for module in model.modules()):
        raise InputError("the model's linear layers are swapped already: load it anew for another precision")
    if precision == "bf16":
        model.to(torch.bfloat16)
    Freezer(model, precision).finish()


def frozen(model: nn.Module) -> bool:
    """Whether a model's linear layers were swapped, so that it can only be read from."""
    return any(isinstance(module, FrozenLinear) for module in model.modules())


def stored_tensors(model: nn.Module, table: Table) -> Iterator[tuple[str, Tensor]]:
    """Every tensor to save, under the checkpoint's names; a plain model gives what `export` gives."""
    yield from export(model, table)
    for path, module in model.named_modules():
        if isinstance(module, FrozenLinear):
            yield from _stored(module, path, table)


def _stored(module: FrozenLinear, path: str, table: Table) -> Iterator[tuple[str, Tensor]]:
    held = module.tensors()
    if "bias" in held:
        yield from export({f"{path}.bias": held["bias"]}, table)
    if module.tied:
        return
    if isinstance(module, PackedLinear):
        yield from export({f"{path}.weight": held["weight"]}, table)
        return
    spelling = spell(table, f"{path}.weight")[0]
    codes = joined(held["weight"]) if "zero" in held else held["weight"]
    parts = {"": codes, SCALE: held["scale"], **({ZERO: held["zero"]} if "zero" in held else {})}
    for suffix, tensor in parts.items():
        tensor = tensor[:, None] if spelling.mark == "T" and tensor.dim() == 1 else tensor
        for name, part in zip(spelling.names, spelling.views(tensor), strict=True):
            yield name + suffix, part
