"""Marian (Junczys-Dowmunt et al., 2018): BART with sinusoidal positions and no embedding norm."""

from __future__ import annotations

from dataclasses import replace

from ..errors import ConfigError
from ..spec import HeadSpec, ModelSpec, Shift, SinusoidalPositions
from . import bart
from .family import Config, Family, Task, Weights, stored


def spec(c: Config) -> ModelSpec:
    """Both sides; the padding token starts a translation."""
    c = {**c, "_decoder_rows": rows(c)}
    shift = Shift(c["pad_token_id"], c["decoder_start_token_id"])
    return bart.spec(c, shift=shift, positions=SinusoidalPositions(c["max_position_embeddings"]), norm=None)


def outputs(c: Config) -> int:
    """Scores of a translation: where the sides have vocabularies of their own, the target's."""
    return int(c["vocab_size"] if c["share_encoder_decoder_embeddings"] else c["decoder_vocab_size"])


def alone(c: Config) -> bool:
    """Whether this is the decoder by itself, whose table the reference sizes by another key."""
    return bool(c["is_decoder"]) and not c["is_encoder_decoder"]


def rows(c: Config) -> int:
    """Of the target's token table: what the file holds. The reference makes it as wide as the source's, and a head of
    its own beside it; one that was resized, or converted, is as wide as the head."""
    if c["share_encoder_decoder_embeddings"] and not alone(c):
        return int(c["vocab_size"])
    made = c["decoder_vocab_size"] if c["tie_word_embeddings"] or alone(c) else c["vocab_size"]
    return int(c.get("_decoder_rows") or made)


def fitted(c: Config, weights: Weights) -> dict[str, int | None]:
    """How many rows the target's table has in the file."""
    name = stored(weights, "decoder.embed_tokens.weight", "model.")
    return {"_decoder_rows": None if name is None else len(weights[name])}


def lm(c: Config) -> HeadSpec:
    """BART's, over the target's vocabulary."""
    if c["tie_word_embeddings"] and rows(c) != outputs(c):
        raise ConfigError(
            f"decoder_vocab_size is {outputs(c)}, the target's token table has {rows(c)} rows, and the head is tied to "
            "it: one of them is wrong, or tie_word_embeddings is to be false"
        )
    return replace(bart.lm(c), outputs=outputs(c))


def causal_lm(c: Config) -> HeadSpec:
    """The decoder alone: tied to its table, or as wide as the source's vocabulary."""
    return replace(bart.causal_lm(c), outputs=rows(c) if c["tie_word_embeddings"] else c["vocab_size"])


TASKS = (
    Task("MarianModel", "body"),
    Task("MarianMTModel", "seq2seq-lm", lm, bart.LM),
    Task(
        "MarianForCausalLM",
        "aligned-lm",
        causal_lm,
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
    meant=bart.meant,
    fixed={**bart.FIXED, "normalize_embedding": False, "static_position_embeddings": True},
    fitted=fitted,
    derived=lambda c: {"decoder_vocab_size": c["vocab_size"]},
    ignored=bart.IGNORED,
    paired=True,
)
