"""BLOOM (Scao et al., 2022): pre-norm decoder without positions; scores fall with distance, in each head otherwise."""

from __future__ import annotations

from ..spec import BlockSpec, EmbeddingSpec, HeadSpec, ModelSpec, NormalInit, Slopes, StackSpec
from .family import Config, Family, Task
from .names import Table, under


def spec(c: Config) -> ModelSpec:
    width, eps = c["hidden_size"], c["layer_norm_epsilon"]
    block = BlockSpec(
        width,
        c["n_head"],
        4 * width,
        activation="gelu_new",
        eps=eps,
        order="pre-norm",
        dropout=c["hidden_dropout"],
        attention_dropout=c["attention_dropout"],
    )
    embedding = EmbeddingSpec(c["vocab_size"], width, norm="layer", eps=eps)
    stack = StackSpec(embedding, block, c["n_layer"], final_norm=True, causal=True, relative=Slopes())
    return ModelSpec(decoder=stack, init=NormalInit(c["initializer_range"]))


def token(c: Config) -> HeadSpec:
    """Dropout and a linear layer; the rate has two places it may stand in."""
    rates = (c.get("classifier_dropout"), c["hidden_dropout"])
    return HeadSpec(c["hidden_size"], c["num_labels"], dropout=next(rate for rate in rates if rate is not None))


LAYER = {
    "attn.out": "self_attention.dense",
    "attn_norm": "input_layernorm",
    "ffn.up": "mlp.dense_h_to_4h",
    "ffn.down": "mlp.dense_4h_to_h",
    "ffn_norm": "post_attention_layernorm",
}


def names(c: Config) -> Table:
    """Queries, keys and values are stored head by head."""
    qkv = f"self_attention.query_key_value^heads:{c['n_head']}"
    return {
        "decoder.embeddings.tokens": "word_embeddings",
        "decoder.embeddings.norm": "word_embeddings_layernorm",
        **under("decoder.layers.*.", "h.*.", {"attn.qkv": qkv, **LAYER}),
        "decoder.norm": "ln_f",
    }


TASKS = (
    Task("BloomModel", "body"),
    Task(
        "BloomForCausalLM",
        "causal-lm",
        lambda c: HeadSpec(c["hidden_size"], c["vocab_size"], tied=c["tie_word_embeddings"], bias=False),
        {"head.project": "lm_head"},
    ),
    Task(
        "BloomForSequenceClassification",
        "sequence-classification",
        lambda c: HeadSpec(c["hidden_size"], c["num_labels"], select="last", bias=False),
        {"head.project": "score"},
    ),
    Task("BloomForTokenClassification", "token-classification", token, {"head.project": "classifier"}),
    Task(
        "BloomForQuestionAnswering",
        "question-answering",
        lambda c: HeadSpec(c["hidden_size"], 2),
        {"head.project": "qa_outputs"},
    ),
)
FAMILY = Family(
    "bloom",
    "transformer.",
    spec,
    names,
    TASKS,
    {
        "vocab_size": 250880,
        "hidden_size": 64,
        "n_layer": 2,
        "n_head": 8,
        "layer_norm_epsilon": 1e-5,
        "initializer_range": 0.02,
        "use_cache": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "apply_residual_connection_post_layernorm": False,
        "hidden_dropout": 0.0,
        "attention_dropout": 0.0,
        "pretraining_tp": 1,
        "slow_but_exact": False,
        "tie_word_embeddings": True,
    },
    tokenizer="bloom",
    aliases={"n_embed": "hidden_size", "num_hidden_layers": "n_layer", "num_attention_heads": "n_head"},
    fixed={"apply_residual_connection_post_layernorm": False},
    optional=("classifier_dropout",),
)
