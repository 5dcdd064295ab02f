"""The second half of a block, and the functions it may bend at."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ConfigError
from ..spec import BlockSpec
from .dropout import Dropout


def linear(x: Tensor) -> Tensor:
    """The same tensor."""
    return x


def gelu_tanh(x: Tensor) -> Tensor:
    """The tanh form of gelu; a function with a name, since copies and pickles of a partial one are others."""
    return F.gelu(x, approximate="tanh")


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "silu": F.silu,
    "swish": F.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "linear": linear,
    "gelu": F.gelu,
    "gelu_python": F.gelu,
    "gelu_new": gelu_tanh,
    "gelu_fast": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
}


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """The function a config calls `name`."""
    if name not in ACTIVATIONS:
        raise ConfigError(f"unknown activation {name!r}: known are {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


class FeedForward(nn.Module):
    """Up, bend, down; gated where one half of `up` weighs the other (Shazeer, 2020)."""

    def __init__(self, spec: BlockSpec):
        super().__init__()
        self.gated, self.activation = spec.gated, activation(spec.activation)
        self.up = nn.Linear(spec.hidden_size, spec.intermediate_size * (1 + spec.gated), spec.bias)
        self.dropout = Dropout(spec.activation_dropout)
        self.down = nn.Linear(spec.intermediate_size, spec.hidden_size, spec.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[..., hidden] to the same."""
        x = self.up(x)
        if self.gated:
            gate, x = x.chunk(2, -1)
            x = self.activation(gate) * x
        else:
            x = self.activation(x)
        return self.down(self.dropout(x))
