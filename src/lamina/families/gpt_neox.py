"""GPT-NeoX (Black et al., 2022), Pythia, Polyglot-Ko: part of each head turned by position, both branches at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ConfigError
from ..files.shown import shown
from ..spec import BlockSpec, EmbeddingSpec, HeadSpec, ModelSpec, NormalInit, Rotary, StackSpec
from .family import Config, Family, Task
from .names import Table, under


def rotary(c: Config) -> Rotary | None:
    """What part of each head is turned, as files of versions 4 and 5 say it; angles that are scaled are refused."""
    stated: Mapping[str, Any] = {}
    for key in ("rope_scaling", "rope_parameters"):
        stated = c.get(key) or {}
        if not isinstance(stated, Mapping) or stated.get("rope_type", stated.get("type", "default")) != "default":
            raise ConfigError(f'{key} is {shown(stated)}: rotary positions are known only with rope_type "default"')
    base, part = stated.get("rope_theta", c["rotary_emb_base"]), stated.get("partial_rotary_factor", c["rotary_pct"])
    plain = type(base) in (int, float) and type(part) in (int, float)
    if not plain or not (0 < base < 1e30 and 0 <= part <= 1):
        raise ConfigError(
            f"rope_parameters is {shown(stated)}: rope_theta is a number above 0, partial_rotary_factor a share"
        )
    size = int(c["hidden_size"] // c["num_attention_heads"] * part)
    if size % 2:
        raise ConfigError(f"rotary_pct {part} turns {size} numbers of each head, and they are turned in pairs")
    return Rotary(size, (float(base),)) if size else None


def spec(c: Config) -> ModelSpec:
    embedding = EmbeddingSpec(c["vocab_size"], c["hidden_size"], dropout=c["hidden_dropout"])
    block = BlockSpec(
        c["hidden_size"],
        c["num_attention_heads"],
        c["intermediate_size"],
        activation=c["hidden_act"],
        eps=c["layer_norm_eps"],
        order="parallel" if c["use_parallel_residual"] else "pre-norm",
        biased=(*(("qkv", "out") if c["attention_bias"] else ()), "up", "down"),
        dropout=c["hidden_dropout"],
        attention_dropout=c["attention_dropout"],
    )
    stack = StackSpec(embedding, block, c["num_hidden_layers"], final_norm=True, causal=True, rotary=rotary(c))
    return ModelSpec(decoder=stack, init=NormalInit(c["initializer_range"]))


LAYER = {
    "attn.out": "attention.dense",
    "attn_norm": "input_layernorm",
    "ffn.up": "mlp.dense_h_to_4h",
    "ffn.down": "mlp.dense_4h_to_h",
    "ffn_norm": "post_attention_layernorm",
}


def names(c: Config) -> Table:
    """Queries, keys and values are stored head by head."""
    qkv = f"attention.query_key_value^heads:{c['num_attention_heads']}"
    return {
        "decoder.embeddings.tokens": "embed_in",
        **under("decoder.layers.*.", "layers.*.", {"attn.qkv": qkv, **LAYER}),
        "decoder.norm": "final_layer_norm",
    }


TASKS = (
    Task("GPTNeoXModel", "body"),
    Task(
        "GPTNeoXForCausalLM",
        "causal-lm",
        lambda c: HeadSpec(c["hidden_size"], c["vocab_size"], tied=c["tie_word_embeddings"], bias=False),
        {"head.project": "embed_out"},
    ),
    Task(
        "GPTNeoXForSequenceClassification",
        "sequence-classification",
        lambda c: HeadSpec(c["hidden_size"], c["num_labels"], select="last", bias=False),
        {"head.project": "score"},
    ),
    Task(
        "GPTNeoXForTokenClassification",
        "token-classification",
        lambda c: HeadSpec(c["hidden_size"], c["num_labels"], dropout=c["classifier_dropout"]),
        {"head.project": "classifier"},
    ),
    Task(
        "GPTNeoXForQuestionAnswering",
        "question-answering",
        lambda c: HeadSpec(c["hidden_size"], 2),
        {"head.project": "qa_outputs"},
    ),
)
FAMILY = Family(
    "gpt_neox",
    "gpt_neox.",
    spec,
    names,
    TASKS,
    {
        "vocab_size": 50432,
        "hidden_size": 6144,
        "num_hidden_layers": 44,
        "num_attention_heads": 64,
        "intermediate_size": 24576,
        "hidden_act": "gelu",
        "rotary_pct": 0.25,
        "rotary_emb_base": 10000.0,
        "rope_scaling": None,
        "attention_dropout": 0.0,
        "hidden_dropout": 0.0,
        "classifier_dropout": 0.1,
        "max_position_embeddings": 2048,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-5,
        "use_cache": True,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "tie_word_embeddings": False,
        "use_parallel_residual": True,
        "attention_bias": True,
    },
    tokenizer="gpt_neox",
    derived=lambda c: {"partial_rotary_factor": c["rotary_pct"], "rope_theta": c["rotary_emb_base"]},
    optional=("rope_parameters",),
    ignored=("attention.bias", "attention.masked_bias", "attention.rotary_emb.inv_freq"),
)
