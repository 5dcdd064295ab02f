"""What Transformer-XL remembers: from one segment to the next, and while it writes."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import GenerationError, InputError
from .cache import KeyValueCache
from .segments import SegmentStack


def real_lengths(mask: Tensor | None, x: Tensor) -> Tensor | None:
    """How many tokens of each row of `x` [batch, tokens, ...] are real; None where all of them are.

    Padding on the right is never looked at, since every token sees only what came before. Any other padding would be:
    InputError.
    """
    if mask is None:
        return None
    lengths = mask.bool().sum(-1)
    expected = torch.arange(x.shape[1], device=mask.device) < lengths[..., None]
    if mask.shape != x.shape[:2] or not torch.equal(mask.bool(), expected):
        raise InputError(
            f"Transformer-XL takes no attention_mask except over padding on the right, [batch, tokens] = "
            f"{list(x.shape[:2])}: pad with padding_side='right', or pass rows of one length"
        )
    return None if bool(mask.all()) else lengths


@torch.no_grad()
def kept_inputs(past: list[Tensor], hidden: list[Tensor], length: int, lengths: Tensor | None) -> list[Tensor]:
    """Memories for the next segment: the last `length` inputs of each layer before padding, [tokens, batch, hidden].

    `past` and `hidden` are [batch, tokens, hidden] per layer.
    """
    held, tokens = past[0].shape[1], hidden[0].shape[1]
    kept = min(length, held + tokens)
    ends = torch.full((len(hidden[0]),), tokens, device=hidden[0].device) if lengths is None else lengths
    first = held + ends - kept
    if lengths is not None and bool((first < 0).any()):
        raise InputError(f"rows of different lengths need memories of full length, {length} tokens, got {held}")
    places = (first[:, None] + torch.arange(kept, device=first.device))[..., None]
    memories = []
    for old, new in zip(past, hidden, strict=False):
        joined = torch.cat([old, new], 1)
        memories.append(joined.gather(1, places.expand(-1, -1, joined.shape[2])).transpose(0, 1).contiguous())
    return memories


class SegmentState:
    """Keys and values of each row's tokens, behind as many keys and values of zeros as the model looks back.

    All rows end at the same slot: where one is shorter, the zeros before it are longer. Nothing that was written is
    dropped before the end, so that drafted tokens can be taken back.
    """

    def __init__(self, stack: SegmentStack, rows: int, max_length: int):
        self.stack, self.window = stack, stack.memory_length
        like = next(stack.parameters())
        self.lengths = torch.zeros(rows, dtype=torch.long, device=like.device)
        self.cache = KeyValueCache(len(stack.layers), self.window + max_length)
        blank = like.new_zeros(1, 1, stack.embeddings.spec.hidden_size).detach()
        for layer in range(len(stack.layers) if self.window else 0):
            k, v = (t.expand(rows, self.window, -1, -1).transpose(1, 2) for t in stack.remember(layer, blank))
            self.cache.write(layer, k, v)
        self.cache.advance(self.window)
        self._usual: list[Tensor] | None = None

    @property
    def past(self) -> int:
        """Slots that the next token looks back on."""
        return self.window or self.cache.length

    def recall(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Write [rows, tokens, heads, head_dim] and return these and what their first looks back on."""
        keys, values = self.cache.write(layer, k.transpose(1, 2), v.transpose(1, 2))
        first = self.cache.length - self.past
        return keys[:, :, first:].transpose(1, 2), values[:, :, first:].transpose(1, 2)

    def distances(self, keys: int, dtype: torch.dtype) -> list[Tensor]:
        """The stack's; those of a single token after full memories, the most of them by far, are made once."""
        if keys != self.window + 1 or not self.window:
            return self.stack.distances(keys, dtype)
        if self._usual is None:
            self._usual = self.stack.distances(keys, dtype)
        return self._usual

    def advance(self, tokens: int, lengths: Tensor | None) -> None:
        """Close a step that wrote `tokens` per row, of which `lengths` are real."""
        ends = None if lengths is None else self.cache.length + lengths
        self.cache.advance(tokens)
        self.lengths = self.lengths + (tokens if lengths is None else lengths)
        if ends is not None:
            self._align(ends, int(ends.max()))

    def reorder(self, rows: Tensor) -> None:
        """Row i goes on as what row `rows[i]` was: fewer rows drop the others, repeated ones fork."""
        if not torch.equal(rows, torch.arange(len(self.lengths), device=rows.device)):
            self.cache.reorder(rows)
            self.lengths = self.lengths.index_select(0, rows)

    def truncate(self, lengths: Tensor) -> None:
        """Forget what each row holds beyond `lengths` tokens."""
        kept = torch.minimum(self.lengths, lengths.to(self.lengths))
        ends = self.cache.length - (self.lengths - kept)
        self.lengths = kept
        self._align(ends, int(ends.max()))

    def join(self, other: SegmentState) -> None:
        """Take in another state's rows behind these."""
        length = max(self.cache.length, other.cache.length)
        for state in (self, other):
            state._align(torch.full_like(state.lengths, state.cache.length), length)
        mine, theirs = self.cache, other.cache
        for layer in range(len(mine.keys)):
            for held, more in ((mine.keys, theirs.keys), (mine.values, theirs.values)):
                a, b = held[layer], more[layer]
                if a is not None and b is not None:
                    held[layer] = torch.cat([a[:, :, :length], b[:, :, :length]])
        self.lengths = torch.cat([self.lengths, other.lengths])

    def _align(self, ends: Tensor, length: int) -> None:
        """Move each row so that its slot `ends` - 1 becomes slot `length` - 1, zeros filling in on the left."""
        behind = length - ends
        if bool((behind == 0).all()):
            self.cache.crop(length)
            return
        if not self.window:
            raise GenerationError("rows of different lengths cannot be written together without memories: set mem_len")
        slots = torch.arange(length, device=ends.device)
        places = (slots - behind[:, None]).clamp(min=0)[:, None, :, None]
        for buffers in (self.cache.keys, self.cache.values):
            for layer, buffer in enumerate(buffers):
                if buffer is not None:
                    buffers[layer] = buffer.gather(2, places.expand(-1, buffer.shape[1], -1, buffer.shape[3]))
        self.cache.length = length
