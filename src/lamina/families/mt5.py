"""mT5 (Xue et al., 2020): T5 v1.1 in a hundred languages, its head never tied."""

from __future__ import annotations

from dataclasses import replace

from . import t5
from .family import Config, renamed


def meant(c: Config) -> Config:
    """Version 5 of the reference never scales what the head reads, and says of every file that the head is tied."""
    version = str(c.get("transformers_version") or 4).partition(".")[0]
    newer = version.isdecimal() and int(version) >= 5
    return t5.meant({**c, "scale_decoder_outputs": False} if newer else c)


FAMILY = replace(
    renamed(
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
    ),
    meant=meant,
)
