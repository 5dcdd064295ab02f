"""Transformer-XL's network (Dai et al., 2019): segments that remember, attention that scores distance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..spec import BlockSpec, SegmentSpec
from .adaptive import AdaptiveEmbedding
from .attention import SelfAttention
from .block import Block
from .capacity import require_pairs
from .dropout import Dropout
from .layouts import DenseLayout, RecordingLayout

Recall = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]


class RelativeAttention(SelfAttention):
    """Self-attention with what scores a distance: its projection, and a bias for content and one for distance."""

    def __init__(self, spec: BlockSpec):
        super().__init__(replace(spec, bias=False))
        self.place = nn.Linear(spec.hidden_size, self.out.in_features, bias=False)
        self.content, self.distance = biases(spec), biases(spec)


def biases(spec: BlockSpec) -> nn.Parameter:
    """What is added to every query, each head its own: [heads, head_dim]."""
    return nn.Parameter(torch.zeros(spec.num_heads, spec.head_dim or spec.hidden_size // spec.num_heads))


class SegmentStack(nn.Module):
    """Embeddings, distances and a run of blocks."""

    rates: Tensor

    def __init__(self, spec: SegmentSpec):
        super().__init__()
        assert spec.decoder is not None and spec.vocabulary is not None
        self.spec, block = spec, spec.decoder.block
        self.embeddings = AdaptiveEmbedding(spec.vocabulary)
        self.register_buffer("rates", frequencies(block.hidden_size))
        if not spec.own_biases:
            self.content, self.distance = biases(block), biases(block)
        self.layers = nn.ModuleList(Block(block, attention=RelativeAttention) for _ in range(spec.decoder.num_layers))
        if not spec.own_biases:
            for layer in range(len(self.layers)):
                self.attention(layer).content, self.attention(layer).distance = self.content, self.distance
        self.dropout = Dropout(block.dropout)
        self.memory_length = spec.memory_length
        self.checkpointing = False

    def attention(self, layer: int) -> RelativeAttention:
        """Attention of one layer."""
        return cast(RelativeAttention, cast(Block, self.layers[layer]).attn)

    def forward(self, x: Tensor, layout: SegmentLayout) -> tuple[Tensor, list[Tensor]]:
        """Embedded tokens [batch, tokens, hidden] to the same, and what entered each layer and left the last."""
        x, hidden = self.dropout(x), []
        for layer, block in enumerate(self.layers):
            hidden.append(x)
            attend = partial(layout.attend, layer)
            saving = self.checkpointing and self.training
            x = checkpoint(block, x, attend, use_reentrant=False) if saving else block(x, attend)
        x = self.dropout(x)
        return x, [*hidden, x]

    def remember(self, layer: int, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of what once entered a layer: [batch, tokens, heads, head_dim] each."""
        block = cast(Block, self.layers[layer])
        inputs = block.attn_norm(inputs) if block.pre_norm else inputs
        attention = self.attention(layer)
        _, k, v = attention.qkv(inputs).unflatten(-1, (3, attention.num_heads, -1)).unbind(-3)
        return k, v

    def distances(self, keys: int, dtype: torch.dtype) -> list[Tensor]:
        """How each layer sees distances from `keys` - 1 down to 0: [keys, heads, head_dim]."""
        device = self.rates.device
        # Half precision cannot hold rates: far tokens would be misplaced by radians.
        rates = self.rates if self.rates.dtype == torch.float32 else frequencies(len(self.rates) * 2).to(device)
        steps = torch.arange(keys - 1, -1, -1, dtype=torch.float32, device=device)
        if self.spec.farthest is not None:
            steps = steps.clamp(max=self.spec.farthest)
        angles = torch.outer(steps, rates)
        waves = self.dropout(torch.cat([angles.sin(), angles.cos()], -1).to(dtype))
        attentions = map(self.attention, range(len(self.layers)))
        return [attention.place(waves).unflatten(-1, (attention.num_heads, -1)) for attention in attentions]

    def visible(self, tokens: int, past: int) -> Tensor:
        """Which keys, remembered ones first, each token of a segment sees: boolean [1, 1, tokens, past + tokens]."""
        device = self.rates.device
        queries, keys = torch.arange(tokens, device=device)[:, None], torch.arange(past + tokens, device=device)
        seen = keys <= queries + past
        if self.spec.same_length:
            seen = seen & (keys > queries - tokens + max(past + tokens - self.memory_length, 0))
        return seen[None, None]


class SegmentLayout:
    """Attention of a segment: its keys join those remembered, and scores count content and distance."""

    def __init__(
        self,
        stack: SegmentStack,
        tokens: int,
        past: int,
        recall: Recall,
        distances: list[Tensor],
        recorded: bool = False,
    ):
        self.stack, self.recall, self.distances = stack, recall, distances
        if tokens > 1:
            heads = stack.attention(0).num_heads
            require_pairs(tokens * (past + tokens), 2 * 4 * heads, past + tokens, stack.rates.device)
        self.visible = stack.visible(tokens, past)
        self.layout_type = RecordingLayout if recorded else DenseLayout
        self.maps: list[Tensor] = []  # [batch, heads, tokens, keys] per layer, where they are recorded

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
        """[batch, tokens, heads, head_dim] to the same."""
        attention = self.stack.attention(layer)
        keys, values = self.recall(layer, k, v)
        bias = torch.einsum("bqhd,khd->bhqk", q + attention.distance, self.distances[layer])
        inner = self.layout_type(self.visible, slid(bias) * (q.shape[-1] ** -0.5 if scale is None else scale))
        out = inner.attend(layer, q + attention.content, keys, values, scale, dropout)
        if isinstance(inner, RecordingLayout):
            self.maps += inner.maps
        return out


def slid(scores: Tensor) -> Tensor:
    """Scores of every distance, farthest first, moved so that each column is one key: [..., queries, keys].

    What stands right of a query's own key is left over from the next query and must be masked.
    """
    *rest, queries, keys = scores.shape
    return F.pad(scores, (1, 0)).reshape(*rest, keys + 1, queries)[..., 1:, :].reshape(scores.shape)


def frequencies(width: int) -> Tensor:
    """Radians per token of the waves that tell distances apart; on the CPU also where a model is built on meta."""
    return 1 / (10000 ** (torch.arange(0.0, width, 2.0, device="cpu") / width))
