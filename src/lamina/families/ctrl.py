"""CTRL (Keskar et al., 2019): pre-norm decoder, sinusoidal positions, scaled tokens, control codes in the text."""

from __future__ import annotations

from ..spec import BlockSpec, EmbeddingSpec, HeadSpec, ModelSpec, NormalInit, SinusoidalPositions, StackSpec
from . import gpt2
from .family import Config, Family, Task
from .names import under


def spec(c: Config) -> ModelSpec:
    """The body; its layers' epsilon is fixed, the last norm's comes from the config."""
    width = c["n_embd"]
    embedding = EmbeddingSpec(
        c["vocab_size"],
        width,
        SinusoidalPositions(c["n_positions"], single_precision=True),
        token_types="tokens",
        token_types_written=False,
        scale=width**0.5,
        scale_given=True,
        dropout=c["embd_pdrop"],
    )
    block = BlockSpec(
        width, c["n_head"], c["dff"], activation="relu", eps=1e-6, order="pre-norm", dropout=c["resid_pdrop"]
    )
    stack = StackSpec(embedding, block, c["n_layer"], final_norm=True, final_eps=c["layer_norm_epsilon"], causal=True)
    return ModelSpec(decoder=stack, init=NormalInit(c["initializer_range"]))


def lm(c: Config) -> HeadSpec:
    """The token table read backwards, with a bias of its own."""
    return HeadSpec(c["n_embd"], c["vocab_size"], tied=c["tie_word_embeddings"])


LAYERS = {
    "attn.qkv": "multi_head_attention.{Wq,Wk,Wv}",
    "attn.out": "multi_head_attention.dense",
    "attn_norm": "layernorm1",
    "ffn.up": "ffn.0",
    "ffn.down": "ffn.2",
    "ffn_norm": "layernorm2",
}
NAMES = {
    "decoder.embeddings.tokens": "w",
    **under("decoder.layers.*.", "h.*.", LAYERS),
    "decoder.norm": "layernorm",
}
TASKS = (
    Task("CTRLModel", "body"),
    Task("CTRLLMHeadModel", "causal-lm", lm, gpt2.LM),
    Task("CTRLForSequenceClassification", "sequence-classification", gpt2.sentence, {"head.project": "classifier"}),
)
FAMILY = Family(
    "ctrl",
    "transformer.",
    spec,
    lambda c: NAMES,
    TASKS,
    {
        **gpt2.SIZES,
        "vocab_size": 246534,
        "n_positions": 256,
        "n_embd": 1280,
        "dff": 8192,
        "n_layer": 48,
        "n_head": 16,
        "layer_norm_epsilon": 1e-6,
        "use_cache": True,
    },
    tokenizer="ctrl",
    aliases=gpt2.ALIASES,
)
