"""What a model remembers while it writes: one state for greedy rows, beams, and rows of different lengths.

Rows that continue one source form a group and share a buffer of slots, one slot per token and row. Which slots a row
may see is a table of its own, so that a beam that forks, swaps or ends moves no key and no value: only rows of that
table. Slots that no row sees any more are dropped now and then.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError
from .layouts import KeyValueCache, Layout, Pair, nearby, triangle

ROWS = 8  # neighbors that look at their sources together, as far as the longest of them goes
WORTH = 0.9  # of the source's rectangle: where runs cover more of it, one call is faster
SWEEP = 48  # steps between two looks for slots that no row sees


@dataclass
class StepOutput:
    """Scores of what follows, [rows, vocab] or [rows, tokens, vocab], and what the head read."""

    logits: Tensor
    hidden: Tensor | None = None


class DecodingState(KeyValueCache):
    """Keys and values of `groups` x `width` rows, and the source that each group reads.

    `keys[layer]` is [groups, heads, capacity, head_dim]. `places` [rows, capacity] holds the position of the token in
    each slot as the row sees it, -1 where the row does not; None while every row sees every slot in order.
    """

    def __init__(self, num_layers: int, groups: int, capacity: int, device: torch.device):
        super().__init__(num_layers, capacity)  # slots, since a group's rows share them
        self.groups, self.width, self.steps = groups, 1, 0
        self.longest = 0  # tokens of the longest row, counted without asking the device
        self.lengths = torch.zeros(groups, dtype=torch.long, device=device)
        self.places: Tensor | None = None
        self.source_visible: Tensor | None = None  # [groups, 1, 1, source]
        self.source_lengths: list[int] | None = None  # of each group, where known and padded on the right only
        self.types: Tensor | None = None  # [rows, tokens]: token types from each row's start on, the last for all after

    @property
    def rows(self) -> int:
        return self.groups * self.width

    def visible_places(self) -> Tensor:
        """The table of places, made now where all rows have seen everything so far."""
        if self.places is None:
            room = torch.arange(self.capacity, device=self.lengths.device)
            self.places = torch.where(room < self.used, room, -1).expand(self.rows, -1).clone()
        return self.places

    def reserve(self, slots: int) -> None:
        super().reserve(slots)
        if self.places is not None and self.places.shape[1] < self.capacity:
            self.places = _padded(self.places, self.capacity, -1)

    def advance(self, tokens: int, lengths: Tensor | None = None) -> None:
        """Close a step that wrote `tokens` per row; `lengths` of them are real."""
        if self.places is None and lengths is None and self.width == 1:
            self.lengths = self.lengths + tokens
        else:
            places = self.visible_places()
            own = self.own_slots(tokens)
            steps = torch.arange(tokens, device=places.device)
            new = self.lengths[:, None] + steps
            if lengths is not None:
                new = torch.where(steps < lengths[:, None], new, -1)
            places.scatter_(1, own, new)
            self.lengths = self.lengths + (tokens if lengths is None else lengths)
        self.longest += tokens
        self.used += tokens * self.width
        self.steps += 1
        if self.width > 1 and self.steps % SWEEP == 0:
            self.sweep()

    def own_slots(self, tokens: int) -> Tensor:
        """Slots that each row writes in this step: [rows, tokens]."""
        lane = torch.arange(self.rows, device=self.lengths.device) % self.width
        return self.used + lane[:, None] * tokens + torch.arange(tokens, device=lane.device)

    def reorder(self, rows: Tensor) -> None:
        """Row i goes on as what row `rows[i]` was: fewer rows drop the others, repeated ones fork."""
        order = rows.tolist()
        if order == list(range(self.rows)):
            return
        kept, width = _grouping([row // self.width for row in order])
        if kept != list(range(self.groups)):
            self._select_groups(torch.tensor(kept, device=self.lengths.device))
        if self.places is not None or width > 1:
            self.places = self.visible_places().index_select(0, rows)
        self.lengths = self.lengths.index_select(0, rows)
        if self.types is not None:
            self.types = self.types.index_select(0, rows)
        self.groups, self.width = len(kept), width

    def types_at(self, steps: Tensor) -> Tensor | None:
        """Token types of the rows' tokens at `steps` [rows, tokens], counted from zero; None where there are none."""
        return None if self.types is None else self.types.gather(1, steps.clamp(max=self.types.shape[1] - 1))

    def _select_groups(self, index: Tensor) -> None:
        self.select(index)
        if self.source_visible is not None:
            self.source_visible = self.source_visible.index_select(0, index)
        if self.source_lengths is not None:
            self.source_lengths = [self.source_lengths[group] for group in index.tolist()]

    def truncate(self, lengths: Tensor) -> None:
        if self.places is None and bool((lengths == lengths[0]).all()):
            self.used = min(self.used, int(lengths[0]))
        else:
            places = self.visible_places()
            places[places >= lengths[:, None]] = -1
            live = (places >= 0).any(0).nonzero()
            self.used = int(live[-1]) + 1 if len(live) else 0
            places[:, self.used :] = -1
        self.lengths = torch.minimum(self.lengths, lengths.to(self.lengths))
        self.longest = int(self.lengths.max())

    def sweep(self) -> None:
        """Drop the slots that no row of their group sees."""
        places = self.visible_places()
        live = (places[:, : self.used] >= 0).view(self.groups, self.width, self.used).any(1)
        count = int(live.sum(1).max())
        if 4 * count > 3 * self.used:
            return
        order = (~live).to(torch.uint8).argsort(dim=1, stable=True)[:, :count]

        def kept(buffer: Tensor) -> Tensor:
            index = order[:, None, :, None].expand(-1, buffer.shape[1], -1, buffer.shape[3])
            buffer[:, :, :count] = buffer.gather(2, index)
            return buffer

        self.change(kept)
        held = places.gather(1, order.repeat_interleave(self.width, 0))
        places.fill_(-1)
        places[:, :count] = held
        self.used = count

    def join(self, other: DecodingState) -> None:
        """Take in another state's rows behind these; groups are dissolved where their widths differ."""
        if self.types is not None or other.types is not None:
            raise InputError("rows that were given token_type_ids cannot be joined by others")
        for state in (self, other):
            if self.width != other.width and state.width > 1:
                state._dissolve()
        capacity = max(self.capacity, other.capacity)
        if self.places is not None or other.places is not None or self.used != other.used:
            mine, theirs = self.visible_places(), other.visible_places()
            self.places = torch.cat([_padded(mine, capacity, -1), _padded(theirs, capacity, -1)])
        self.keys = [_joined(a, b, capacity) for a, b in zip(self.keys, other.keys, strict=True)]
        self.values = [_joined(a, b, capacity) for a, b in zip(self.values, other.values, strict=True)]
        if self.memory is not None and other.memory is not None:
            self._join_sources(other)
        self.lengths = torch.cat([self.lengths, other.lengths])
        self.used, self.capacity = max(self.used, other.used), capacity
        self.groups += other.groups
        self.longest = max(self.longest, other.longest)

    def _join_sources(self, other: DecodingState) -> None:
        assert self.memory is not None and other.memory is not None
        a, b = self.memory[0][0], other.memory[0][0]
        longest = max(a.shape[1], b.shape[1])
        seen = []
        for state, held in ((self, a), (other, b)):
            mask = state.source_visible
            if mask is None:
                mask = torch.ones(held.shape[0], 1, 1, held.shape[1], dtype=torch.bool, device=held.device)
            seen.append(F.pad(mask, (0, longest - held.shape[1])))
        self.source_visible = torch.cat(seen)
        known = self.source_lengths is not None and other.source_lengths is not None
        self.source_lengths = [*(self.source_lengths or ()), *(other.source_lengths or ())] if known else None
        self.memory = [
            (_stacked(k, other_k, longest), _stacked(v, other_v, longest))
            for (k, v), (other_k, other_v) in zip(self.memory, other.memory, strict=True)
        ]

    def _dissolve(self) -> None:
        """Give every row a group, and so a copy, of its own."""
        self.visible_places()
        index = torch.arange(self.groups, device=self.lengths.device).repeat_interleave(self.width)
        self._select_groups(index)
        self.groups, self.width = self.rows, 1


class StepBatch:
    """New tokens of each row of a state: they join its slots, then look at those their row may see."""

    def __init__(self, state: DecodingState, tokens: int):
        state.reserve(tokens * state.width)
        self.state, self.tokens, self.longest = state, tokens, state.longest + tokens
        self.plain = state.places is None and state.width == 1
        self.steps = state.lengths[:, None] + torch.arange(tokens, device=state.lengths.device)

    def pairs(self) -> Pair:
        places = slot_places(self.state, self.tokens)
        return (self.steps[:1], places[:1]) if self.plain else (self.steps, places)

    def layout(self, causal: bool, bias: Tensor | None, window: int | None = None) -> Layout:
        state, tokens = self.state, self.tokens
        window = None if window is None or window >= self.longest - 1 else window
        alone = self.plain and bias is None and window is None and state.used == 0 and tokens > 1
        seen: Tensor | None = None
        if not self.plain:
            seen = visible_slots(state, tokens)
        elif tokens > 1 and not alone:
            seen = triangle(tokens, state.used + tokens, state.lengths.device)
        if window is not None:
            near = _grouped_bias(nearby(*self.pairs(), window, causal)[:, None], state.groups)
            seen = near if seen is None else seen & near
        return DecodingLayout(state, _merged(seen, None if bias is None else _grouped_bias(bias, state.groups)), alone)


class DecodingLayout:
    """Attention of a step: `mask` says which slots are seen, `causal` that there are none before this step's."""

    def __init__(self, state: DecodingState, mask: Tensor | None, causal: bool):
        self.state, self.mask, self.causal = state, mask, causal

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
        groups = self.state.groups
        keys, values = self.state.write(layer, grouped_rows(k, groups), grouped_rows(v, groups))
        grouped = grouped_rows(q, groups)
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


def grouped_rows(x: Tensor, groups: int) -> Tensor:
    """[rows, tokens, heads, head_dim] to [groups, heads, rows per group * tokens, head_dim]."""
    if len(x) != groups:
        x = x.reshape(groups, -1, *x.shape[2:])
    return x.transpose(1, 2)


def _grouping(groups: list[int]) -> tuple[list[int], int]:
    """Groups in their new order and rows per group; each row a group of its own where they are not regular."""
    runs: list[list[int]] = []
    for group in groups:
        if runs and runs[-1][0] == group:
            runs[-1][1] += 1
        else:
            runs.append([group, 1])
    width = runs[0][1] if runs else 1
    regular = all(count == width for _, count in runs) and len({group for group, _ in runs}) == len(runs)
    return ([group for group, _ in runs], width) if regular else (groups, 1)


def _padded(table: Tensor, size: int, value: int) -> Tensor:
    return F.pad(table, (0, size - table.shape[1]), value=value)


def _joined(a: Tensor | None, b: Tensor | None, capacity: int) -> Tensor | None:
    if a is None or b is None:
        return a if b is None else b
    return torch.cat([F.pad(t, (0, 0, 0, capacity - t.shape[2])) for t in (a, b)])


def _stacked(a: Tensor, b: Tensor, longest: int) -> Tensor:
    wide = [F.pad(t.transpose(1, 2), (0, 0, 0, longest - t.shape[1])) for t in (a, b)]
    return torch.cat(wide).transpose(1, 2)
