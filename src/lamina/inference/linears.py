"""Linear layers laid out for reading only, one class per arithmetic, each with plain operators to fall back on.

All take [..., in_features] to [..., out_features], with an activation applied on the way out where one is given: fused
into the product where the kernel can, by itself where not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..nn.stack import ACTIVATIONS
from . import capabilities
from .capabilities import POST, bare

Activation = Callable[[Tensor], Tensor]

ROWS_HINT = 1024  # oneDNN picks a layout that suits this many rows
NAMES = {ACTIVATIONS[name]: name for name in POST}


class FrozenLinear(nn.Module, ABC):
    """An inference copy of a linear layer: it has no parameters, and its tensors are found by `tensors`."""

    precision: str
    tied = False  # whether the weight is that of a token table, which keeps its own

    def __init__(self, weight: Tensor, bias: Tensor | None, activation: Activation | None = None):
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.activation = activation
        self.num_parameters = weight.numel() + (0 if bias is None else bias.numel())  # that it stands for
        self.hold({**self.codes(weight.detach()), **({} if bias is None else {"bias": bias.detach().clone()})})

    @abstractmethod
    def codes(self, weight: Tensor) -> dict[str, Tensor]:
        """What is kept of a weight [out, in]."""

    @abstractmethod
    def hold(self, tensors: dict[str, Tensor]) -> None:
        """Lay out what `tensors` gave, on whatever device it is."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """What is kept, in plain layout: codes, scales, "bias"; exactly what was held."""

    @property
    @abstractmethod
    def weight(self) -> Tensor:
        """The weight in floating point, [out, in], made anew."""

    @property
    def nbytes(self) -> int:
        """Bytes of what is kept, one layout counted."""
        return sum(tensor.nbytes for tensor in self.tensors().values())

    def __call__(self, x: Tensor) -> Any:
        """`forward` without torch's hooks, whose cost a step of decoding pays for every layer."""
        return self.forward(x)

    def fusion(self, feature: str) -> tuple[str, str] | None:
        """What the operator behind `feature` calls our activation; None where it cannot apply it."""
        if self.activation is None:
            return ("none", "")
        name = NAMES.get(self.activation)
        return POST[name] if name is not None and capabilities.fuses(feature, name) else None

    def activated(self, x: Tensor) -> Tensor:
        """The activation by itself."""
        return x if self.activation is None else self.activation(x)

    def _apply(self, fn: Any, recurse: bool = True) -> FrozenLinear:
        self.hold({name: fn(tensor) for name, tensor in self.tensors().items()})
        return self

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        destination.update({f"{prefix}{name}": tensor for name, tensor in self.tensors().items()})

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        held = self.tensors()
        given = {name: state_dict[prefix + name] for name in held if prefix + name in state_dict}
        missing_keys += [prefix + name for name in held if name not in given]
        unexpected_keys += [key for key in state_dict if key.startswith(prefix) and key[len(prefix) :] not in held]
        if any((given[name].shape, given[name].dtype) != (held[name].shape, held[name].dtype) for name in given):
            error_msgs.append(
                f"{prefix}weight is of another size or precision than this layer of {self.precision}: load the weights "
                "before quantize(), or into a model of the precision that they were taken from"
            )
        elif len(given) == len(held):
            self.hold({name: tensor.detach().clone().to(held[name].device) for name, tensor in given.items()})

    def __getstate__(self) -> dict[str, Any]:
        known = (self.out_features, self.in_features, self.activation, self.tied, self.num_parameters)
        return {"known": known, "tensors": self.tensors()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        nn.Module.__init__(self)
        self.out_features, self.in_features, self.activation, self.tied, self.num_parameters = state["known"]
        self.hold(state["tensors"])

    def extra_repr(self) -> str:
        """Sizes, for printing."""
        return f"{self.in_features}, {self.out_features}"


class PackedLinear(FrozenLinear):
    """Weights as they are, float32 or bfloat16, in oneDNN's own layout; float32 answers within 1e-6 of the plain ones.

    Wins two to three times at 8 to 64 rows, a little beyond. At a single row some CPUs lose: there, `single` keeps the
    plain weight beside the packed one.
    """

    precision = "fp32-packed"

    def __init__(self, weight: Tensor, bias: Tensor | None, activation: Activation | None = None, single: bool = False):
        self.single = single  # before what comes next needs it; a plain bool may precede Module.__init__
        super().__init__(weight, bias, activation)

    def codes(self, weight: Tensor) -> dict[str, Tensor]:
        """The weight itself."""
        return {"weight": weight}

    def hold(self, tensors: dict[str, Tensor]) -> None:
        """Pack it, on a CPU that can."""
        weight, self.bias = tensors["weight"], tensors.get("bias")
        feature = {torch.float32: "packed", torch.bfloat16: "packed_bf16"}.get(weight.dtype)
        self.packed: Tensor | None = None
        self.post: tuple[str, str] | None = None
        if weight.device.type == "cpu" and feature is not None and capabilities.has(feature):
            self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), ROWS_HINT)
            self.product = bare("mkldnn", "_linear_pointwise")
            self.post = self.fusion("packed")
        self.dtype = weight.dtype
        beside = self.single and weight.dtype == torch.float32 and not capabilities.packs_single_rows()
        self.plain = weight if self.packed is None or beside else None

    def tensors(self) -> dict[str, Tensor]:
        """Weight and bias."""
        return {"weight": self.weight, **({} if self.bias is None else {"bias": self.bias})}

    @property
    def weight(self) -> Tensor:
        """The very numbers that were packed."""
        if self.plain is not None:
            return self.plain
        assert self.packed is not None
        return self.packed.to_dense()

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        x = x if x.dtype == self.dtype else x.to(self.dtype)
        if self.packed is None or (self.plain is not None and x.numel() == self.in_features):
            assert self.plain is not None
            return self.activated(F.linear(x, self.plain, self.bias))
        name, algorithm = self.post or ("none", "")
        y: Tensor = self.product(x, self.packed, self.bias, name, [], algorithm)
        return y if self.post is not None else self.activated(y)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "single": self.single}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__["single"] = state["single"]
        super().__setstate__(state)
