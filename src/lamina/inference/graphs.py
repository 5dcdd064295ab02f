"""Decoding steps recorded as CUDA graphs: a step of a small model is hundreds of kernels, each launched by Python.

A recording has buffers of its own. A state that is stepped through it has its keys and values moved in once, and from
then on they are the recording's; another state, while the first still lives, gets another recording.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..nn.decoding import DecodingState, SourceLayout, StepOutput
from ..nn.layouts import Layout, Pair
from ..nn.model import Model
from ..nn.stack import check_room

MOST_RECORDINGS = 8  # kept; each holds the keys and values of its rows
WARM_UPS = 3  # runs before recording, which let kernels be chosen and memory be found

Replay = Callable[[], None]
Recorder = Callable[[Callable[[], None]], Replay]


def record(run: Callable[[], None]) -> Replay:
    """`run` as a CUDA graph."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    replay: Replay = graph.replay
    return replay


class FixedBatch:
    """One new token for each row of buffers of fixed size: where it stands is read from the device."""

    longest = 0  # the recording is asked before it is played

    def __init__(self, keys: list[Tensor], values: list[Tensor], position: Tensor):
        self.keys, self.values, self.position = keys, values, position
        self.slots = torch.arange(keys[0].shape[2], device=position.device)

    @property
    def steps(self) -> Tensor:
        return self.position[:, None]

    def pairs(self) -> Pair:
        return self.steps, self.slots

    def layout(self, causal: bool, bias: Tensor | None) -> Layout:
        mask = (self.slots <= self.position)[None, None, None]
        return FixedLayout(self, mask if bias is None else bias.masked_fill(~mask, torch.finfo(bias.dtype).min))


class FixedLayout:
    """Attention of these tokens to the buffers."""

    def __init__(self, batch: FixedBatch, mask: Tensor):
        self.batch, self.mask = batch, mask

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
        """[rows, 1, heads, head_dim] to the same."""
        keys, values = self.batch.keys[layer], self.batch.values[layer]
        keys.index_copy_(2, self.batch.position, k.transpose(1, 2))
        values.index_copy_(2, self.batch.position, v.transpose(1, 2))
        mask = self.mask.to(q.dtype) if self.mask.is_floating_point() else self.mask
        return F.scaled_dot_product_attention(q.transpose(1, 2), keys, values, mask, scale=scale).transpose(1, 2)


class Recording:
    """One step for a number of rows and slots, over buffers taken from the state it was made for."""

    def __init__(self, model: Model, state: DecodingState, recorder: Recorder):
        self.stack, self.head = model.top, model.head
        self.keys = [tensor for tensor in state.keys if tensor is not None]
        self.values = [tensor for tensor in state.values if tensor is not None]
        self.source = DecodingState(0, state.groups, 0, state.lengths.device)
        self.source.memory = None if state.memory is None else [(k.clone(), v.clone()) for k, v in state.memory]
        self.source.source_visible = None if state.source_visible is None else state.source_visible.clone()
        self.held = state.memory
        self.ids = torch.zeros(state.rows, 1, dtype=torch.long, device=state.lengths.device)
        self.position = torch.full((1,), state.used, device=state.lengths.device)
        self.logits: Tensor | None = None
        self.owner = weakref.ref(state)
        self.replay = recorder(self.run)

    def run(self) -> None:
        """The step itself."""
        memory = self.source.memory
        source = None if memory is None else SourceLayout(self.source)
        batch = FixedBatch(self.keys, self.values, self.position)
        x = self.stack.read(batch, self.ids, source_layout=source, memory=memory)
        assert self.head is not None
        logits = self.head(x[:, -1])
        self.logits = logits if self.logits is None else self.logits.copy_(logits)

    def free(self) -> bool:
        """Whether no state lives in these buffers any more."""
        owner = self.owner()
        return owner is None or owner.keys[0] is not self.keys[0]

    def take(self, state: DecodingState) -> None:
        """Move a state into the buffers, where it is not in them yet."""
        if state.keys[0] is not self.keys[0]:
            for own, theirs in ((self.keys, state.keys), (self.values, state.values)):
                for mine, held in zip(own, theirs, strict=True):
                    assert held is not None
                    mine[:, :, : state.used] = held[:, :, : state.used]
            state.keys, state.values = list(self.keys), list(self.values)
            self.owner = weakref.ref(state)
        if state.memory is not self.held and state.memory is not None and self.source.memory is not None:
            for (k, v), (other_k, other_v) in zip(self.source.memory, state.memory, strict=True):
                k.copy_(other_k), v.copy_(other_v)
            if self.source.source_visible is not None and state.source_visible is not None:
                self.source.source_visible.copy_(state.source_visible)
        self.held = state.memory

    def step(self, ids: Tensor, state: DecodingState) -> Tensor:
        """Append `ids` [rows, 1] and score what follows: [rows, vocab]."""
        self.take(state)
        self.ids.copy_(ids)
        self.position.fill_(state.used)
        self.replay()
        state.advance(1, None)
        assert self.logits is not None
        return self.logits.clone()


class GraphedSteps:
    """Stands in for a model's `step`: recorded where each row appends one token, plain for all else.

    Beams and rows of different lengths are plain: which slots they see is a table that changes shape.
    """

    def __init__(self, model: Model, recorder: Recorder = record):
        self.model, self.recorder = model, recorder
        self.recordings: dict[tuple[Any, ...], list[Recording]] = {}

    def __call__(
        self,
        ids: Tensor,
        state: DecodingState,
        lengths: Tensor | None = None,
        *,
        every: bool = False,
        hidden: bool = False,
    ) -> StepOutput:
        """As Model.step."""
        single = ids.shape[1] == 1 and lengths is None and not every and not hidden
        if not single or state.used == 0 or state.places is not None or state.width != 1 or state.types is not None:
            return type(self.model).step(self.model, ids, state, lengths, every=every, hidden=hidden)
        check_room(self.model.top.spec.embedding.positions, state.longest + 1)
        state.reserve(1)
        return StepOutput(self.recording(state).step(ids, state))

    def recording(self, state: DecodingState) -> Recording:
        """The one that `state` lives in, one that is free, or a new one."""
        memory = None if state.memory is None else (*state.memory[0][0].shape, state.source_visible is None)
        kept = self.recordings.setdefault((state.rows, state.capacity, memory), [])
        for one in kept:
            if state.keys[0] is one.keys[0]:
                return one
        for one in kept:
            if one.free():
                return one
        if sum(map(len, self.recordings.values())) >= MOST_RECORDINGS:
            self.forget()
        made = Recording(self.model, state, self.recorder)
        kept.append(made)
        return made

    def forget(self) -> None:
        """Let go of the recordings that nobody lives in."""
        for kept in self.recordings.values():
            kept[:] = [one for one in kept if not one.free()]
