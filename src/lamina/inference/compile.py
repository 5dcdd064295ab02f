"""torch.compile without recompiling: every stack becomes one graph of linear layers, whatever shares a batch.

The compiler sees all tokens of a pass in one row and attention as a single operator. What the operator does is up to
the batch layout, which stays outside of the graph: padded or packed rows, beams, any number of tokens remembered, all
run the same graph. A second graph serves a single token, since compilers take a size of one for a constant.

On CUDA decoding steps are recorded as CUDA graphs: a step of a small model is hundreds of kernels, each launched by
Python. A recording has buffers of its own. A state that is stepped through it has its keys and values moved in once,
and from then on they are the recording's; another state, while the first still lives, gets another recording.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from functools import cache, partial
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, library

from ..errors import InputError
from ..nn.decoding import DecodingState, SourceLayout, StepOutput
from ..nn.layouts import Layout, Pair
from ..nn.model import Model, packable, read_packed
from ..nn.stack import Stack
from .batching import filler_length
from .quantize import frozen

MOST_RECORDINGS = 8  # kept; each holds the keys and values of its rows
WARM_UPS = 3  # runs before recording, which let kernels be chosen and memory be found
NUMBERS = itertools.count(1)
LAYOUTS: dict[int, Layout] = {}  # of the passes that are running, by the number their graph is given

Replay = Callable[[], None]
Recorder = Callable[[Callable[[], None]], Replay]
Backend = str | Callable[..., Any]


def record(run: Callable[[], None]) -> Replay:
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

    def layout(self, causal: bool, bias: Tensor | None, window: int | None = None) -> Layout:
        mask = (self.slots <= self.position)[None, None, None]
        if window is not None:
            mask = mask & (self.slots >= self.position - window)
        return FixedLayout(self, mask if bias is None else bias.masked_fill(~mask, torch.finfo(bias.dtype).min))


class FixedLayout:
    """Attention of these tokens to the buffers."""

    def __init__(self, batch: FixedBatch, mask: Tensor):
        self.batch, self.mask = batch, mask

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
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
        single = ids.shape[1] == 1 and lengths is None and not every and not hidden
        if not single or state.used == 0 or state.places is not None or state.width != 1 or state.types is not None:
            return type(self.model).step(self.model, ids, state, lengths, every=every, hidden=hidden)
        self.model.top.embeddings.check_room(state.longest + 1)
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


@cache
def operator() -> Any:
    """Attention as the compiler sees it; made on first use, since torch's compiler takes a second to import."""

    @library.custom_op("lamina::attend", mutates_args=())
    def attend(q: Tensor, k: Tensor, v: Tensor, layout: Tensor, layer: int, scale: float | None) -> Tensor:
        return LAYOUTS[int(layout)].attend(layer, q, k, v, scale, 0.0)

    @attend.register_fake
    def _(q: Tensor, k: Tensor, v: Tensor, layout: Tensor, layer: int, scale: float | None) -> Tensor:
        return torch.empty_like(q, memory_format=torch.contiguous_format)

    return torch.ops.lamina.attend


class FlatLayout:
    """A layout for tokens that lie in one row, with some at the end that fill it up."""

    def __init__(self, inner: Layout, shape: tuple[int, int], memory: list[tuple[Tensor, Tensor]] | None = None):
        self.inner, self.shape, self.memory = inner, shape, memory

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
        """[1, tokens, heads, head_dim] to the same; nobody reads what fills up."""
        rows, tokens = self.shape
        real = rows * tokens
        own, *pair = (t[0, :real].unflatten(0, self.shape) for t in (q, k, v))
        keys, values = pair if self.memory is None else self.memory[layer]
        found = self.inner.attend(layer, own, keys, values, scale, dropout).reshape(1, real, *q.shape[2:])
        out = q.new_empty(q.shape)
        out[:, :real], out[:, real:] = found, 0
        return out


class Outside:
    """The layout inside of a graph: passes on to the one that has its number."""

    def __init__(self, number: Tensor):
        self.number = number

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
        found: Tensor = torch.ops.lamina.attend(q, k, v, self.number, layer, scale)
        return found


class Recalled(Outside):
    """The same for an encoded source, whose keys and values stay outside too."""

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
        found: Tensor = torch.ops.lamina.attend(q, q, q, self.number, layer, scale)
        return found


class CompiledStack:
    """Stands in for a stack's `forward`: compiled, or plain where gradients or hidden states are asked for."""

    def __init__(self, stack: Stack, backend: Backend):
        self.stack = stack
        self.plain = partial(type(stack).forward, stack)
        operator()
        self.single = torch.compile(self.flat, fullgraph=True, dynamic=False, backend=backend)
        self.several = torch.compile(self.flat, fullgraph=True, dynamic=True, backend=backend)

    def flat(self, x: Tensor, number: Tensor, source: Tensor | None) -> Tensor:
        """What is compiled: [1, tokens, hidden] to the same."""
        recall = None if source is None else Recalled(source)
        memory = None if source is None else [(x, x)] * len(self.stack.layers)
        return self.plain(x, Outside(number), recall, memory)

    def __call__(
        self,
        x: Tensor,
        layout: Layout,
        source_layout: Layout | None = None,
        memory: list[tuple[Tensor, Tensor]] | None = None,
        hidden_states: list[Tensor] | None = None,
        joined: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        if hidden_states is not None or joined is not None or self.stack.training or torch.is_grad_enabled():
            return self.plain(x, layout, source_layout, memory, hidden_states, joined)
        shape = (x.shape[0], x.shape[1])
        real = shape[0] * shape[1]
        number, source = next(NUMBERS), next(NUMBERS)
        LAYOUTS[number] = FlatLayout(layout, shape)
        if source_layout is not None and memory is not None:
            LAYOUTS[source] = FlatLayout(source_layout, shape, memory)
        flat = x.reshape(1, real, -1)
        filler = filler_length(real) if real > 16 else 0
        if filler:
            flat = torch.nn.functional.pad(flat, (0, 0, 0, filler))
        run = self.single if real == 1 else self.several
        try:
            y = run(flat, torch.tensor(number), torch.tensor(source) if source in LAYOUTS else None)
        finally:
            LAYOUTS.pop(number), LAYOUTS.pop(source, None)
        return y[:, :real].reshape(*shape, -1)


def compile(model: Model, *, backend: Backend = "inductor", warm_up: bool = True) -> Model:
    """Compile a model's stacks in place, and run them once so that no later call waits; gives the model.

    Takes a float32 or bfloat16 model for reading and generating, not for training; on a CPU it gains a tenth or so and
    costs half a minute, so that it is for servers, not scripts. On CUDA, decoding steps are recorded as CUDA graphs
    besides. Raises InputError where nothing can be gained, and where torch finds no C++ compiler.
    """
    if frozen(model):
        raise InputError(
            "quantized and prepacked layers gain nothing from compiling: compile the model as it was loaded"
        )
    stacks = [stack for stack in (model.encoder, model.decoder) if stack is not None]
    if not stacks:
        raise InputError(f"{type(model).__name__} has no plain stack of layers to compile")
    if isinstance(stacks[0].forward, CompiledStack):
        raise InputError("the model is compiled already")
    model.eval()
    for stack in stacks:
        stack.forward = CompiledStack(stack, backend)  # type: ignore[method-assign]
    if stacks[0].embeddings.tokens.weight.is_cuda and model.head is not None and stacks[-1].spec.causal:
        model.step = GraphedSteps(model)  # type: ignore[method-assign]
    if warm_up:
        _warm(model, stacks)
    return model


def _warm(model: Model, stacks: list[Stack]) -> None:
    device = stacks[0].embeddings.tokens.weight.device
    ids = torch.zeros(1, 8, dtype=torch.long, device=device)
    try:
        with torch.inference_mode():
            if packable(model):
                for lengths in ([2, 3, 3], [8, 8, 8, 8]):
                    read_packed(model, ids.new_zeros(sum(lengths)), lengths)
            if stacks[-1].spec.causal and model.head is not None:
                state = cast(Any, model).start({"input_ids": ids}, 16)
                for tokens in (4, 1, 1):
                    model.step(ids[:, :tokens], state)
    except Exception as problem:
        for stack in stacks:
            del stack.forward
        if type(problem).__module__.startswith("torch._"):
            said = [*str(problem).strip().splitlines(), type(problem).__name__][0]
            raise InputError(
                f"torch could not compile the model, which is as it was: {said}. On a CPU it needs a C++ compiler"
            ) from problem
        raise
