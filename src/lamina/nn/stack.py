"""Embeddings and a run of blocks: the whole of a standard encoder or decoder.

How queries meet keys is the layout's business, which `Stack.layout` makes of whatever batch there is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..errors import ConfigError, InputError
from ..spec import BlockSpec, Convolution, Disentangled, RelativeBuckets, Slopes, StackSpec
from .distances import Distances, Far, LayeredLayout, LinearBias, RelativeBias, TurningLayout
from .dropout import Dropout
from .embeddings import Embeddings, norm, table_rows
from .layouts import Batch, Layout, Memory, PackedBatch, PaddedBatch
from .runtime import keeps_no_cache

Attend = Callable[[Tensor, Tensor, Tensor, float | None, float], Tensor]
Attention = Callable[[BlockSpec], nn.Module]
Joined = Callable[[Tensor], Tensor]


def check_reading(x: Tensor) -> None:
    """Refuse what layers that only read would get wrong in silence: gradients, and graphs that are to be kept."""
    if keeps_no_cache():
        raise InputError("swapped layers cannot be traced or exported: load the model with precision='fp32' for that")
    if x.requires_grad and torch.is_grad_enabled():
        raise InputError("swapped layers have no gradients: load the model with precision='fp32' to ask for them")


def linear(x: Tensor) -> Tensor:
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
        self.up = nn.Linear(spec.hidden_size, spec.intermediate_size * (1 + spec.gated), "up" in spec.biased)
        self.dropout = Dropout(spec.activation_dropout)
        self.down = nn.Linear(spec.intermediate_size, spec.hidden_size, "down" in spec.biased)

    def forward(self, x: Tensor) -> Tensor:
        x = self.up(x)
        if self.gated:
            gate, x = x.chunk(2, -1)
            x = self.activation(gate) * x
        else:
            x = self.activation(x)
        return self.down(self.dropout(x))


class SelfAttention(nn.Module):
    """Each token looks at its own sequence."""

    def __init__(self, spec: BlockSpec):
        super().__init__()
        self.num_heads, self.scale, self.dropout = spec.num_heads, spec.scale, spec.attention_dropout
        inner = spec.num_heads * (spec.head_dim or spec.hidden_size // spec.num_heads)
        self.qkv = nn.Linear(spec.hidden_size, 3 * inner, "qkv" in spec.biased)
        self.out = nn.Linear(inner, spec.hidden_size, "out" in spec.biased)

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
        self.q = nn.Linear(spec.hidden_size, inner, "qkv" in spec.biased)
        self.kv = nn.Linear(spec.hidden_size, 2 * inner, "qkv" in spec.biased)
        self.out = nn.Linear(inner, spec.hidden_size, "out" in spec.biased)

    def remember(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of the source, [batch, tokens, heads, head_dim] each."""
        k, v = self.kv(source).unflatten(-1, (2, self.num_heads, -1)).unbind(-3)
        return k, v

    def forward(self, x: Tensor, attend: Attend, memory: tuple[Tensor, Tensor]) -> Tensor:
        """[batch, tokens, hidden] to the same, reading what `remember` returned."""
        q = self.q(x).unflatten(-1, (self.num_heads, -1))
        return self.out(attend(q, *memory, self.scale, self.dropout if self.training else 0.0).flatten(-2))


def saturated(x: Tensor) -> Tensor:
    """Half precision overflows to infinity where training in bfloat16 did not: hold it at the largest number."""
    if x.dtype != torch.float16:
        return x
    limit = torch.finfo(x.dtype).max - 1000
    return x.clamp(-limit, limit)


class Block(nn.Module):
    """Self-attention, cross-attention where the stack has it, feed-forward."""

    def __init__(self, spec: BlockSpec, cross: bool = False, attention: Attention = SelfAttention):
        super().__init__()
        self.pre_norm = spec.order == "pre-norm"
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


class ParallelBlock(Block):
    """Attention and feed-forward side by side: both read the layer's input, each through its own norm."""

    def forward(
        self,
        x: Tensor,
        attend: Attend,
        recall: Attend | None = None,
        memory: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        mixed = self.dropout(self.attn(self.attn_norm(x), attend))
        return saturated(x + mixed + self.ffn_dropout(self.ffn(self.ffn_norm(x))))


class DisentangledAttention(SelfAttention):
    """Self-attention that also projects vectors of distance."""

    def __init__(self, spec: BlockSpec, relative: Disentangled):
        super().__init__(spec)
        self.kinds, self.shared = relative.kinds, relative.shared
        for kind, name in (("p2c", "far_query"), ("c2p", "far_key")):
            if kind in relative.kinds and not relative.shared:
                self.add_module(name, nn.Linear(spec.hidden_size, self.out.in_features))

    def far(self, vectors: Tensor) -> Far:
        """[distances, hidden] to the queries that keys meet and the keys that queries meet."""
        if self.shared:
            q, k, _ = self.qkv(vectors).chunk(3, -1)
        else:
            q, k = (getattr(self, name)(vectors) if hasattr(self, name) else None for name in ("far_query", "far_key"))
        return tuple(  # type: ignore[return-value]  # two of them
            x.unflatten(-1, (self.num_heads, -1)) if kind in self.kinds else None
            for kind, x in (("p2c", q), ("c2p", k))
        )


class Neighbors(nn.Module):
    """What a token's neighbors add to it: a convolution over each sequence by itself."""

    def __init__(self, spec: Convolution, block: BlockSpec):
        super().__init__()
        size = block.hidden_size
        self.conv = nn.Conv1d(size, size, spec.width, padding=(spec.width - 1) // 2, groups=spec.groups)
        self.activation, self.dropout = activation(spec.activation), Dropout(spec.dropout)
        self.norm = norm("layer", size, block.eps)

    def forward(self, x: Tensor) -> Tensor:
        """Rows [sequences, tokens, hidden], zero where there is no token, to the same."""
        return self.activation(self.dropout(self.conv(x.transpose(1, 2)).transpose(1, 2)))

    def joined(self, aside: Tensor, shown: Tensor | None, x: Tensor) -> Tensor:
        """The first layer's states with what stood aside, zero again where tokens are hidden."""
        x = self.norm(x + aside)
        return x if shown is None else x * shown


class Stack(nn.Module):
    """Embeddings, then blocks in order of the schedule."""

    def __init__(self, spec: StackSpec, tokens: nn.Embedding | None = None):
        super().__init__()
        self.spec, block = spec, spec.block
        if spec.causal and spec.blank_padding:
            raise ConfigError("a stack that blanks its padding reads both ways: it cannot be causal")
        self.embeddings = Embeddings(spec.embedding, tokens)
        self.schedule = spec.schedule or tuple((i,) for i in range(spec.num_layers))
        self.relative: RelativeBias | LinearBias | Distances | None = None
        attention: Attention = SelfAttention
        match spec.relative:
            case RelativeBuckets():
                self.relative = RelativeBias(spec.relative, block.num_heads, spec.causal, spec.num_layers)
            case Slopes():
                self.relative = LinearBias(block.num_heads)
            case Disentangled():
                self.relative = Distances(spec.relative, block)
                attention = partial(DisentangledAttention, relative=spec.relative)
        distinct = 1 + max((max(layer) for layer in self.schedule), default=-1)
        kind = ParallelBlock if block.order == "parallel" else Block
        self.layers = nn.ModuleList(kind(self._block_spec(i), spec.cross, attention) for i in range(distinct))
        if distinct and not spec.first_norm:
            self.layers[0].attn_norm = nn.Identity()
        self.neighbors = Neighbors(spec.convolution, block) if spec.convolution else None
        eps = block.eps if spec.final_eps is None else spec.final_eps
        self.norm = norm(block.norm, block.hidden_size, eps) if spec.final_norm else None
        wide, narrow = block.hidden_size, spec.projected_to
        self.projection = None if narrow is None else nn.Linear(wide, narrow, bias=False)
        self.dropout = Dropout(spec.final_dropout)
        self.checkpointing = False
        self.reads_only = False  # whether linear layers were swapped for ones without gradients

    def _block_spec(self, index: int) -> BlockSpec:
        scales = self.spec.scales
        return self.spec.block if scales is None else replace(self.spec.block, scale=scales[index])

    def embed(
        self,
        batch: Batch,
        ids: Tensor | None,
        types: Tensor | None = None,
        embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> Tensor:
        """The vectors of a batch's tokens, each at its place: [batch, tokens, hidden]."""
        self.embeddings.check_room(batch.longest)
        places = table_rows(self.spec.embedding.positions, batch.steps) if position_ids is None else position_ids
        x: Tensor = self.embeddings(ids, places, types, embeds)
        if self.reads_only:
            check_reading(x)
        return x

    def layout(self, batch: Batch, position_ids: Tensor | None = None) -> Layout:
        """How queries meet keys in every layer, made here alone from what the spec says of it.

        One layout for all layers, or where their windows or tables of distance differ one for each; one that makes a
        bias of queries and keys; around it, where the spec wants it, one that turns them by their positions.
        """
        spec = self.spec
        if spec.blank_padding:
            assert isinstance(batch, PaddedBatch | PackedBatch)
            scores = None
            if isinstance(self.relative, Distances):
                blocks = (cast(Block, self.layers[layer[0]]) for layer in self.schedule)
                ways = [cast(DisentangledAttention, block.attn).far for block in blocks]
                scores = self.relative(batch.pairs()[1], ways, spec.block.num_heads)
            layout = batch.scored(scores)
        else:
            linear = isinstance(self.relative, LinearBias)
            pairs = batch.shown_pairs() if linear and isinstance(batch, PaddedBatch) else batch.pairs()
            biases = self.relative(*pairs) if isinstance(self.relative, RelativeBias | LinearBias) else [None]
            if spec.windows is None and len(biases) == 1:
                layout = batch.layout(spec.causal, biases[0])
            else:
                layout = self._layered(batch, biases)
        if spec.rotary is None:
            return layout
        return TurningLayout(layout, spec.rotary, batch.steps if position_ids is None else position_ids)

    def _layered(self, batch: Batch, biases: list[Tensor | None]) -> Layout:
        """A layout for each layer; layers that see alike share it."""
        windows = self.spec.windows or (None,) * self.spec.num_layers
        made: dict[tuple[int, int | None], Layout] = {}

        def own(layer: int) -> Layout:
            key = (layer if len(biases) > 1 else 0, windows[layer])
            if key not in made:
                made[key] = batch.layout(self.spec.causal, biases[key[0]], key[1])
            return made[key]

        return LayeredLayout([own(layer) for layer in range(self.spec.num_layers)])

    def read(
        self,
        batch: Batch,
        ids: Tensor | None,
        types: Tensor | None = None,
        embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        source_layout: Layout | None = None,
        memory: Memory | None = None,
        hidden_states: list[Tensor] | None = None,
    ) -> Tensor:
        """Embed a batch and run it through every layer: [batch, tokens, hidden].

        `memory` are the keys and values of an encoded source, `source_layout` how the tokens meet them; hidden states
        are collected where a list is handed in.
        """
        x = self.embed(batch, ids, types, embeds, position_ids)
        joined: Joined | None = None
        if self.spec.blank_padding:
            assert isinstance(batch, PaddedBatch | PackedBatch)
            shown = batch.blanked()
            x = x if shown is None else x * shown
            if self.neighbors is not None:
                joined = partial(self.neighbors.joined, batch.by_sequence(self.neighbors, x), shown)
        states: Tensor = self(x, self.layout(batch, position_ids), source_layout, memory, hidden_states, joined)
        return states

    def forward(
        self,
        x: Tensor,
        layout: Layout,
        source_layout: Layout | None = None,
        memory: Memory | None = None,
        hidden_states: list[Tensor] | None = None,
        joined: Joined | None = None,
    ) -> Tensor:
        """Embedded tokens [batch, tokens, hidden] through every layer and the final norm.

        `joined` adds to the first layer's states what the tokens' neighbors say.
        """
        for layer, blocks in enumerate(self.schedule):
            if hidden_states is not None:
                hidden_states.append(x)
            if self.training and self.spec.layerdrop and torch.rand(()) < self.spec.layerdrop:
                continue
            for block in blocks:
                recall = partial(source_layout.attend, block) if source_layout is not None else None
                x = self._run(block, x, partial(layout.attend, layer), recall, memory)
            if joined is not None:
                x, joined = joined(x), None
        if hidden_states is not None and self.spec.plain_states:
            hidden_states.append(x)
        if self.norm is not None:
            x = self.norm(x)
        if self.projection is not None:
            x = self.projection(x)
        x = self.dropout(x)
        if hidden_states is not None and not self.spec.plain_states:
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
