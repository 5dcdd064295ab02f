"""Blenderbot (Roller et al., 2020): BART with the norms before each branch, and positions from row 0 on."""

from __future__ import annotations

from ..spec import LearnedPositions, ModelSpec, Shift
from . import bart
from .family import Config, Family


def spec(c: Config) -> ModelSpec:
    """Both sides; a token of its own starts an answer."""
    positions = LearnedPositions(c["max_position_embeddings"])
    shift = Shift(c["pad_token_id"], c["decoder_start_token_id"])
    return bart.spec(c, order="pre-norm", shift=shift, positions=positions, norm=None)


FAMILY = Family(
    "blenderbot",
    "model.",
    spec,
    bart.names,
    bart.tasks("Blenderbot")[:3],
    {
        **bart.DEFAULTS,
        "vocab_size": 8008,
        "max_position_embeddings": 128,
        "encoder_layers": 2,
        "encoder_ffn_dim": 10240,
        "encoder_attention_heads": 32,
        "decoder_layers": 24,
        "decoder_ffn_dim": 10240,
        "decoder_attention_heads": 32,
        "d_model": 2560,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "decoder_start_token_id": 1,
        "encoder_no_repeat_ngram_size": 3,
        "num_labels": 2,
    },
    tokenizer="blenderbot",
    aliases=bart.ALIASES,
    meant=bart.meant,
    fixed=bart.PRE_NORM,
    fitted=bart.fitted,
    ignored=bart.IGNORED[:2],
    paired=True,
)
