"""Attention kernels for sequences that lie end to end; which one a batch gets is decided once, when its layout is made.

A kernel takes queries, keys and values [1, tokens, heads, head_dim], a scale and a dropout rate, and returns the same
shape.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from inspect import signature
from itertools import groupby
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .dropping import Dropping
from .recording import recording

Kernel = Callable[[Tensor, Tensor, Tensor, float | None, float], Tensor]

NARROW = (torch.float16, torch.bfloat16)  # what flash attention reads
OLDEST = (8, 0)  # compute capability it needs


class ByLength:
    """One call of torch's own attention for every run of neighbors of one length: no mask, so its fastest path."""

    def __init__(self, lengths: list[int], causal: bool, bias: Tensor | None):
        self.runs = [(len(list(run)), length) for length, run in groupby(lengths)]
        self.sizes = [count * length for count, length in self.runs]
        self.causal = causal and bias is None
        self.masks = {length: _mask(bias, length, causal) for _, length in self.runs}

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
        """Attention within each sequence."""
        if len(self.runs) == 1:
            count, length = self.runs[0]
            return self._run(q, k, v, count, length, scale, dropout)[None]
        parts = zip(*(t[0].split(self.sizes) for t in (q, k, v)), self.runs, strict=True)
        found = [self._run(a, b, c, count, length, scale, dropout) for a, b, c, (count, length) in parts]
        return torch.cat(found)[None]

    def _run(
        self, q: Tensor, k: Tensor, v: Tensor, count: int, length: int, scale: float | None, dropout: float
    ) -> Tensor:
        heads = q.shape[-2]
        a, b, c = (t.reshape(count, length, heads, -1).transpose(1, 2) for t in (q, k, v))
        mask = self.masks[length]
        mask = mask if mask is None else mask.to(q.dtype)
        out = F.scaled_dot_product_attention(a, b, c, mask, dropout, self.causal and length > 1, scale=scale)
        return out.transpose(1, 2).reshape(count * length, heads, -1)


class Varlen:
    """Flash attention over all sequences in one call, on CUDA in half precision."""

    def __init__(self, lengths: list[int], causal: bool, device: torch.device):
        ends = torch.tensor([0, *lengths], device=device).cumsum(0)
        self.ends, self.longest = ends.to(torch.int32), max(lengths)
        self.attend = varlen_attention()
        newer = "window_size" in signature(self.attend).parameters
        self.options: dict[str, Any] = {}
        if causal:
            self.options = {"window_size": (-1, 0)} if newer else {"is_causal": True}

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
        """Attention within each sequence; `dropout` is none, since `choose` saw to it."""
        scaled = {} if scale is None else {"scale": scale}
        out: Tensor = self.attend(
            q[0], k[0], v[0], self.ends, self.ends, self.longest, self.longest, **scaled, **self.options
        )
        return out[None]


def varlen_attention() -> Callable[..., Any]:
    """Torch's attention over sequences of different lengths."""
    from torch.nn.attention.varlen import varlen_attn  # here, since it is new and only CUDA has it

    return varlen_attn


@cache
def varlen_works(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether flash attention over different lengths is there for a device and a type."""
    if device.type != "cuda" or dtype not in NARROW or torch.cuda.get_device_capability(device) < OLDEST:
        return False
    try:
        parameters = signature(varlen_attention()).parameters
    except (ImportError, AttributeError):
        return False
    return "scale" in parameters


def packs_well(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether sequences end to end are read faster than padded ones: many small calls starve an accelerator."""
    return device.type == "cpu" or varlen_works(device, dtype)


def by_hand(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether weights are dropped by our own arithmetic, which torch's is slower than."""
    return device.type == "cpu" and dtype == torch.float32 and not recording()


def choose(
    lengths: list[int], causal: bool, bias: Tensor | None, device: torch.device, dtype: torch.dtype, dropping: bool
) -> Kernel:
    """The kernel for sequences of `lengths`; `bias` [1, heads, longest, longest] is added to every one's scores.

    Flash attention over different lengths knows no dropout: where weights are dropped it is not taken.
    """
    if bias is None and not dropping and varlen_works(device, dtype):
        return Varlen(lengths, causal, device)
    if bias is None and dropping and by_hand(device, dtype):
        return Dropping(lengths, causal)
    return ByLength(lengths, causal, bias)


def _mask(bias: Tensor | None, length: int, causal: bool) -> Tensor | None:
    if bias is None:
        return None
    own = bias[..., :length, :length]
    if not causal:
        return own
    hidden = torch.ones(length, length, dtype=torch.bool, device=bias.device).triu(1)
    return own.masked_fill(hidden, torch.finfo(bias.dtype).min)
