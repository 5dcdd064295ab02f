"""Random weights as each family's authors drew them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..spec import FanInInit, NormalInit, TruncatedInit
from .embeddings import Embeddings
from .objectives import Head
from .stack import CrossAttention, FeedForward, SelfAttention, Stack


def initialize(model: nn.Module, init: NormalInit | TruncatedInit | FanInInit, only: set[str] | None = None) -> None:
    """Draw every parameter anew, or those named in `only` (what a checkpoint did not hold)."""
    modules = [module for name, module in model.named_modules() if only is None or _holds(name, only)]
    with torch.no_grad(), _keeping(model, modules, only):
        std = init.factor if isinstance(init, FanInInit) else init.std
        for module in modules:
            _plain(module, std)
        for module in modules:  # after the linears: a tied projection must not refill the padding row
            _table(module, std)
        for module in modules:
            match init:
                case FanInInit(factor):
                    _by_fan_in(module, factor)
                case TruncatedInit():
                    _truncated(module, init)
                case NormalInit():
                    _narrowed(module, init)


def _owned(module: nn.Module) -> Iterator[nn.Parameter]:
    """What drawing a module may touch: its own tensors, and for the parts that draw their children's, those."""
    if isinstance(module, Stack):
        yield from module.relative.parameters() if module.relative is not None else ()
    elif isinstance(module, Embeddings):
        table = getattr(module, "positions", None)
        yield from table.parameters() if isinstance(table, nn.Embedding) else ()
        yield from module.tokens.parameters()
    else:
        drawing = isinstance(module, SelfAttention | CrossAttention | FeedForward | Head)
        yield from module.parameters(recurse=drawing)


def _holds(path: str, names: set[str]) -> bool:
    return any(not path or name.startswith(path + ".") for name in names)


@contextmanager
def _keeping(model: nn.Module, modules: list[nn.Module], only: set[str] | None) -> Iterator[None]:
    """Put back what is not to be drawn; only what the modules in question own is copied, never the whole model."""
    kept: dict[int, tuple[nn.Parameter, Tensor]] = {}
    if only is not None:
        drawn = {id(p) for name, p in model.named_parameters() if name in only}
        for module in modules:
            for parameter in _owned(module):
                if id(parameter) not in drawn and id(parameter) not in kept:
                    kept[id(parameter)] = (parameter, parameter.detach().clone())
    yield
    for parameter, values in kept.values():
        parameter.copy_(values)


def _plain(module: nn.Module, std: float) -> None:
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0.0, std)
        if module.bias is not None:
            module.bias.zero_()
    elif isinstance(module, nn.Conv1d):
        module.reset_parameters()
    elif isinstance(module, nn.LayerNorm | nn.RMSNorm):
        nn.init.ones_(module.weight)
        if getattr(module, "bias", None) is not None:
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]


def _table(module: nn.Module, std: float) -> None:
    if isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, 0.0, std)
        if module.padding_idx is not None:
            module.weight[module.padding_idx].zero_()


def _narrowed(module: nn.Module, init: NormalInit) -> None:
    if init.residual_layers is not None:
        std = init.std / (2 * max(init.residual_layers, 1)) ** 0.5
        if isinstance(module, SelfAttention | CrossAttention):
            nn.init.normal_(module.out.weight, 0.0, std)
        elif isinstance(module, FeedForward):
            nn.init.normal_(module.down.weight, 0.0, std)
    if init.sinusoidal_positions and isinstance(module, Embeddings) and isinstance(module.positions, nn.Embedding):
        module.positions.weight.copy_(interleaved_sinusoids(*module.positions.weight.shape))


def _truncated(module: nn.Module, init: TruncatedInit) -> None:
    """What ends a branch is narrowed, and so is the head's dense layer; nothing is drawn as zero."""
    narrow = init.std / (2 * max(init.layers, 1)) ** 0.5
    match module:
        case Embeddings():
            _cut(module.tokens.weight, init.std, init.cutoff)
        case SelfAttention():
            _cut(module.qkv.weight, init.std, init.cutoff)
            _cut(module.out.weight, narrow, init.cutoff)
        case FeedForward():
            _cut(module.up.weight, init.std, init.cutoff)
            _cut(module.down.weight, narrow, init.cutoff)
        case Head():
            if module.dense is not None:
                _cut(module.dense.weight, narrow, init.cutoff)
            if not module.spec.tied:
                _cut(module.project.weight, init.std if module.spec.std is None else module.spec.std, init.cutoff)


def _cut(weight: Tensor, std: float, cutoff: float) -> None:
    nn.init.trunc_normal_(weight, 0.0, std, -cutoff * std, cutoff * std)


def _by_fan_in(module: nn.Module, factor: float) -> None:
    """T5 folds the missing 1/sqrt(head_dim) of its scores into the query's weights (Raffel et al., 2019)."""
    if isinstance(module, SelfAttention):
        inner = module.out.in_features
        q, kv = module.qkv.weight.split([inner, 2 * inner])
        _draw_query(q, factor, inner // module.num_heads)
        _draw(kv, factor)
        _draw(module.out.weight, factor)
    elif isinstance(module, CrossAttention):
        _draw_query(module.q.weight, factor, module.out.in_features // module.num_heads)
        _draw(module.kv.weight, factor)
        _draw(module.out.weight, factor)
    elif isinstance(module, FeedForward):
        _draw(module.up.weight, factor)
        _draw(module.down.weight, factor)
    elif isinstance(module, Stack) and module.relative is not None:
        for table in module.relative.parameters():
            table.normal_(0.0, factor * module.spec.block.hidden_size**-0.5)
    elif isinstance(module, Head):
        _draw_head(module, factor)


def _draw_head(head: Head, factor: float) -> None:
    if head.dense is not None:
        _draw(head.dense.weight, factor)
    if head.spec.fan_in:
        _draw(head.project.weight, factor)


def _draw(weight: Tensor, factor: float) -> None:
    weight.normal_(0.0, factor * weight.shape[1] ** -0.5)


def _draw_query(weight: Tensor, factor: float, head_dim: int) -> None:
    weight.normal_(0.0, factor * (weight.shape[1] * head_dim) ** -0.5)


def interleaved_sinusoids(size: int, width: int) -> Tensor:
    """Sine and cosine side by side, the other of the two common orders (Vaswani et al., 2017): [size, width]."""
    rates = torch.pow(10000.0, -2 * (torch.arange(width) // 2).double() / width)
    angles = torch.arange(size).double()[:, None] * rates
    angles[:, 0::2], angles[:, 1::2] = angles[:, 0::2].sin(), angles[:, 1::2].cos()
    return angles.float()
