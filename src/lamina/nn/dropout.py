"""Dropout that costs nothing where nothing is dropped."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class Dropout(nn.Dropout):
    """As torch's; while reading it is not even called, as a call takes microseconds and a step has dozens."""

    def __call__(self, x: Tensor) -> Any:
        """The same tensor, or in training one with holes."""
        return super().__call__(x) if self.training else x
