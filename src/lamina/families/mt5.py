"""mT5 (Xue et al., 2020): T5 v1.1 in a hundred languages, its head never tied."""

from __future__ import annotations

from . import t5
from .family import renamed

FAMILY = renamed(
    t5.FAMILY,
    "mt5",
    "T5",
    "MT5",
    vocab_size=250112,
    d_ff=1024,
    num_layers=8,
    num_heads=6,
    feed_forward_proj="gated-gelu",
    tie_word_embeddings=False,
    tokenizer_class="T5Tokenizer",
)
