"""Logits to scores, in the precision of the logits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating[Any]]


def sigmoid(logits: Scores) -> Scores:
    """Each class on its own, between 0 and 1."""
    decay: Scores = np.exp(-np.abs(logits))
    return np.where(logits < 0, decay, 1) / (1 + decay)


def softmax(logits: Scores) -> Scores:
    """Shares of one, over the last axis."""
    shifted: Scores = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: Scores = shifted / shifted.sum(axis=-1, keepdims=True)
    return shares
