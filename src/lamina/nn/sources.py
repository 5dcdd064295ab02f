"""Sources of different lengths, read without their padding."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .packing import packed_states
from .recording import recording
from .stack import Stack

WORTH = 0.9  # of a rectangle filled with tokens: from here on its padding costs less than taking it out


@dataclass(frozen=True)
class Placed:
    """Tokens end to end and where they stand in a rectangle of rows."""

    flat: Tensor  # [tokens]: places in the rectangle, row after row
    shape: tuple[int, int]
    lengths: list[int]  # in the order of `flat`

    def taken(self, rectangle: Tensor) -> Tensor:
        """[rows, width] to [1, tokens]."""
        return rectangle.reshape(-1).index_select(0, self.flat)[None]

    def spread(self, tokens: Tensor) -> Tensor:
        """[1, tokens, ...] to [rows, width, ...], zero where there is no token."""
        rows, width = self.shape
        whole = tokens.new_zeros(rows * width, *tokens.shape[2:])
        return whole.index_copy_(0, self.flat, tokens[0]).unflatten(0, self.shape)


def source_lengths(mask: Tensor | None) -> list[int] | None:
    """Tokens of each row of a mask [rows, width] that is padded on the right; None where it says anything else.

    Asks only a mask on a CPU: an accelerator would have to be waited for.
    """
    if mask is None or mask.dim() != 2 or mask.device.type != "cpu" or recording():
        return None
    lengths = mask.bool().sum(1)
    front = torch.arange(mask.shape[1]) < lengths[:, None]
    return lengths.tolist() if bool((front == mask.bool()).all()) and int(lengths.min()) > 0 else None


def placed(lengths: list[int], width: int) -> Placed | None:
    """Where tokens of rows padded on the right stand, shortest row first; None where there is little padding."""
    if sum(lengths) > WORTH * len(lengths) * width:
        return None
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    flat = torch.cat([torch.arange(row * width, row * width + lengths[row]) for row in order])
    return Placed(flat, (len(lengths), width), [lengths[row] for row in order])


def read_source(stack: Stack, ids: Tensor, where: Placed) -> Tensor:
    """What an encoder makes of the tokens of a rectangle [rows, width]: [1, tokens, hidden]."""
    return packed_states(stack, where.taken(ids), where.lengths)
