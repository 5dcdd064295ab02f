"""What stands on top of a stack: one module, described by its spec, for every head of every family."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..spec import HeadSpec, Pooler
from .dropout import Dropout
from .feedforward import activation
from .recording import recording


class PoolerLayer(nn.Module):
    """A dense layer and tanh over the first token."""

    def __init__(self, spec: Pooler):
        super().__init__()
        self.dense = nn.Linear(spec.hidden_size, spec.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, tokens, hidden] to [batch, hidden]."""
        return torch.tanh(self.dense(x[:, 0]))


class Head(nn.Module):
    """select -> dropout -> dense -> activation -> norm -> dropout -> scale -> project."""

    def __init__(self, spec: HeadSpec, tokens: nn.Embedding):
        super().__init__()
        self.spec = spec
        size = spec.dense_size or spec.hidden_size
        self.dropout_before = Dropout(spec.dropout_before)
        self.dense = nn.Linear(spec.hidden_size, size) if spec.dense else None
        self.activation = activation(spec.dense) if spec.dense else None
        self.norm = nn.LayerNorm(size, spec.eps) if spec.norm else None
        self.dropout = Dropout(spec.dropout)
        self.project = nn.Linear(size, spec.outputs, spec.bias)
        if spec.frozen_bias:
            del self.project.bias
            self.project.register_buffer("bias", torch.zeros(spec.outputs))
        if spec.tied:
            self.project.weight = tokens.weight

    def forward(self, x: Tensor) -> Tensor:
        """[..., hidden] to [..., outputs]."""
        x = self.dropout_before(x)
        if self.dense is not None and self.activation is not None:
            x = self.activation(self.dense(x))
        if self.norm is not None:
            x = self.norm(x)
        x = self.dropout(x)
        return self.project(x * self.spec.scale if self.spec.scale != 1 else x)


def last_tokens(input_ids: Tensor | None, batch: int, tokens: int, padding_id: int | None) -> Tensor:
    """Index of each row's rightmost token that is no padding, so that either side may be padded: [batch]."""
    if tokens == 1 and not recording():
        return torch.zeros(batch, dtype=torch.long)
    if padding_id is None or input_ids is None:
        if batch > 1 and padding_id is None:
            raise InputError(
                "a batch of more than one row needs a padding token to find each row's last token: "
                "set model.config.pad_token_id"
            )
        return torch.arange(tokens)[-1:].expand(batch)  # no number of Python's: a graph would keep it
    steps = torch.arange(tokens, device=input_ids.device)
    return (steps * (input_ids != padding_id)).argmax(-1)


def last_end_of_sentence(x: Tensor, input_ids: Tensor, eos_id: int) -> Tensor:
    """State at each row's last end-of-sentence token: [batch, hidden]."""
    marks = input_ids.eq(eos_id)
    counts = marks.sum(1)
    if not recording() and (len(counts.unique()) > 1 or not bool(counts.all())):
        raise InputError(f"every row needs the same number of end-of-sentence tokens ({eos_id}), got {counts.tolist()}")
    return x[torch.arange(x.shape[0], device=x.device), marks.int().cumsum(1).argmax(1)]
