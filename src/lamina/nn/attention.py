"""Queries, keys and values of one layer; how they meet is the layout's business."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from ..spec import BlockSpec

Attend = Callable[[Tensor, Tensor, Tensor, float | None, float], Tensor]


class SelfAttention(nn.Module):
    """Each token looks at its own sequence."""

    def __init__(self, spec: BlockSpec):
        super().__init__()
        self.num_heads, self.scale, self.dropout = spec.num_heads, spec.scale, spec.attention_dropout
        inner = spec.num_heads * (spec.head_dim or spec.hidden_size // spec.num_heads)
        self.qkv = nn.Linear(spec.hidden_size, 3 * inner, spec.bias)
        self.out = nn.Linear(inner, spec.hidden_size, spec.bias)

    def forward(self, x: Tensor, attend: Attend) -> Tensor:
        """[batch, tokens, hidden] to the same."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).unbind(-3)
        return self.out(attend(q, k, v, self.scale, self.dropout if self.training else 0.0).flatten(-2))


class CrossAttention(nn.Module):
    """Each token looks at an encoded source, whose keys and values are computed once."""

    def __init__(self, spec: BlockSpec):
        super().__init__()
        self.num_heads, self.scale, self.dropout = spec.num_heads, spec.scale, spec.attention_dropout
        inner = spec.num_heads * (spec.head_dim or spec.hidden_size // spec.num_heads)
        self.q = nn.Linear(spec.hidden_size, inner, spec.bias)
        self.kv = nn.Linear(spec.hidden_size, 2 * inner, spec.bias)
        self.out = nn.Linear(inner, spec.hidden_size, spec.bias)

    def remember(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of the source, [batch, tokens, heads, head_dim] each."""
        k, v = self.kv(source).unflatten(-1, (2, self.num_heads, -1)).unbind(-3)
        return k, v

    def forward(self, x: Tensor, attend: Attend, memory: tuple[Tensor, Tensor]) -> Tensor:
        """[batch, tokens, hidden] to the same, reading what `remember` returned."""
        q = self.q(x).unflatten(-1, (self.num_heads, -1))
        return self.out(attend(q, *memory, self.scale, self.dropout if self.training else 0.0).flatten(-2))
