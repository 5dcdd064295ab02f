"""Attention of a decoding step: new tokens among the slots of a state, and to the source it reads."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .decoding import DecodingState, grouped_rows
from .layouts import triangle


class DecodingLayout:
    """Attention of a step: new tokens join their slots, then look at those their row may see."""

    def __init__(self, state: DecodingState, tokens: int, bias: Tensor | None = None):
        state.reserve(tokens * state.width)
        self.state = state
        plain = state.places is None and state.width == 1
        self.causal = plain and bias is None and state.used == 0 and tokens > 1
        seen: Tensor | None = None
        if not plain:
            seen = visible_slots(state, tokens)
        elif tokens > 1 and not self.causal:
            seen = triangle(tokens, state.used + tokens, state.lengths.device)
        self.mask = _merged(seen, None if bias is None else _grouped_bias(bias, state.groups))

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
        """[rows, tokens, heads, head_dim] to the same."""
        keys, values = self.state.write(layer, k, v)
        grouped = grouped_rows(q, self.state.groups)
        out = F.scaled_dot_product_attention(grouped, keys, values, self.mask, 0.0, self.causal, scale=scale)
        return _ungrouped(out, q)


class SourceLayout:
    """Attention of a step to the encoded source, held once per group and never copied per row."""

    def __init__(self, state: DecodingState):
        self.state = state

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
        """`q` is [rows, tokens, heads, head_dim]; `k` and `v` are [groups, source, heads, head_dim]."""
        grouped = grouped_rows(q, self.state.groups)
        seen = self.state.source_visible
        out = F.scaled_dot_product_attention(grouped, k.transpose(1, 2), v.transpose(1, 2), seen, scale=scale)
        return _ungrouped(out, q)


def visible_slots(state: DecodingState, tokens: int) -> Tensor:
    """Which slots the queries of this step may see: boolean [groups, 1, width * tokens, slots]."""
    end = state.used + tokens * state.width
    old = state.visible_places()[:, :end] >= 0
    seen = old[:, None].expand(-1, tokens, -1).clone()
    corner = torch.ones(tokens, tokens, dtype=torch.bool, device=old.device).tril()
    own = state.own_slots(tokens)[:, None].expand(-1, tokens, -1)
    seen.scatter_(2, own, corner.expand(state.rows, -1, -1))
    return seen.view(state.groups, 1, state.width * tokens, end)


def slot_places(state: DecodingState, tokens: int) -> Tensor:
    """The position of every slot's token as each row sees it, this step's included: [rows, slots]."""
    end = state.used + tokens * state.width
    if state.places is None and state.width == 1:
        return torch.arange(end, device=state.lengths.device).expand(state.rows, -1)
    places = state.visible_places()[:, :end].clone()
    steps = torch.arange(tokens, device=places.device)
    return places.scatter_(1, state.own_slots(tokens), state.lengths[:, None] + steps)


def _merged(seen: Tensor | None, bias: Tensor | None) -> Tensor | None:
    if bias is None or seen is None:
        return seen if bias is None else bias
    return bias.masked_fill(~seen, torch.finfo(bias.dtype).min)


def _grouped_bias(bias: Tensor, groups: int) -> Tensor:
    """[rows or 1, heads, tokens, slots] to [groups or 1, heads, rows per group * tokens, slots]."""
    if bias.shape[0] == 1:
        return bias
    return bias.unflatten(0, (groups, -1)).transpose(1, 2).flatten(2, 3)


def _ungrouped(x: Tensor, like: Tensor) -> Tensor:
    return x.transpose(1, 2).reshape(like.shape)
