"""Tokens to vectors: tables of tokens, positions and types, and where each token's position stands in its table."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from ..errors import ConfigError, InputError
from ..files.shown import shown
from ..spec import (
    EmbeddingSpec,
    LearnedPositions,
    MaskAwarePositions,
    PaddingAwarePositions,
    PaddingAwareSinusoids,
    Positions,
    SinusoidalPositions,
    room,
)
from .dropout import Dropout
from .runtime import recording

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


def norm(kind: str, size: int, eps: float) -> nn.Module:
    """Layer norm, the same without a bias, or T5's root mean square without mean and bias."""
    return nn.RMSNorm(size, eps) if kind == "rms" else nn.LayerNorm(size, eps, bias=kind == "layer")


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
