"""Marian (Junczys-Dowmunt et al., 2018): BART with sinusoidal positions and no embedding norm."""

from __future__ import annotations

from ..spec import ModelSpec, Shift, SinusoidalPositions
from . import bart
from .family import Config, Family, Task


def spec(c: Config) -> ModelSpec:
    """Both sides; the padding token starts a translation."""
    shift = Shift(c["pad_token_id"], c["decoder_start_token_id"])
    return bart.spec(c, shift=shift, positions=SinusoidalPositions(c["max_position_embeddings"]), norm=False)


TASKS = (
    Task("MarianModel", "body"),
    Task("MarianMTModel", "seq2seq-lm", bart.lm, bart.LM),
    Task(
        "MarianForCausalLM",
        "aligned-lm",
        bart.causal_lm,
        {"head.project": "lm_head"},
        body="decoder",
        config={"is_decoder": True, "is_encoder_decoder": False},
    ),
)
FAMILY = Family(
    "marian",
    "model.",
    spec,
    bart.names,
    TASKS,
    {
        **bart.DEFAULTS,
        "vocab_size": 58101,
        "decoder_vocab_size": None,
        "share_encoder_decoder_embeddings": True,
        "decoder_start_token_id": 58100,
        "pad_token_id": 58100,
        "eos_token_id": 0,
        "bos_token_id": None,
        "forced_eos_token_id": 0,
        "num_labels": 2,
    },
    tokenizer="marian",
    aliases=bart.ALIASES,
    derived=lambda c: {"decoder_vocab_size": c["vocab_size"]},
    ignored=bart.IGNORED,
    paired=True,
)
