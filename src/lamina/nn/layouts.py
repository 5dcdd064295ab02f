"""How queries meet keys: where tokens of a batch stand, which of them see each other, and by which kernel they meet.

A batch is padded rows, or sequences end to end (`decoding` has the slots of a state); `Stack.layout` makes its layout,
and blocks call `attend` and never look inside. All tensors there are [batch, tokens, heads, head_dim].
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from inspect import signature
from itertools import groupby
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError
from .dropout import Dropping
from .runtime import recording

Kernel = Callable[[Tensor, Tensor, Tensor, float | None, float], Tensor]
Pair = tuple[Tensor, Tensor]  # keys and values
Scores = Callable[[int], Callable[[Tensor, Tensor], Tensor]]  # what a layer adds to the scores of queries and keys
Memory = list[Pair]  # of an encoded source, for every layer

HIDDEN = -1e4  # what is added to a score to hide its key, at most: the least that half precision was given
NARROW = (torch.float16, torch.bfloat16)  # what flash attention reads
OLDEST = (8, 0)  # compute capability it needs
BUCKET = 64  # tokens that a buffer grows by at least


class Layout(Protocol):
    """What a block asks of a batch."""

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
        """Mix the values of every key that each query may see."""
        ...


class Batch(Protocol):
    """What a stack asks of a batch, to place its tokens and to make its layout."""

    longest: int  # tokens of the longest row, those of earlier calls included

    @property
    def steps(self) -> Tensor:
        """How many tokens stand before each token: [rows or 1, tokens]."""
        ...

    def pairs(self) -> Pair:
        """Steps of queries [rows or 1, queries] and of the keys they meet [..., keys], for what scores a distance."""
        ...

    def layout(self, causal: bool, bias: Tensor | None, window: int | None = None) -> Layout:
        """How they meet; `bias` [rows or 1, heads, queries, keys] is added to scores, `window` is how far they see."""
        ...


class KeyValueCache:
    """Keys and values of each layer, [rows, heads, capacity, head_dim], filled up to `used`.

    Owned by the caller and handed to the model as `past_key_values`. `memory` holds the keys and values of the source,
    computed once.
    """

    def __init__(self, num_layers: int, capacity: int = 0):
        self.keys: list[Tensor | None] = [None] * num_layers
        self.values: list[Tensor | None] = [None] * num_layers
        self.capacity = -(-capacity // BUCKET) * BUCKET
        self.used = 0
        self.memory: Memory | None = None

    def get_seq_length(self, layer: int = 0) -> int:
        """Tokens held, under the name callers of the reference know."""
        return self.used

    def reserve(self, slots: int) -> None:
        """Make room for `slots` more: by half of what there is, or as many as are needed."""
        needed = self.used + slots
        if needed > self.capacity:
            self.capacity = -(-max(needed, self.used + self.used // 2) // BUCKET) * BUCKET
            self.change(lambda held: _widened(held, self.used, self.capacity))

    def write(self, layer: int, k: Tensor, v: Tensor) -> Pair:
        """Put [rows, heads, tokens, head_dim] behind what is held and return it all; `advance` closes the step."""
        keys, values = self.keys[layer], self.values[layer]
        tokens = k.shape[2]
        end = self.used + tokens
        if keys is None or values is None:
            shape = (*k.shape[:2], self.capacity, k.shape[3])
            keys = self.keys[layer] = k.new_zeros(shape)  # zeros: a masked slot of garbage could still be NaN
            values = self.values[layer] = v.new_zeros(shape)
        keys.narrow(2, self.used, tokens).copy_(k)
        values.narrow(2, self.used, tokens).copy_(v)
        return keys.narrow(2, 0, end), values.narrow(2, 0, end)

    def advance(self, tokens: int) -> None:
        self.used += tokens

    def crop(self, length: int) -> None:
        self.used = min(self.used, length)

    def select(self, rows: Tensor) -> None:
        """Row i goes on as what row `rows[i]` was; `rows` may repeat, drop or permute."""
        self.change(lambda held: held.index_select(0, rows))
        if self.memory is not None:
            self.memory = [(_selected(k, rows), _selected(v, rows)) for k, v in self.memory]

    reorder = select

    def change(self, change: Callable[[Tensor], Tensor]) -> None:
        """Put another in the place of each buffer."""
        self.keys = [None if held is None else change(held) for held in self.keys]
        self.values = [None if held is None else change(held) for held in self.values]


def _widened(buffer: Tensor, used: int, capacity: int) -> Tensor:
    wide = buffer.new_zeros(*buffer.shape[:2], capacity, buffer.shape[3])
    wide[:, :, :used] = buffer[:, :, :used]
    return wide


def _selected(held: Tensor, index: Tensor) -> Tensor:
    """Rows of a transposed tensor, kept contiguous the way attention reads it."""
    return held.transpose(1, 2).index_select(0, index).transpose(1, 2)


class PaddedBatch:
    """Rows of equal length, padded: `mask` says which tokens count, `cache` holds those of earlier calls."""

    def __init__(
        self,
        given: Tensor,
        mask: Tensor | None = None,
        cache: KeyValueCache | None = None,
        recorded: bool = False,
    ):
        """`given` [rows, tokens, ...] are ids or their vectors; `recorded` asks for attention maps."""
        self.tokens, self.device, self.mask, self.cache = given.shape[1], given.device, mask, cache
        self.past = cache.used if cache is not None else 0
        self.longest = self.past + self.tokens
        self.maps: list[Tensor] | None = [] if recorded else None  # [batch, heads, queries, keys] per layer
        self.source_maps: list[Tensor] | None = None

    @property
    def steps(self) -> Tensor:
        return torch.arange(self.past, self.longest, device=self.device)[None]

    def pairs(self) -> Pair:
        return self.steps, torch.arange(self.longest, device=self.device)

    def shown_pairs(self) -> Pair:
        """As `pairs`, counted over the tokens that the mask shows: [rows, queries] and [rows, keys]."""
        if self.mask is None or self.mask.dim() != 2:
            return self.pairs()
        shown = self.mask.long()
        steps = (shown.cumsum(1) - 1) * shown
        return steps[:, self.past :], steps

    def layout(self, causal: bool, bias: Tensor | None, window: int | None = None) -> Layout:
        seen = visibility(self.mask, self.tokens, self.longest, causal, self.device)
        blind = None
        if window is not None and window < self.longest - 1:
            near = nearby(*self.pairs(), window, causal)[:, None]
            if seen is None or causal:
                seen = near if seen is None else seen & near
            else:
                seen, blind = sighted(seen & near)
        own: Layout = dense(seen, bias, causal and self.past == 0, self.maps)
        own = own if blind is None else BlindLayout(own, blind)
        if self.cache is None:
            return own
        self.cache.reserve(self.tokens)
        return CachedLayout(self.cache, own)

    def scored(self, scores: Scores | None) -> Layout:
        """How they meet, all with all, where what is added to the scores is made of queries and keys."""
        seen, blind = visibility(self.mask, self.tokens, self.longest, False, self.device), None
        if seen is not None:
            seen, blind = sighted(seen)
        own = ScoredLayout(seen, scores, self.maps, blind)
        return own if blind is None else BlindLayout(own, blind)

    def blanked(self) -> Tensor | None:
        """Which tokens are shown, [rows, tokens, 1], None where all are; the others see nothing from now on."""
        seen = visibility(self.mask, self.tokens, self.longest, False, self.device)
        if seen is None or seen.shape[2] > 1:
            return None
        self.mask = seen[:, 0] & seen[:, 0].transpose(1, 2)
        return seen[:, 0].transpose(1, 2)

    def by_sequence(self, change: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """`change` each sequence of x [rows, tokens, hidden] by itself; it is zero where there is no token."""
        return change(x)

    def source_layout(self, mask: Tensor | None, memory: Memory) -> Layout:
        """How the tokens meet an encoded source, whose own mask is `mask`."""
        self.source_maps = None if self.maps is None else []
        seen = visibility(mask, self.tokens, memory[0][0].shape[1], False) if memory else None
        return dense(seen, None, False, self.source_maps)


class PackedBatch:
    """All sequences end to end in one row, so that no padding is ever computed.

    Neighbors of one length meet their keys in one call: sort sequences by length before packing them.
    """

    def __init__(self, lengths: list[int], like: Tensor, dropping: bool = False):
        """`like` is on the device and of the type of embedded tokens; `dropping` says that weights are dropped."""
        self.lengths, self.longest, self.device, self.dropping = lengths, max(lengths), like.device, dropping
        kind = like.device.type
        self.dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else like.dtype

    @property
    def steps(self) -> Tensor:
        return torch.cat([torch.arange(n) for n in self.lengths]).to(self.device)[None]

    def pairs(self) -> Pair:
        steps = torch.arange(self.longest, device=self.device)
        return steps[None], steps

    def layout(self, causal: bool, bias: Tensor | None, window: int | None = None) -> Layout:
        window = None if window is None or window >= self.longest - 1 else window
        return PackedLayout(choose(self.lengths, causal, bias, self.device, self.dtype, self.dropping, window))

    def scored(self, scores: Scores | None) -> Layout:
        return RunsLayout(runs_of(self.lengths), scores)

    def blanked(self) -> None:
        """Packed rows hold real tokens only: nothing is blanked."""

    def by_sequence(self, change: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        runs = runs_of(self.lengths)
        parts = zip(x[0].split([count * length for count, length in runs]), runs, strict=True)
        return torch.cat([change(part.unflatten(0, run)).flatten(0, 1) for part, run in parts])[None]


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
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        mask = self.mask
        if mask is not None and mask.is_floating_point() and mask.dtype != q.dtype:
            mask = mask.clamp(min=torch.finfo(q.dtype).min).to(q.dtype)  # not infinite: a row of those is NaN
        causal = self.causal and (recording() or q.shape[2] > 1)
        out = F.scaled_dot_product_attention(q, k, v, mask, dropout, causal, scale=scale)
        return out.transpose(1, 2)


class RecordingLayout(DenseLayout):
    """As DenseLayout, and keeps each layer's attention map: the only layout that makes them."""

    def __init__(
        self,
        visible: Tensor | None = None,
        bias: Tensor | None = None,
        causal: bool = False,
        maps: list[Tensor] | None = None,
    ):
        self.visible, self.bias, self.causal = visible, bias, causal
        self.maps: list[Tensor] = [] if maps is None else maps  # [batch, heads, queries, keys] per layer

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


def dense(seen: Tensor | None, bias: Tensor | None, causal: bool, maps: list[Tensor] | None) -> DenseLayout:
    """A layout of padded rows; attention maps go to `maps` where they are asked for."""
    return DenseLayout(seen, bias, causal) if maps is None else RecordingLayout(seen, bias, causal, maps)


class ScoredLayout:
    """Rows whose scores have a bias that queries and keys make themselves, each layer its own."""

    def __init__(
        self,
        visible: Tensor | None,
        scores: Scores | None,
        maps: list[Tensor] | None = None,
        blind: Tensor | None = None,
    ):
        self.visible, self.scores, self.maps, self.blind = visible, scores, maps, blind

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
        bias = None
        if self.scores is not None:
            bias = self.scores(layer)(q, k) * (q.shape[-1] ** -0.5 if scale is None else scale)
            bias = bias if self.blind is None else bias.masked_fill(self.blind, 0)
        return dense(self.visible, bias, False, self.maps).attend(layer, q, k, v, scale, dropout)


class RunsLayout:
    """The same for sequences end to end, where neighbors of one length meet as rows of their own."""

    def __init__(self, runs: list[tuple[int, int]], scores: Scores | None):
        self.runs, self.sizes, self.scores = runs, [count * length for count, length in runs], scores

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
        found, own = [], None if self.scores is None else self.scores(layer)
        inner = ScoredLayout(None, None if own is None else lambda _: own)
        for run, *parts in zip(self.runs, *(t[0].split(self.sizes) for t in (q, k, v)), strict=True):
            a, b, c = (part.unflatten(0, run) for part in parts)
            found.append(inner.attend(layer, a, b, c, scale, dropout).flatten(0, 1))
        return torch.cat(found)[None]


class BlindLayout:
    """Tokens that see nothing mix all others alike, as where each of their scores is the same least number.

    Only padding is blind; yet losses read its states, such as that of question answering.
    """

    def __init__(self, inner: Layout, blind: Tensor):
        """`blind` are [rows, 1, queries, 1]; `inner` lets them see all."""
        self.inner, self.blind = inner, blind.transpose(1, 2)

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
        return self.inner.attend(layer, q.masked_fill(self.blind, 0), k, v, scale, dropout)


def sighted(seen: Tensor) -> Pair:
    """The same with all shown to those that see nothing, and which queries these are: [rows, 1, queries, 1]."""
    blind = ~seen.any(-1, keepdim=True)
    return seen | blind, blind


class CachedLayout:
    """Decoding: new keys join those of earlier steps before any query looks."""

    def __init__(self, cache: KeyValueCache, inner: Layout):
        self.cache, self.inner = cache, inner

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
        """Write the new keys and values, then attend to all."""
        keys, values = self.cache.write(layer, k.transpose(1, 2), v.transpose(1, 2))
        return self.inner.attend(layer, q, keys.transpose(1, 2), values.transpose(1, 2), scale, dropout)


class PackedLayout:
    """[1, tokens, heads, head_dim] to the same: attention within each sequence, by the kernel chosen for them."""

    def __init__(self, kernel: Kernel):
        self.kernel = kernel

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
        return self.kernel(q, k, v, scale, dropout)


def runs_of(lengths: list[int]) -> list[tuple[int, int]]:
    """Neighbors of one length: how many, and how long."""
    return [(len(list(run)), length) for length, run in groupby(lengths)]


def nearby(queries: Tensor, keys: Tensor, window: int, causal: bool) -> Tensor:
    """Which keys stand no farther from a query than `window`, behind it where `causal`.

    Steps [rows or 1, queries] and [rows or 1, keys] to boolean [rows or 1, queries, keys].
    """
    behind = queries[..., None] - keys[..., None, :]
    return (behind >= 0) & (behind <= window) if causal else behind.abs() <= window


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


class ByLength:
    """One call of torch's own attention for every run of neighbors of one length: no mask, so its fastest path."""

    def __init__(
        self,
        lengths: list[int],
        causal: bool,
        bias: Tensor | None,
        window: int | None = None,
        device: torch.device | None = None,
    ):
        self.runs = runs_of(lengths)
        self.sizes = [count * length for count, length in self.runs]
        self.causal = causal and bias is None and window is None
        self.masks = {length: _mask(bias, length, causal, window, device) for _, length in self.runs}

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
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
        mask = mask.to(q.dtype) if mask is not None and mask.is_floating_point() else mask
        out = F.scaled_dot_product_attention(a, b, c, mask, dropout, self.causal and length > 1, scale=scale)
        return out.transpose(1, 2).reshape(count * length, heads, -1)


class Varlen:
    """Flash attention over all sequences in one call, on CUDA in half precision."""

    def __init__(self, lengths: list[int], causal: bool, device: torch.device, window: int | None = None):
        ends = torch.tensor([0, *lengths], device=device).cumsum(0)
        self.ends, self.longest = ends.to(torch.int32), max(lengths)
        self.attend = varlen_attention()
        far = -1 if window is None else window
        self.options: dict[str, Any] = {}
        if causal or window is not None:
            sides = {"window_size": (far, 0 if causal else far)}
            self.options = sides if varlen_windows() else {"is_causal": True}

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, scale: float | None, dropout: float) -> Tensor:
        """Attention within each sequence; `dropout` is none, since `choose` saw to it."""
        scaled = {} if scale is None else {"scale": scale}
        out: Tensor = self.attend(
            q[0], k[0], v[0], self.ends, self.ends, self.longest, self.longest, **scaled, **self.options
        )
        return out[None]


def varlen_attention() -> Callable[..., Any]:
    from torch.nn.attention.varlen import varlen_attn  # here, since it is new and only CUDA has it

    return varlen_attn


def varlen_windows() -> bool:
    """Whether it takes the window that each token sees, as newer versions do."""
    return "window_size" in signature(varlen_attention()).parameters


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
    lengths: list[int],
    causal: bool,
    bias: Tensor | None,
    device: torch.device,
    dtype: torch.dtype,
    dropping: bool,
    window: int | None = None,
) -> Kernel:
    """The kernel for sequences of `lengths`; `bias` [1, heads, longest, longest] is added to every one's scores.

    Flash attention over different lengths knows no dropout: where weights are dropped it is not taken. No token sees
    farther than `window`.
    """
    if bias is None and not dropping and varlen_works(device, dtype) and (window is None or varlen_windows()):
        return Varlen(lengths, causal, device, window)
    if bias is None and window is None and dropping and by_hand(device, dtype):
        return Dropping(lengths, causal)
    return ByLength(lengths, causal, bias, window, device)


def _mask(
    bias: Tensor | None, length: int, causal: bool, window: int | None, device: torch.device | None
) -> Tensor | None:
    """What sequences of `length` see of each other, as a bias or as truth; None where a kernel knows it."""
    if bias is None and window is None:
        return None
    seen = None
    if window is not None:
        steps = torch.arange(length, device=device)
        seen = nearby(steps, steps, window, causal)[None, None]
    elif causal and bias is not None:
        seen = triangle(length, length, bias.device)
    if bias is None:
        return seen
    own = bias[..., :length, :length]
    return own if seen is None else own.masked_fill(~seen, torch.finfo(bias.dtype).min)
