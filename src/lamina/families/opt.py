"""OPT (Zhang et al., 2022): pre-norm decoder, learned positions counted over real tokens, from row 2 on; ReLU.

The 350m one norms after each branch, has no norm at the end, and a narrow token table with a projection on either side.
"""

from __future__ import annotations

from typing import Any

from ..spec import BlockSpec, EmbeddingSpec, HeadSpec, MaskAwarePositions, ModelSpec, NormalInit, StackSpec
from .family import Config, Family, Task
from .names import under


def spec(c: Config) -> ModelSpec:
    width, narrow = c["hidden_size"], c["word_embed_proj_dim"]
    projects = narrow != width
    embedding = EmbeddingSpec(
        c["vocab_size"],
        width,
        MaskAwarePositions(c["max_position_embeddings"] + 2, offset=2),
        projected_from=narrow if projects else None,
        projected="tokens",
        padding_id=c["pad_token_id"],
    )
    block = BlockSpec(
        width,
        c["num_attention_heads"],
        c["ffn_dim"],
        activation=c["activation_function"],
        order="pre-norm" if c["do_layer_norm_before"] else "post-norm",
        biased=("qkv", "out", "up", "down") if c["enable_bias"] else (),
        dropout=c["dropout"],
        attention_dropout=c["attention_dropout"],
    )
    stack = StackSpec(
        embedding,
        block,
        c["num_hidden_layers"],
        final_norm=c["do_layer_norm_before"] and not c["_remove_final_layer_norm"],
        projected_to=narrow if projects else None,
        causal=True,
        layerdrop=c["layerdrop"],
    )
    return ModelSpec(decoder=stack, init=NormalInit(c["init_std"]))


def head(c: Config, outputs: int, **more: Any) -> HeadSpec:
    """A linear layer over the states, which are as narrow as the token table."""
    return HeadSpec(c["word_embed_proj_dim"], outputs, **more)


LAYER = {
    "attn.qkv": "self_attn.{q_proj,k_proj,v_proj}",
    "attn.out": "self_attn.out_proj",
    "attn_norm": "self_attn_layer_norm",
    "ffn.up": "fc1",
    "ffn.down": "fc2",
    "ffn_norm": "final_layer_norm",
}
NAMES = {
    "decoder.embeddings.tokens": "decoder.embed_tokens",
    "decoder.embeddings.positions": "decoder.embed_positions",
    "decoder.embeddings.projection": "decoder.project_in",
    **under("decoder.layers.*.", "decoder.layers.*.", LAYER),
    "decoder.norm": "decoder.final_layer_norm",
    "decoder.projection": "decoder.project_out",
}
TASKS = (
    Task("OPTModel", "body"),
    Task(
        "OPTForCausalLM",
        "causal-lm",
        lambda c: head(c, c["vocab_size"], tied=c["tie_word_embeddings"], bias=False),
        {"head.project": "lm_head"},
    ),
    Task(
        "OPTForSequenceClassification",
        "sequence-classification",
        lambda c: head(c, c["num_labels"], select="last", bias=False),
        {"head.project": "score"},
    ),
    Task("OPTForQuestionAnswering", "question-answering", lambda c: head(c, 2), {"head.project": "qa_outputs"}),
)
FAMILY = Family(
    "opt",
    "model.",
    spec,
    lambda c: NAMES,
    TASKS,
    {
        "vocab_size": 50272,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "ffn_dim": 3072,
        "max_position_embeddings": 2048,
        "word_embed_proj_dim": None,
        "do_layer_norm_before": True,
        "_remove_final_layer_norm": False,
        "layer_norm_elementwise_affine": True,
        "enable_bias": True,
        "activation_function": "relu",
        "dropout": 0.1,
        "attention_dropout": 0.0,
        "layerdrop": 0.0,
        "init_std": 0.02,
        "use_cache": True,
        "pad_token_id": 1,
        "bos_token_id": 2,
        "eos_token_id": 2,
        "tie_word_embeddings": True,
    },
    tokenizer="gpt2",
    derived=lambda c: {"word_embed_proj_dim": c["hidden_size"]},
    fixed={"layer_norm_elementwise_affine": True},
    ignored=("decoder.version",),
)
