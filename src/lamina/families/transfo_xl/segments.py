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

from ...errors import GenerationError, InputError
from ...nn.dropout import Dropout
from ...nn.layouts import DenseLayout, KeyValueCache, RecordingLayout
from ...nn.runtime import require_pairs
from ...nn.stack import Block, SelfAttention
from ...spec import BlockSpec
from .adaptive import AdaptiveEmbedding
from .spec import SegmentSpec

Recall = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]


class RelativeAttention(SelfAttention):
    """Self-attention with what scores a distance: its projection, and a bias for content and one for distance."""

    def __init__(self, spec: BlockSpec):
        super().__init__(replace(spec, biased=("up", "down")))
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
        self.checkpointing = self.reads_only = False

    def attention(self, layer: int) -> RelativeAttention:
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


def real_lengths(mask: Tensor | None, x: Tensor) -> Tensor | None:
    """How many tokens of each row of `x` [batch, tokens, ...] are real; None where all of them are.

    Padding on the right is never looked at, since every token sees only what came before. Any other padding would be:
    InputError.
    """
    if mask is None:
        return None
    lengths = mask.bool().sum(-1)
    expected = torch.arange(x.shape[1], device=mask.device) < lengths[..., None]
    if mask.shape != x.shape[:2] or not torch.equal(mask.bool(), expected):
        raise InputError(
            f"Transformer-XL takes no attention_mask except over padding on the right, [batch, tokens] = "
            f"{list(x.shape[:2])}: pad with padding_side='right', or pass rows of one length"
        )
    return None if bool(mask.all()) else lengths


@torch.no_grad()
def kept_inputs(past: list[Tensor], hidden: list[Tensor], length: int, lengths: Tensor | None) -> list[Tensor]:
    """Memories for the next segment: the last `length` inputs of each layer before padding, [tokens, batch, hidden].

    `past` and `hidden` are [batch, tokens, hidden] per layer.
    """
    held, tokens = past[0].shape[1], hidden[0].shape[1]
    kept = min(length, held + tokens)
    ends = torch.full((len(hidden[0]),), tokens, device=hidden[0].device) if lengths is None else lengths
    first = held + ends - kept
    if lengths is not None and bool((first < 0).any()):
        raise InputError(f"rows of different lengths need memories of full length, {length} tokens, got {held}")
    places = (first[:, None] + torch.arange(kept, device=first.device))[..., None]
    memories = []
    for old, new in zip(past, hidden, strict=False):
        joined = torch.cat([old, new], 1)
        memories.append(joined.gather(1, places.expand(-1, -1, joined.shape[2])).transpose(0, 1).contiguous())
    return memories


class SegmentState:
    """Keys and values of each row's tokens, behind as many keys and values of zeros as the model looks back.

    All rows end at the same slot: where one is shorter, the zeros before it are longer. Nothing that was written is
    dropped before the end, so that drafted tokens can be taken back.
    """

    def __init__(self, stack: SegmentStack, rows: int, max_length: int):
        self.stack, self.window = stack, stack.memory_length
        like = next(stack.parameters())
        self.lengths = torch.zeros(rows, dtype=torch.long, device=like.device)
        self.cache = KeyValueCache(len(stack.layers), self.window + max_length)
        blank = like.new_zeros(1, 1, stack.embeddings.spec.hidden_size).detach()
        self.cache.reserve(self.window)
        for layer in range(len(stack.layers) if self.window else 0):
            k, v = (t.expand(rows, self.window, -1, -1).transpose(1, 2) for t in stack.remember(layer, blank))
            self.cache.write(layer, k, v)
        self.cache.advance(self.window)
        self._usual: list[Tensor] | None = None

    @property
    def past(self) -> int:
        """Slots that the next token looks back on."""
        return self.window or self.cache.used

    def recall(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Write [rows, tokens, heads, head_dim] and return these and what their first looks back on."""
        keys, values = self.cache.write(layer, k.transpose(1, 2), v.transpose(1, 2))
        first = self.cache.used - self.past
        return keys[:, :, first:].transpose(1, 2), values[:, :, first:].transpose(1, 2)

    def distances(self, keys: int, dtype: torch.dtype) -> list[Tensor]:
        """The stack's; those of a single token after full memories, the most of them by far, are made once."""
        if keys != self.window + 1 or not self.window:
            return self.stack.distances(keys, dtype)
        if self._usual is None:
            self._usual = self.stack.distances(keys, dtype)
        return self._usual

    def advance(self, tokens: int, lengths: Tensor | None) -> None:
        """Close a step that wrote `tokens` per row; `lengths` of them are real."""
        ends = None if lengths is None else self.cache.used + lengths
        self.cache.advance(tokens)
        self.lengths = self.lengths + (tokens if lengths is None else lengths)
        if ends is not None:
            self._align(ends, int(ends.max()))

    def reorder(self, rows: Tensor) -> None:
        """Row i goes on as what row `rows[i]` was: fewer rows drop the others, repeated ones fork."""
        if not torch.equal(rows, torch.arange(len(self.lengths), device=rows.device)):
            self.cache.reorder(rows)
            self.lengths = self.lengths.index_select(0, rows)

    def truncate(self, lengths: Tensor) -> None:
        kept = torch.minimum(self.lengths, lengths.to(self.lengths))
        ends = self.cache.used - (self.lengths - kept)
        self.lengths = kept
        self._align(ends, int(ends.max()))

    def join(self, other: SegmentState) -> None:
        """Take in another state's rows behind these."""
        length = max(self.cache.used, other.cache.used)
        for state in (self, other):
            state._align(torch.full_like(state.lengths, state.cache.used), length)
        mine, theirs = self.cache, other.cache
        for held, more in ((mine.keys, theirs.keys), (mine.values, theirs.values)):
            for layer, (a, b) in enumerate(zip(held, more, strict=True)):
                if a is not None and b is not None:
                    held[layer] = torch.cat([a[:, :, :length], b[:, :, :length]])
        mine.capacity = length
        self.lengths = torch.cat([self.lengths, other.lengths])

    def _align(self, ends: Tensor, length: int) -> None:
        """Move each row so that its slot `ends` - 1 becomes slot `length` - 1, zeros filling in on the left."""
        behind = length - ends
        if bool((behind == 0).all()):
            self.cache.crop(length)
            return
        if not self.window:
            raise GenerationError("rows of different lengths cannot be written together without memories: set mem_len")
        slots = torch.arange(length, device=ends.device)
        places = (slots - behind[:, None]).clamp(min=0)[:, None, :, None]
        self.cache.change(lambda held: held.gather(2, places.expand(-1, held.shape[1], -1, held.shape[3])))
        self.cache.used = self.cache.capacity = length
