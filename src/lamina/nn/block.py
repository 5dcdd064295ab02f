"""One layer: two or three residual branches, each normed before (pre) or after (post)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..spec import BlockSpec
from .attention import Attend, CrossAttention, SelfAttention
from .dropout import Dropout
from .feedforward import FeedForward


def norm(kind: str, size: int, eps: float) -> nn.Module:
    """Layer norm, or T5's root mean square without mean and bias."""
    return nn.RMSNorm(size, eps) if kind == "rms" else nn.LayerNorm(size, eps)


def saturated(x: Tensor) -> Tensor:
    """Half precision overflows to infinity where training in bfloat16 did not: hold it at the largest number."""
    if x.dtype != torch.float16:
        return x
    limit = torch.finfo(x.dtype).max - 1000
    return x.clamp(-limit, limit)


class Block(nn.Module):
    """Self-attention, cross-attention where the stack has it, feed-forward."""

    def __init__(self, spec: BlockSpec, cross: bool = False, attention: type[nn.Module] = SelfAttention):
        super().__init__()
        self.pre_norm = spec.pre_norm
        self.attn, self.attn_norm = attention(spec), norm(spec.norm, spec.hidden_size, spec.eps)
        if cross:
            self.cross, self.cross_norm = CrossAttention(spec), norm(spec.norm, spec.hidden_size, spec.eps)
        self.ffn, self.ffn_norm = FeedForward(spec), norm(spec.norm, spec.hidden_size, spec.eps)
        self.dropout = Dropout(spec.dropout)
        self.ffn_dropout = self.dropout
        if spec.feedforward_dropout is not None:
            self.ffn_dropout = Dropout(spec.feedforward_dropout)

    def forward(
        self,
        x: Tensor,
        attend: Attend,
        recall: Attend | None = None,
        memory: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """[batch, tokens, hidden] to the same; `recall` and `memory` are the attention to an encoded source."""
        inner = self.attn_norm(x) if self.pre_norm else x
        x = self._joined(x, self.dropout(self.attn(inner, attend)), self.attn_norm)
        if recall is not None:
            inner = self.cross_norm(x) if self.pre_norm else x
            x = self._joined(x, self.dropout(self.cross(inner, recall, memory)), self.cross_norm)
        inner = self.ffn_norm(x) if self.pre_norm else x
        return self._joined(x, self.ffn_dropout(self.ffn(inner)), self.ffn_norm)

    def _joined(self, x: Tensor, branch: Tensor, norm: nn.Module) -> Tensor:
        x = saturated(x + branch)
        return x if self.pre_norm else norm(x)
