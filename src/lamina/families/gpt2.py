"""GPT-2 (Radford et al., 2019): pre-norm decoder, learned positions, tied head."""

from __future__ import annotations

from ..spec import BlockSpec, EmbeddingSpec, HeadSpec, LearnedPositions, ModelSpec, NormalInit, StackSpec
from .family import Config, Family, Task, expect
from .names import under


def spec(c: Config) -> ModelSpec:
    """The body; token types, where given, are read from the token table."""
    embedding = EmbeddingSpec(
        c["vocab_size"],
        c["n_embd"],
        LearnedPositions(c["n_positions"]),
        token_types="tokens",
        dropout=c["embd_pdrop"],
    )
    block = BlockSpec(
        c["n_embd"],
        c["n_head"],
        c["n_inner"] or 4 * c["n_embd"],
        activation=c["activation_function"],
        eps=c["layer_norm_epsilon"],
        order="pre-norm",
        scale=None if c["scale_attn_weights"] else 1.0,
        dropout=c["resid_pdrop"],
        attention_dropout=c["attn_pdrop"],
    )
    scales = None
    if c["scale_attn_by_inverse_layer_idx"]:
        whole = (c["n_embd"] // c["n_head"]) ** -0.5 if block.scale is None else block.scale
        scales = tuple(whole / (layer + 1) for layer in range(c["n_layer"]))
    cross = c["add_cross_attention"]
    stack = StackSpec(embedding, block, c["n_layer"], final_norm=True, causal=True, cross=cross, scales=scales)
    return ModelSpec(decoder=stack, init=NormalInit(c["initializer_range"], residual_layers=c["n_layer"]))


def lm(c: Config) -> HeadSpec:
    """The token table read backwards."""
    return HeadSpec(c["n_embd"], c["vocab_size"], tied=c["tie_word_embeddings"], bias=False)


def sentence(c: Config) -> HeadSpec:
    """A linear layer over the last real token."""
    return HeadSpec(c["n_embd"], c["num_labels"], select="last", bias=False)


def token(c: Config) -> HeadSpec:
    """Dropout and a linear layer; the rate has three places it may stand in."""
    rates = (c.get("classifier_dropout"), c.get("hidden_dropout"), 0.1)
    return HeadSpec(c["n_embd"], c["num_labels"], dropout=next(rate for rate in rates if rate is not None))


def choice(c: Config) -> HeadSpec:
    """A linear layer over the token that stands for a choice."""
    known = {"summary_type": "cls_index", "summary_use_proj": True, "summary_activation": None}
    expect(c, "multiple choice", **known, summary_proj_to_labels=True, summary_last_dropout=0.0)
    return HeadSpec(c["n_embd"], c["num_labels"], select="indexed", dropout_before=c["summary_first_dropout"])


LAYERS = {
    "attn.qkv": "attn.c_attn^T",
    "attn.out": "attn.c_proj^T",
    "attn_norm": "ln_1",
    "cross.q": "crossattention.q_attn^T",
    "cross.kv": "crossattention.c_attn^T",
    "cross.out": "crossattention.c_proj^T",
    "cross_norm": "ln_cross_attn",
    "ffn.up": "mlp.c_fc^T",
    "ffn.down": "mlp.c_proj^T",
    "ffn_norm": "ln_2",
}
NAMES = {
    "decoder.embeddings.tokens": "wte",
    "decoder.embeddings.positions": "wpe",
    **under("decoder.layers.*.", "h.*.", LAYERS),
    "decoder.norm": "ln_f",
}
LM = {"head.project": "lm_head"}
DOUBLE = {**LM, "second_head.project": "multiple_choice_head.summary"}
TASKS = (
    Task("GPT2Model", "body"),
    Task("GPT2LMHeadModel", "causal-lm", lm, LM),
    Task("GPT2DoubleHeadsModel", "double-heads", lm, DOUBLE, choice, config={"num_labels": 1}),
    Task("GPT2ForSequenceClassification", "sequence-classification", sentence, {"head.project": "score"}),
    Task("GPT2ForTokenClassification", "token-classification", token, {"head.project": "classifier"}),
    Task(
        "GPT2ForQuestionAnswering",
        "question-answering",
        lambda c: HeadSpec(c["n_embd"], 2),
        {"head.project": "qa_outputs"},
    ),
)
SIZES = {
    "n_positions": 1024,
    "n_embd": 768,
    "n_layer": 12,
    "n_head": 12,
    "resid_pdrop": 0.1,
    "embd_pdrop": 0.1,
    "layer_norm_epsilon": 1e-5,
    "initializer_range": 0.02,
    "summary_type": "cls_index",
    "summary_use_proj": True,
    "summary_activation": None,
    "summary_proj_to_labels": True,
    "summary_first_dropout": 0.1,
    "tie_word_embeddings": True,
    "pad_token_id": None,
}
ALIASES = {
    "hidden_size": "n_embd",
    "max_position_embeddings": "n_positions",
    "num_attention_heads": "n_head",
    "num_hidden_layers": "n_layer",
}
FAMILY = Family(
    "gpt2",
    "transformer.",
    spec,
    lambda c: NAMES,
    TASKS,
    {
        **SIZES,
        "vocab_size": 50257,
        "n_inner": None,
        "activation_function": "gelu_new",
        "attn_pdrop": 0.1,
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "reorder_and_upcast_attn": False,
        "add_cross_attention": False,
        "use_cache": True,
        "bos_token_id": 50256,
        "eos_token_id": 50256,
    },
    tokenizer="gpt2",
    aliases=ALIASES,
    optional=("classifier_dropout", "hidden_dropout", "summary_last_dropout"),
    ignored=("h.*.attn.bias", "h.*.attn.masked_bias", "h.*.crossattention.bias", "h.*.crossattention.masked_bias"),
)
