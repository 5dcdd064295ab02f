"""torch.compile without recompiling: every stack becomes one graph of linear layers, whatever shares a batch.

The compiler sees all tokens of a pass in one row and attention as a single operator. What the operator does is up to
the batch layout, which stays outside of the graph: padded or packed rows, beams, any number of tokens remembered, all
run the same graph. A second graph serves a single token, since compilers take a size of one for a constant.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache, partial
from typing import Any, cast

import torch
from torch import Tensor, library

from ..errors import InputError
from ..nn.layouts import Layout
from ..nn.model import Model, packable, read_packed
from ..nn.stack import Stack
from .batching import filler_length
from .graphs import GraphedSteps
from .quantize import frozen

Backend = str | Callable[..., Any]

LAYOUTS: dict[int, Layout] = {}  # of the passes that are running, by the number their graph is given
NUMBERS = itertools.count(1)


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
        """One operator."""
        found: Tensor = torch.ops.lamina.attend(q, k, v, self.number, layer, scale)
        return found


class Recalled(Outside):
    """The same for an encoded source, whose keys and values stay outside too."""

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
        """One operator, of queries alone."""
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
    ) -> Tensor:
        """As Stack.forward."""
        if hidden_states is not None or self.stack.training or torch.is_grad_enabled():
            return self.plain(x, layout, source_layout, memory, hidden_states)
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
