"""Ids to vectors, and where each token stands."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from ..errors import ConfigError, InputError
from ..files.shown import shown
from ..spec import EmbeddingSpec, LearnedPositions, PaddingAwarePositions, Positions, SinusoidalPositions, room
from .dropout import Dropout
from .recording import recording

LARGEST_TABLE = 1 << 26  # numbers; CTRL's longest, of 50,000 positions, fits
AT_ONCE = 1 << 20  # numbers that a table is computed by, so that little memory is taken beside it


def sinusoids(size: int, width: int, single_precision: bool = False) -> Tensor:
    """Sines, then cosines, of `size` positions: [size, width]. The device is named so that a meta build keeps it.

    ConfigError for a table that no model has: it is computed, so that no file's size stands against it.
    """
    if size * width > LARGEST_TABLE:
        raise ConfigError(f"a table of {size:,} positions of {width:,} numbers is larger than any model's")
    dtype = torch.float32 if single_precision else torch.float64
    exponents = torch.arange(0, width, 2, dtype=dtype, device="cpu") / width
    found = torch.empty(size, width, device="cpu")
    for rows in torch.arange(size, dtype=dtype, device="cpu").split(max(1, AT_ONCE // width)):
        angles = rows[:, None] * (1 / torch.pow(10000.0, exponents))
        place = found[int(rows[0]) : int(rows[0]) + len(rows)]
        place.copy_(torch.cat([angles.sin(), angles[:, : width // 2].cos()], -1))
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
        self.spec = spec
        width = spec.embedding_size or spec.hidden_size
        fits = spec.padding_id is not None and -spec.vocab_size <= spec.padding_id < spec.vocab_size
        padding = spec.padding_id if fits else None
        self.tokens = tokens or table(spec.vocab_size, width, padding)
        match spec.positions:
            case LearnedPositions(size, _):
                self.positions = table(size, width)
            case PaddingAwarePositions(size, padding_id):
                if not isinstance(padding_id, int) or not 0 <= padding_id < size:
                    raise ConfigError(f"pad_token_id is {shown(padding_id)}; positions count from it: 0 to {size - 1}")
                self.positions = table(size, width, padding_id)
            case SinusoidalPositions(size, single_precision):
                self.register_buffer("waves", sinusoids(size, width, single_precision), persistent=False)
        self.types = table(spec.token_types, width) if spec.token_types else None
        self.norm = nn.LayerNorm(width, spec.eps) if spec.norm else None
        self.dropout = Dropout(spec.dropout)
        self.projection = nn.Linear(width, spec.hidden_size) if spec.projected else None

    @property
    def type_table(self) -> nn.Embedding | None:
        """Where token types are looked up, be it among the tokens; None where none are read."""
        return self.tokens if self.types is None and self.spec.token_types_from_tokens else self.types

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
        if self.types is not None:
            # A model of one type tells no texts apart, and says nothing of the ids that a tokenizer gives them.
            untyped = token_types is None or self.spec.token_types == 1
            x = x + (self.types.weight[0] if untyped else self.types(token_types))
        elif self.spec.token_types_from_tokens and token_types is not None:
            x = x + self.tokens(token_types) * self.spec.scale
        if self.spec.positions is not None:
            x = x + (
                cast(Tensor, self.waves)[positions].to(x.dtype) if hasattr(self, "waves") else self.positions(positions)
            )
        if self.norm is not None:
            x = self.norm(x)
        x = self.dropout(x)
        return x if self.projection is None else self.projection(x)


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


def place(kind: Positions, shape: torch.Size, past: int, device: torch.device, input_ids: Tensor | None) -> Tensor:
    """Rows of the position table for `shape` = [batch, tokens] after `past` tokens: [batch or 1, tokens].

    The one place where positions are made. Raises InputError where the table is too short.
    """
    steps = torch.arange(past, past + shape[1], device=device)[None]
    check_room(kind, past + shape[1])
    if isinstance(kind, PaddingAwarePositions) and input_ids is not None:
        real = (input_ids != kind.padding_id).int()
        return (real.cumsum(1) + past) * real + kind.padding_id
    return table_rows(kind, steps)


def table_rows(kind: Positions, steps: Tensor) -> Tensor:
    """Rows of the position table for tokens counted from zero."""
    match kind:
        case LearnedPositions(_, offset):
            return steps + offset
        case PaddingAwarePositions(_, padding_id):
            return steps + padding_id + 1
    return steps


def check_room(kind: Positions, tokens: int) -> None:
    """Raise InputError where the table is too short."""
    most = room(kind)
    if most is not None and tokens > most:
        raise InputError(
            f"the input is {tokens} tokens long, the model has positions for {most}: "
            "shorten it, or let the tokenizer do so with truncation=True"
        )
