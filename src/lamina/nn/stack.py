"""Embeddings and a run of blocks: the whole of a standard encoder or decoder."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..spec import BlockSpec, RelativeBuckets, StackSpec
from .attention import Attend
from .block import Block, norm
from .capacity import require_pairs
from .dropout import Dropout
from .embeddings import Embeddings, table
from .layouts import Layout

Memory = list[tuple[Tensor, Tensor]]


class RelativeBias(nn.Module):
    """T5's learned scores of distance, one table for all layers of a stack."""

    def __init__(self, spec: RelativeBuckets, num_heads: int, causal: bool):
        super().__init__()
        self.spec, self.causal = spec, causal
        self.table = table(spec.buckets, num_heads)

    def forward(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Positions [..., queries] and [keys] to scores [..., heads, queries, keys], refused where too many."""
        if queries.shape[-1] > 1:
            scores = self.table.embedding_dim * self.table.weight.element_size()
            pairs = queries.numel() * keys.shape[-1]
            require_pairs(pairs, 2 * scores + 2 * keys.element_size(), keys.shape[-1], queries.device)
        return self.table(self.bucket(keys - queries[..., None])).movedim(-1, -3)

    def bucket(self, ahead: Tensor) -> Tensor:
        """Buckets of distances: near ones exact, far ones by their logarithm, all beyond max_distance together."""
        count, start = self.spec.buckets, torch.zeros_like(ahead)
        if self.causal:
            away = (-ahead).clamp(min=0)
        else:
            count //= 2
            start, away = (ahead > 0) * count, ahead.abs()
        exact = count // 2
        steps = torch.log(away.float().clamp(min=1) / exact) / math.log(self.spec.max_distance / exact)
        coarse = (exact + (steps * (count - exact)).long()).clamp(max=count - 1)
        return start + torch.where(away < exact, away, coarse)


class Stack(nn.Module):
    """Blocks in order of the schedule; hidden states are collected where a list is handed in."""

    def __init__(self, spec: StackSpec, tokens: nn.Embedding | None = None):
        super().__init__()
        self.spec = spec
        self.embeddings = Embeddings(spec.embedding, tokens)
        self.schedule = spec.schedule or tuple((i,) for i in range(spec.num_layers))
        distinct = 1 + max((max(layer) for layer in self.schedule), default=-1)
        self.layers = nn.ModuleList(Block(self._block_spec(i), spec.cross) for i in range(distinct))
        eps = spec.block.eps if spec.final_eps is None else spec.final_eps
        self.norm = norm(spec.block.norm, spec.block.hidden_size, eps) if spec.final_norm else None
        self.dropout = Dropout(spec.final_dropout)
        self.relative = RelativeBias(spec.relative, spec.block.num_heads, spec.causal) if spec.relative else None
        self.checkpointing = False

    def _block_spec(self, index: int) -> BlockSpec:
        block = self.spec.block
        if not self.spec.scale_by_layer:
            return block
        scale = (block.hidden_size // block.num_heads) ** -0.5 if block.scale is None else block.scale
        return replace(block, scale=scale / (index + 1))

    def forward(
        self,
        x: Tensor,
        layout: Layout,
        source_layout: Layout | None = None,
        memory: Memory | None = None,
        hidden_states: list[Tensor] | None = None,
    ) -> Tensor:
        """Embedded tokens [batch, tokens, hidden] through every layer and the final norm."""
        for layer, blocks in enumerate(self.schedule):
            if hidden_states is not None:
                hidden_states.append(x)
            if self.training and self.spec.layerdrop and torch.rand(()) < self.spec.layerdrop:
                continue
            for block in blocks:
                recall = partial(source_layout.attend, block) if source_layout is not None else None
                x = self._run(block, x, partial(layout.attend, layer), recall, memory)
        if self.norm is not None:
            x = self.norm(x)
        x = self.dropout(x)
        if hidden_states is not None:
            hidden_states.append(x)
        return x

    def _run(self, index: int, x: Tensor, attend: Attend, recall: Attend | None, memory: Memory | None) -> Tensor:
        block = self.layers[index]
        source = memory[index] if memory is not None else None
        if self.checkpointing and self.training:
            return checkpoint(block, x, attend, recall, source, use_reentrant=False)
        return block(x, attend, recall, source)

    def remember(self, source: Tensor) -> Memory:
        """Keys and values of an encoded source for every layer, once for all decoding steps."""
        return [cast(Block, block).cross.remember(source) for block in self.layers]
