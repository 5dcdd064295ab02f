"""Embeddings and a run of blocks: the whole of a standard encoder or decoder.

How queries meet keys is the layout's business, which `Stack.layout` makes of whatever batch there is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..errors import ConfigError, InputError
from ..files.shown import shown
from ..spec import (
    BlockSpec,
    Convolution,
    Disentangled,
    EmbeddingSpec,
    LearnedPositions,
    MaskAwarePositions,
    PaddingAwarePositions,
    PaddingAwareSinusoids,
    Positions,
    RelativeBuckets,
    SinusoidalPositions,
    Slopes,
    StackSpec,
    room,
)
from .dropout import Dropout
from .layouts import (
    Batch,
    DistanceScores,
    LayeredLayout,
    Layout,
    Memory,
    PackedBatch,
    PaddedBatch,
    TurningLayout,
)
from .runtime import keeps_no_cache, recording, require_pairs

Attend = Callable[[Tensor, Tensor, Tensor, float | None, float], Tensor]
Attention = Callable[[BlockSpec], nn.Module]
Joined = Callable[[Tensor], Tensor]
LARGEST_TABLE = 1 << 26  # numbers; CTRL's longest, of 50,000 positions, fits
AT_ONCE = 1 << 20  # numbers that a table is computed by, so that little memory is taken beside it


def sinusoids(size: int, width: int, single_precision: bool = False) -> Tensor:
    """Sines, then cosines, of `size` positions: [size, width]. The device is named so that a meta build keeps it."""
    dtype = torch.float32 if single_precision else torch.float64
    return waves(size, width, 1 / torch.pow(10000.0, torch.arange(0, width, 2, dtype=dtype, device="cpu") / width))


def spread_sinusoids(size: int, width: int, padding_id: int) -> Tensor:
    """As tensor2tensor: the slowest wave is exactly 10,000 times the fastest, and nothing stands at the padding id."""
    half = width // 2
    rates = torch.exp(torch.arange(half, device="cpu").float() * -(math.log(10000) / max(half - 1, 1)))
    found = waves(size, width, rates)
    found[padding_id] = 0
    return found


def waves(size: int, width: int, rates: Tensor) -> Tensor:
    """Sines and cosines of `size` positions times `rates`, in the precision of those; the last of an odd width is 0.

    ConfigError for a table that no model has: it is computed, so that no file's size stands against it.
    """
    if size * width > LARGEST_TABLE:
        raise ConfigError(f"a table of {size:,} positions of {width:,} numbers is larger than any model's")
    found = torch.zeros(size, width, device="cpu")
    for rows in torch.arange(size, dtype=rates.dtype, device="cpu").split(max(1, AT_ONCE // width)):
        angles = rows[:, None] * rates
        place = found[int(rows[0]) : int(rows[0]) + len(rows)]
        place[:, : len(rates)].copy_(angles.sin())
        place[:, len(rates) : len(rates) + width // 2].copy_(angles[:, : width // 2].cos())
    return found


def table(rows: int, width: int, padding_id: int | None = None) -> nn.Embedding:
    """A table of vectors that `initialize` has still to draw.

    Torch would draw it at once, and on the meta device that alone imports its compiler: two seconds of every start.
    """
    return nn.Embedding(rows, width, padding_id, _weight=torch.empty(rows, width))


class Embeddings(nn.Module):
    """Tokens + positions + token types, then norm, dropout and projection."""

    def __init__(self, spec: EmbeddingSpec, tokens: nn.Embedding | None = None):
        super().__init__()
        self.spec, self.room = spec, room(spec.positions)
        narrow = spec.projected_from or spec.hidden_size
        width = spec.hidden_size if spec.projected == "tokens" else narrow
        fits = spec.padding_id is not None and -spec.vocab_size <= spec.padding_id < spec.vocab_size
        padding = spec.padding_id if fits else None
        self.tokens = tokens or table(spec.vocab_size, narrow, padding)
        match spec.positions:
            case LearnedPositions(size, _):
                self.positions = table(size, width)
            case PaddingAwarePositions(size, padding_id):
                if not isinstance(padding_id, int) or not 0 <= padding_id < size:
                    raise ConfigError(f"pad_token_id is {shown(padding_id)}; positions count from it: 0 to {size - 1}")
                if isinstance(spec.positions, PaddingAwareSinusoids):
                    self.register_buffer("waves", spread_sinusoids(size, width, padding_id), persistent=False)
                else:
                    self.positions = table(size, width, padding_id)
            case SinusoidalPositions(size, single_precision, stored):
                self.register_buffer("waves", sinusoids(size, width, single_precision), persistent=stored)
        self.types = table(spec.token_types, width) if isinstance(spec.token_types, int) and spec.token_types else None
        self.norm = norm(spec.norm, width, spec.eps) if spec.norm else None
        self.dropout = Dropout(spec.dropout)
        self.projection = nn.Linear(narrow, spec.hidden_size, spec.projected == "sum") if spec.projected_from else None

    @property
    def type_table(self) -> nn.Embedding | None:
        """Where token types are looked up, be it among the tokens; None where none are read."""
        return self.tokens if self.spec.token_types == "tokens" else self.types

    def check_room(self, tokens: int) -> None:
        """Raise InputError where there are fewer positions than tokens."""
        if self.room is not None and tokens > self.room:
            raise InputError(
                f"the input is {tokens} tokens long, the model has positions for {self.room}: "
                "shorten it, or let the tokenizer do so with truncation=True"
            )

    def check(self, token_types: Tensor | None, positions: Tensor | None) -> None:
        """Raise InputError for types and positions of a call that the tables have no row for."""
        types = self.type_table
        if token_types is not None and types is not None and self.spec.token_types != 1:
            check_rows("token_type_ids", token_types, types.num_embeddings)
        if positions is not None and self.spec.positions is not None:
            check_rows("position_ids", positions, self.spec.positions.size)

    def forward(
        self, input_ids: Tensor | None, positions: Tensor, token_types: Tensor | None, inputs_embeds: Tensor | None
    ) -> Tensor:
        """[batch, tokens] ids (or their vectors) and positions (rows of the table) to [batch, tokens, hidden]."""
        if inputs_embeds is None:
            x = self.tokens(input_ids) * self.spec.scale if self.spec.scale != 1 else self.tokens(input_ids)
        else:
            x = inputs_embeds * self.spec.scale if self.spec.scale_given else inputs_embeds
        if self.projection is not None and self.spec.projected == "tokens":
            x = self.projection(x)
        if self.types is not None:
            # A model of one type tells no texts apart, and says nothing of the ids that a tokenizer gives them.
            untyped = token_types is None or self.spec.token_types == 1
            x = x + (self.types.weight[0] if untyped else self.types(token_types))
        elif self.spec.token_types == "tokens" and token_types is not None:
            x = x + self.tokens(token_types) * self.spec.scale
        if self.spec.positions is not None:
            x = x + (
                cast(Tensor, self.waves)[positions].to(x.dtype) if hasattr(self, "waves") else self.positions(positions)
            )
        if self.norm is not None:
            x = self.norm(x)
        x = self.dropout(x)
        return x if self.projection is None or self.spec.projected == "tokens" else self.projection(x)


def check_rows(name: str, rows: Tensor, size: int) -> None:
    """Raise InputError where `rows` index no row of a table, or count from its end; an accelerator's are not read."""
    if recording():
        return
    if rows.is_floating_point() or rows.dtype == torch.bool:
        raise InputError(f"{name} must be whole numbers, got {rows.dtype}")
    if rows.device.type == "cpu" and rows.numel():
        low, high = int(rows.min()), int(rows.max())
        if low < 0 or high >= size:
            raise InputError(f"{name} run from {low} to {high}, the model has 0 to {size - 1}")


def counted(positions: Positions, ids: Tensor | None, mask: Tensor | None, past: int) -> Tensor | None:
    """Rows of the position table where real tokens alone are counted; None where all are, or nothing tells them."""
    if isinstance(positions, PaddingAwarePositions) and ids is not None:
        real = (ids != positions.padding_id).int()
        return (real.cumsum(1) + past) * real + positions.padding_id
    if isinstance(positions, MaskAwarePositions) and mask is not None and mask.dim() == 2:
        real = mask.to(torch.long)
        return (real.cumsum(1) * real - 1)[:, past:] + positions.offset
    return None


def check_reading(x: Tensor) -> None:
    """Refuse what layers that only read would get wrong in silence: gradients, and graphs that are to be kept."""
    if keeps_no_cache():
        raise InputError("swapped layers cannot be traced or exported: load the model with precision='fp32' for that")
    if x.requires_grad and torch.is_grad_enabled():
        raise InputError("swapped layers have no gradients: load the model with precision='fp32' to ask for them")


def given_rows(kind: Positions, position_ids: Tensor) -> Tensor:
    """Rows of the position table for a caller's own `position_ids`: counted from zero, or rows already (RoBERTa)."""
    return position_ids + kind.offset if isinstance(kind, LearnedPositions) and kind.offset else position_ids


def table_rows(kind: Positions, steps: Tensor) -> Tensor:
    """Rows of the position table for tokens counted from zero."""
    match kind:
        case LearnedPositions(_, offset):
            return steps + offset
        case PaddingAwarePositions(_, padding_id):
            return steps + padding_id + 1
    return steps


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


def norm(kind: str, size: int, eps: float) -> nn.Module:
    """Layer norm, the same without a bias, or T5's root mean square without mean and bias."""
    return nn.RMSNorm(size, eps) if kind == "rms" else nn.LayerNorm(size, eps, bias=kind == "layer")


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


class DisentangledAttention(SelfAttention):
    """Self-attention that also projects vectors of distance."""

    def __init__(self, spec: BlockSpec, relative: Disentangled):
        super().__init__(spec)
        self.kinds, self.shared = relative.kinds, relative.shared
        for kind, name in (("p2c", "far_query"), ("c2p", "far_key")):
            if kind in relative.kinds and not relative.shared:
                self.add_module(name, nn.Linear(spec.hidden_size, self.out.in_features))

    def far(self, vectors: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """[distances, hidden] to the queries that keys meet and the keys that queries meet."""
        if self.shared:
            q, k, _ = self.qkv(vectors).chunk(3, -1)
        else:
            q, k = (getattr(self, name)(vectors) if hasattr(self, name) else None for name in ("far_query", "far_key"))
        return tuple(  # type: ignore[return-value]  # two of them
            x.unflatten(-1, (self.num_heads, -1)) if kind in self.kinds else None
            for kind, x in (("p2c", q), ("c2p", k))
        )


class Distances(nn.Module):
    """DeBERTa's vectors of distance, one table for all layers of a stack."""

    def __init__(self, spec: Disentangled, block: BlockSpec):
        super().__init__()
        self.spec = spec
        self.table = table(2 * spec.span, block.hidden_size)
        self.norm = norm("layer", block.hidden_size, block.eps) if spec.norm else None
        self.dropout = Dropout(spec.dropout)

    def forward(self, steps: Tensor, attentions: list[DisentangledAttention]) -> DistanceScores:
        """How tokens at `steps` [tokens] score each other's distance in each layer; only vectors in reach are read."""
        tokens, low, high = len(steps), 0, 2 * self.spec.span - 1
        scores = 3 * attentions[0].num_heads * self.table.weight.element_size() if attentions else 0
        require_pairs(tokens * tokens, scores + 2 * steps.element_size(), tokens, steps.device)
        if not recording():
            low, high = self.index(torch.tensor([1 - tokens, tokens - 1])).tolist()
        index = self.index(steps[:, None] - steps)
        vectors = self.table.weight[low : high + 1]
        if self.norm is not None:
            vectors = self.norm(vectors)
        return DistanceScores(index - low, [attention.far(self.dropout(vectors)) for attention in attentions])

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
                scores = self.relative(batch.pairs()[1], self._attentions())
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

    def _attentions(self) -> list[DisentangledAttention]:
        return [cast(DisentangledAttention, cast(Block, self.layers[layer[0]]).attn) for layer in self.schedule]

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
