"""How long a text a model can read, asked before it is computed."""

from __future__ import annotations

from typing import Any

from ..spec import LearnedPositions, ModelSpec, PaddingAwarePositions, SinusoidalPositions
from ..tokenizers.tokenizer import Tokenizer

UNLIMITED = 10**9  # tokenizers that know no limit of their own state numbers far past this


def longest_row(model: Any) -> int | None:
    """Tokens that the model's position table has rows for; None where it has no such table."""
    spec = getattr(model, "spec", None)
    if not isinstance(spec, ModelSpec):
        return None
    stack = spec.encoder or spec.decoder
    match stack.embedding.positions if stack else None:
        case LearnedPositions(size, offset):
            return size - offset
        case PaddingAwarePositions(size, padding_id):
            return size - padding_id - 1
        case SinusoidalPositions(size):
            return size
        case _:
            return None


def truncation_length(tokenizer: Tokenizer, model: Any) -> int | None:
    """Where a text is cut that is too long: the tokenizer's own limit, else the model's, else nowhere."""
    if tokenizer.model_max_length < UNLIMITED:
        return int(tokenizer.model_max_length)
    return longest_row(model)
