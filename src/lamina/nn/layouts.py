"""How queries meet keys: one class per batch layout. Blocks call `attend` and never look inside.

All of them take and return [batch, tokens, heads, head_dim].
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError
from .cache import KeyValueCache
from .kernels import choose
from .recording import recording

HIDDEN = -1e4  # what is added to a score to hide its key, at most: the least that half precision was given


class Layout(Protocol):
    """What a block asks of a batch."""

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
        """Mix the values of every key that each query may see."""
        ...


class DenseLayout:
    """Rows of equal length, padded.

    `visible` is boolean [batch or 1, 1, queries or 1, keys], true where a query may see a key; `bias` is added to the
    scores. `causal` alone, with neither, takes the kernel's own triangle.
    """

    def __init__(self, visible: Tensor | None = None, bias: Tensor | None = None, causal: bool = False):
        if causal and visible is None and bias is not None:
            visible = triangle(bias.shape[-2], bias.shape[-1], bias.device)
        self.causal = causal and visible is None
        self.mask = visible if bias is None else bias
        if bias is not None and visible is not None:
            self.mask = bias.masked_fill(~visible, torch.finfo(bias.dtype).min)

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
        """Scaled dot-product attention over the whole rectangle."""
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        mask = self.mask.to(q.dtype) if self.mask is not None and self.mask.is_floating_point() else self.mask
        causal = self.causal and (recording() or q.shape[2] > 1)
        out = F.scaled_dot_product_attention(q, k, v, mask, dropout, causal, scale=scale)
        return out.transpose(1, 2)


class PackedLayout:
    """All sequences end to end in one row, so that no padding is ever computed.

    Neighbors of one length meet their keys in one call: sort sequences by length before packing them.
    """

    def __init__(
        self,
        lengths: list[int],
        causal: bool = False,
        bias: Tensor | None = None,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
        dropping: bool = False,
    ):
        """`bias` [1, heads, longest, longest] is added to the scores; `dropping` tells that there will be dropout."""
        self.kernel = choose(lengths, causal, bias, device or torch.device("cpu"), dtype, dropping)

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
        """[1, tokens, heads, head_dim] to the same: attention within each sequence."""
        return self.kernel(q, k, v, scale, dropout)


class CachedLayout:
    """Decoding: new keys join those of earlier steps before any query looks."""

    def __init__(self, cache: KeyValueCache, inner: DenseLayout | RecordingLayout):
        self.cache, self.inner = cache, inner

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
        """Write the new keys and values, then attend to all."""
        keys, values = self.cache.write(layer, k.transpose(1, 2), v.transpose(1, 2))
        return self.inner.attend(layer, q, keys.transpose(1, 2), values.transpose(1, 2), scale, dropout)


class RecordingLayout:
    """As DenseLayout, and keeps each layer's attention map: the only layout that makes them."""

    def __init__(self, visible: Tensor | None = None, bias: Tensor | None = None, causal: bool = False):
        self.visible, self.bias, self.causal = visible, bias, causal
        self.maps: list[Tensor] = []  # [batch, heads, queries, keys] per layer

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
        """The same sum written out, with the map kept."""
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) * (q.shape[-1] ** -0.5 if scale is None else scale)
        if self.bias is not None:
            scores = scores + self.bias
        visible = self.visible
        if visible is None and self.causal:
            visible = triangle(scores.shape[-2], scores.shape[-1], q.device)
        if visible is not None:
            scores = scores.masked_fill(~visible, torch.finfo(scores.dtype).min)
        weights = F.dropout(scores.softmax(-1), dropout, training=dropout > 0)
        self.maps.append(weights)
        return torch.einsum("bhqk,bkhd->bqhd", weights, v)


def visibility(
    mask: Tensor | None, queries: int, keys: int, causal: bool, device: torch.device | None = None
) -> Tensor | None:
    """Which keys each query may see, boolean [batch or 1, 1, queries or 1, keys]; None where all of them.

    `mask` is an attention mask over keys, [batch, keys], or over pairs, [batch, queries, keys] with any number of
    inner axes of size one. Queries are the last of the keys where `causal`.
    """
    seen = None if mask is None else _seen(mask, queries, keys)
    past = keys - queries
    if not causal or (queries == 1 and seen is None) or (seen is None and past == 0):
        return seen
    corner = triangle(queries, keys, seen.device if seen is not None else device)
    return corner if seen is None else corner & seen


def _seen(mask: Tensor, queries: int, keys: int) -> Tensor | None:
    """An attention mask as truth; None where it hides nothing, which only a CPU is asked.

    A mask of four axes and fractions is what other libraries add to scores: zero where a key is seen.
    """
    if mask.shape[-1] != keys or (mask.dim() > 2 and mask.shape[-2] not in (1, queries)):
        raise InputError(f"attention_mask {tuple(mask.shape)} does not fit {queries} tokens that look at {keys}")
    added = mask.dim() == 4 and mask.is_floating_point()
    seen = mask if mask.dtype == torch.bool else mask == (0 if added else 1)
    if mask.device.type == "cpu" and not recording():
        if bool(seen.all()):
            return None
        if mask.dtype != torch.bool and not bool((seen | (mask <= HIDDEN if added else mask == 0)).all()):
            raise InputError(
                "attention_mask must hold 1 for tokens that are seen and 0 for the others, or true and false; a mask "
                f"of four axes that is added to scores 0 and {HIDDEN:.0f} or less. Other weights are not known"
            )
    if seen.dim() < 4:
        seen = seen[:, None, None] if seen.dim() == 2 else seen[:, None]
    return seen


def triangle(queries: int, keys: int, device: torch.device | None) -> Tensor:
    """Each of the last `queries` tokens sees itself and what came before: boolean [1, 1, queries, keys]."""
    past = keys - queries
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril(past)[None, None]
