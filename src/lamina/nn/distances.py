"""What positions do to attention: scores of distance, layouts for layers that differ, queries and keys that turn."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from ..spec import BlockSpec, Disentangled, RelativeBuckets, Rotary
from .dropout import Dropout
from .embeddings import norm, table
from .layouts import Layout, Pair
from .runtime import recording, require_pairs

Far = tuple[Tensor | None, Tensor | None]  # queries and keys of distances, [distances, heads, head_dim] each


class RelativeBias(nn.Module):
    """Learned scores of distance: T5's one table for all layers of a stack, or UMT5's for each."""

    def __init__(self, spec: RelativeBuckets, num_heads: int, causal: bool, num_layers: int):
        super().__init__()
        self.spec, self.causal = spec, causal
        self.tables = nn.ModuleList(table(spec.buckets, num_heads) for _ in range(num_layers if spec.per_layer else 1))

    def forward(self, queries: Tensor, keys: Tensor) -> list[Tensor]:
        """Steps [..., queries] and [..., keys] to scores [..., heads, queries, keys] by each table.

        InputError where they would be too many for the memory.
        """
        if queries.shape[-1] > 1:
            first = cast(nn.Embedding, self.tables[0])
            scores = len(self.tables) * first.embedding_dim * first.weight.element_size()
            pairs = queries.numel() * keys.shape[-1]
            require_pairs(pairs, 2 * scores + 2 * keys.element_size(), keys.shape[-1], queries.device)
        buckets = self.bucket(keys[..., None, :] - queries[..., None])
        return [table(buckets).movedim(-1, -3) for table in self.tables]

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


class LinearBias(nn.Module):
    """Scores that fall by a head's slope with each token of distance: ALiBi, which has no weights."""

    def __init__(self, num_heads: int):
        super().__init__()
        self.num_heads = num_heads

    def forward(self, queries: Tensor, keys: Tensor) -> list[Tensor]:
        """As RelativeBias: steps [..., queries] and [..., keys] to one set of scores for all layers."""
        if queries.shape[-1] > 1:
            pairs = queries.numel() * keys.shape[-1]
            require_pairs(pairs, 8 * self.num_heads + 2 * keys.element_size(), keys.shape[-1], queries.device)
        ahead = (keys[..., None, :] - queries[..., None]).unsqueeze(-3)
        return [ahead * self.slopes(ahead.device)[:, None, None]]

    def slopes(self, device: torch.device) -> Tensor:
        """A geometric row of slopes; between its terms lie those of heads beyond a power of two."""
        whole = 1 << (self.num_heads.bit_length() - 1)
        steps = torch.cat([torch.arange(1, whole + 1), torch.arange(self.num_heads - whole) + 0.5])
        return torch.exp2(-8 * steps / whole).to(device)


class Distances(nn.Module):
    """DeBERTa's vectors of distance, one table for all layers of a stack."""

    def __init__(self, spec: Disentangled, block: BlockSpec):
        super().__init__()
        self.spec = spec
        self.table = table(2 * spec.span, block.hidden_size)
        self.norm = norm("layer", block.hidden_size, block.eps) if spec.norm else None
        self.dropout = Dropout(spec.dropout)

    def forward(self, steps: Tensor, ways: list[Callable[[Tensor], Far]], num_heads: int) -> DistanceScores:
        """How tokens at `steps` [tokens] score each other's distance in each layer; only vectors in reach are read."""
        tokens, low, high = len(steps), 0, 2 * self.spec.span - 1
        scores = 3 * num_heads * self.table.weight.element_size()
        require_pairs(tokens * tokens, scores + 2 * steps.element_size(), tokens, steps.device)
        if not recording():
            low, high = self.index(torch.tensor([1 - tokens, tokens - 1])).tolist()
        index = self.index(steps[:, None] - steps)
        vectors = self.table.weight[low : high + 1]
        if self.norm is not None:
            vectors = self.norm(vectors)
        return DistanceScores(index - low, lambda layer: ways[layer](self.dropout(vectors)))

    def index(self, behind: Tensor) -> Tensor:
        """Rows of the table for distances: near ones exact, far ones by their logarithm where they share buckets."""
        span, far = self.spec.span, self.spec.max_distance
        if far is not None:
            exact = span // 2
            away = behind.abs().clamp(min=exact)
            widest = torch.log(torch.tensor((far - 1) / exact))  # rounded as the reference rounds it
            coarse = torch.ceil(torch.log(away / exact) / widest * (exact - 1)) + exact
            behind = torch.where(away <= exact, behind, (coarse * behind.sign()).long())
        return (behind + span).clamp(0, 2 * span - 1)


class DistanceScores:
    """How content and distance score each other, both ways, before they are scaled (He et al., 2020)."""

    def __init__(self, index: Tensor, far: Callable[[int], Far]):
        """`index` [queries, keys] says which distance stands between two tokens.

        `far` gives a layer's queries and keys of the distances. It is called while that layer runs, whose weights may
        be there at no other time.
        """
        self.index, self.far = index, far

    def __call__(self, layer: int) -> Callable[[Tensor, Tensor], Tensor]:
        """How queries and keys score each other in a layer."""
        return partial(self.scored, *self.far(layer))

    def scored(self, far_query: Tensor | None, far_key: Tensor | None, q: Tensor, k: Tensor) -> Tensor:
        """[rows, tokens, heads, head_dim] queries and keys to [rows, heads, queries, keys]."""
        rows, tokens, heads, _ = q.shape
        index = self.index[:tokens, :tokens].expand(rows, heads, -1, -1)
        found = q.new_zeros(())
        if far_key is not None:
            found = found + torch.einsum("bqhd,nhd->bhqn", q, far_key).gather(-1, index)
        if far_query is not None:
            back = torch.einsum("bkhd,nhd->bhkn", k, far_query).gather(-1, index.transpose(-1, -2))
            found = found + back.transpose(-1, -2)
        return found.expand(rows, heads, tokens, tokens)


class LayeredLayout:
    """A layout for each layer, where they see differently."""

    def __init__(self, layers: list[Layout]):
        self.layers = layers

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
        return self.layers[layer].attend(layer, q, k, v, scale, dropout)


class TurningLayout:
    """Queries and keys turned by their positions before they meet in `inner`."""

    def __init__(self, inner: Layout, spec: Rotary, positions: Tensor):
        """`positions` are [rows or 1, tokens]."""
        self.inner, self.spec, self.positions = inner, spec, positions
        self.waves: dict[float, Pair] = {}

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
        bases = self.spec.bases
        base = bases[layer if len(bases) > 1 else 0]
        if base not in self.waves:
            self.waves[base] = self.made(base, q.dtype)
        cos, sin = self.waves[base]
        return self.inner.attend(layer, self.turned(q, cos, sin), self.turned(k, cos, sin), v, scale, dropout)

    def made(self, base: float, dtype: torch.dtype) -> Pair:
        """Cosines and sines [rows or 1, tokens, 1, size / 2], computed in single precision whatever the model's."""
        exponents = torch.arange(0, self.spec.size, 2, dtype=torch.float32, device=self.positions.device)
        angles = self.positions[..., None, None].float() * (1.0 / base ** (exponents / self.spec.size))
        return angles.cos().to(dtype), angles.sin().to(dtype)

    def turned(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """[rows, tokens, heads, head_dim] to the same; what lies past the size stays as it is."""
        size = self.spec.size
        if self.spec.interleaved:
            first, second = x[..., :size:2], x[..., 1:size:2]
            turned = torch.stack([first * cos - second * sin, second * cos + first * sin], -1).flatten(-2)
        else:
            first, second = x[..., :size].chunk(2, -1)
            turned = torch.cat([first * cos - second * sin, second * cos + first * sin], -1)
        return turned if size == x.shape[-1] else torch.cat([turned, x[..., size:]], -1)
