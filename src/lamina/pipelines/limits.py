"""How long a text a model can read, asked before it is computed."""

from __future__ import annotations

from typing import Any

from ..spec import ModelSpec
from ..tokenizers.tokenizer import Tokenizer

UNLIMITED = 10**9  # tokenizers that know no limit of their own state numbers far past this


def longest_row(model: Any) -> int | None:
    """Tokens of a text that the model has positions for; None where these have no end."""
    spec = getattr(model, "spec", None)
    return spec.reading_room if isinstance(spec, ModelSpec) else None


def truncation_length(tokenizer: Tokenizer, model: Any) -> int | None:
    """Where a text is cut that is too long: the tokenizer's own limit, else the model's, else nowhere."""
    if tokenizer.model_max_length < UNLIMITED:
        return int(tokenizer.model_max_length)
    return longest_row(model)
