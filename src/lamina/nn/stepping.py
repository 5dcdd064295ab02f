"""Attention of a decoding step: new tokens among the slots of a state, and to the source it reads."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .decoding import DecodingState, grouped_rows
from .layouts import triangle

ROWS = 8  # neighbors that look at their sources together, as far as the longest of them goes
WORTH = 0.9  # of the source's rectangle: where runs cover more of it, one call is faster


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
        self.runs = _runs(state.source_lengths, state.memory[0][0].shape[1]) if state.memory else []

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
        """`q` is [rows, tokens, heads, head_dim]; `k` and `v` are [groups, source, heads, head_dim]."""
        grouped, k, v = grouped_rows(q, self.state.groups), k.transpose(1, 2), v.transpose(1, 2)
        seen = self.state.source_visible
        if not self.runs:
            return _ungrouped(F.scaled_dot_product_attention(grouped, k, v, seen, scale=scale), q)

        def part(rows: slice, longest: int) -> Tensor:
            mask = None if seen is None else seen[rows, ..., :longest]
            return F.scaled_dot_product_attention(
                grouped[rows], k[rows, :, :longest], v[rows, :, :longest], mask, scale=scale
            )

        found = [part(slice(start, end), longest) for start, end, longest in self.runs]
        return _ungrouped(torch.cat(found), q)


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


def _runs(lengths: list[int] | None, width: int) -> list[tuple[int, int, int]]:
    """Neighbors (first, end, longest source) that are looked at in a call of their own; none where all go in one."""
    if lengths is None or torch.compiler.is_compiling():
        return []
    starts = range(0, len(lengths), ROWS)
    found = [(start, min(start + ROWS, len(lengths)), max(lengths[start : start + ROWS])) for start in starts]
    covered = sum((end - start) * longest for start, end, longest in found)
    return found if covered < WORTH * len(lengths) * width else []
