"""T5 (Raffel et al., 2019): pre-RMSNorm encoder-decoder, bucketed relative positions, no biases, unscaled scores."""

from __future__ import annotations

from typing import Any

from ..spec import BlockSpec, EmbeddingSpec, FanInInit, HeadSpec, ModelSpec, RelativeBuckets, Shift, StackSpec
from .family import Config, Family, Task
from .names import under


def activation(c: Config) -> tuple[str, bool]:
    """The function of the feed-forward and whether it is gated; a gated gelu is the tanh form (v1.1)."""
    name = str(c["feed_forward_proj"])
    gated = name.startswith("gated-")
    plain = name.removeprefix("gated-")
    bend, own = c.get("dense_act_fn"), c.get("is_gated_act")  # where a file has them they have the last word
    return str(bend or ("gelu_new" if gated and plain == "gelu" else plain)), gated if own is None else bool(own)


def spec(c: Config, *, per_layer: bool = False) -> ModelSpec:
    """Both sides; UMT5 has a table of distances `per_layer`."""
    bend, gated = activation(c)
    rate = c["dropout_rate"]
    block = BlockSpec(
        c["d_model"],
        c["num_heads"],
        c["d_ff"],
        head_dim=c["d_kv"],
        activation=bend,
        gated=gated,
        norm="rms",
        eps=c["layer_norm_epsilon"],
        order="pre-norm",
        biased=(),
        scale=1.0,
        dropout=rate,
        attention_dropout=rate,
        activation_dropout=rate,
    )
    shared: dict[str, Any] = {
        "embedding": EmbeddingSpec(c["vocab_size"], c["d_model"], dropout=rate),
        "block": block,
        "final_norm": True,
        "final_dropout": rate,
        "relative": RelativeBuckets(
            c["relative_attention_num_buckets"], c["relative_attention_max_distance"], per_layer
        ),
    }
    return ModelSpec(
        encoder=StackSpec(num_layers=c["num_layers"], **shared),
        decoder=StackSpec(num_layers=c["num_decoder_layers"], causal=True, cross=True, **shared),
        init=FanInInit(c["initializer_factor"]),
        shift=Shift(c["pad_token_id"], c["decoder_start_token_id"]),
    )


def tied(c: Config) -> bool:
    """Whether the head reads the token table: newer files tie always and tell by `scale_decoder_outputs`."""
    scaled = c.get("scale_decoder_outputs")
    return bool(c["tie_word_embeddings"] if scaled is None else scaled)


def meant(c: Config) -> Config:
    """Newer files tell an untied head by `scale_decoder_outputs` alone."""
    return {**c, "tie_word_embeddings": False} if c.get("scale_decoder_outputs") is False else c


def lm(c: Config) -> HeadSpec:
    """A tied head reads scaled states (v1.0), one of its own reads them plain (v1.1, Flan)."""
    scale = c["d_model"] ** -0.5 if tied(c) else 1.0
    return HeadSpec(c["d_model"], c["vocab_size"], tied=tied(c), bias=False, scale=scale)


def sentence(c: Config) -> HeadSpec:
    """A dense layer and tanh over the decoder's state at the last end of sentence."""
    rate = c["classifier_dropout"]
    return HeadSpec(
        c["d_model"], c["num_labels"], select="eos", dense="tanh", dropout_before=rate, dropout=rate, fan_in=True
    )


SIDE = {
    "relative.tables.0": "block.0.layer.0.SelfAttention.relative_attention_bias",
    "layers.*.attn.qkv": "block.*.layer.0.SelfAttention.{q,k,v}",
    "layers.*.attn.out": "block.*.layer.0.SelfAttention.o",
    "layers.*.attn_norm": "block.*.layer.0.layer_norm",
    "norm": "final_layer_norm",
}
CROSS = {
    "layers.*.cross.q": "block.*.layer.1.EncDecAttention.q",
    "layers.*.cross.kv": "block.*.layer.1.EncDecAttention.{k,v}",
    "layers.*.cross.out": "block.*.layer.1.EncDecAttention.o",
    "layers.*.cross_norm": "block.*.layer.1.layer_norm",
}


def feedforward(index: int, up: str) -> dict[str, str]:
    """The names of a feed-forward, which stands at another place where there is cross-attention."""
    rows = {"ffn.up": "DenseReluDense." + up, "ffn.down": "DenseReluDense.wo", "ffn_norm": "layer_norm"}
    return under("layers.*.", f"block.*.layer.{index}.", rows)


def names(c: Config) -> dict[str, str]:
    """One shared token table and both sides."""
    up = "{wi_0,wi_1}" if activation(c)[1] else "wi"
    return {
        "encoder.embeddings.tokens": "shared | encoder.embed_tokens | decoder.embed_tokens",
        **under("encoder.", "encoder.", SIDE | feedforward(1, up)),
        **under("decoder.", "decoder.", SIDE | CROSS | feedforward(2, up)),
    }


def lm_names(c: Config) -> dict[str, str]:
    """Version 5 of the reference ties the head of an unscaled model it made itself, and writes the table alone."""
    return {"head.project": "lm_head | shared" if c.get("scale_decoder_outputs") is False else "lm_head"}


TASKS = (
    Task("T5Model", "body"),
    Task("T5ForConditionalGeneration", "seq2seq-lm", lm, lm_names),
    Task("T5EncoderModel", "encoder-body", body="encoder", config={"is_encoder_decoder": False}),
    Task(
        "T5ForSequenceClassification",
        "sequence-classification",
        sentence,
        {"head.dense": "classification_head.dense", "head.project": "classification_head.out_proj"},
        prefix="transformer.",
    ),
    Task(
        "T5ForTokenClassification",
        "token-classification",
        lambda c: HeadSpec(c["d_model"], c["num_labels"], dropout=c["classifier_dropout"]),
        {"head.project": "classifier"},
        body="encoder",
        prefix="transformer.",
    ),
    Task(
        "T5ForQuestionAnswering",
        "question-answering",
        lambda c: HeadSpec(c["d_model"], c["num_labels"], fan_in=True),
        {"head.project": "qa_outputs"},
    ),
)
FAMILY = Family(
    "t5",
    "",
    spec,
    names,
    TASKS,
    {
        "vocab_size": 32128,
        "d_model": 512,
        "d_kv": 64,
        "d_ff": 2048,
        "num_layers": 6,
        "num_decoder_layers": None,
        "num_heads": 8,
        "relative_attention_num_buckets": 32,
        "relative_attention_max_distance": 128,
        "dropout_rate": 0.1,
        "layer_norm_epsilon": 1e-6,
        "initializer_factor": 1.0,
        "feed_forward_proj": "relu",
        "is_encoder_decoder": True,
        "use_cache": True,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
        "classifier_dropout": 0.0,
        "tie_word_embeddings": True,
    },
    tokenizer="t5",
    tokenizers={"ByT5Tokenizer": "byt5"},
    aliases={"hidden_size": "d_model", "num_attention_heads": "num_heads", "num_hidden_layers": "num_layers"},
    meant=meant,
    derived=lambda c: {
        "num_decoder_layers": c["num_layers"],
        "dense_act_fn": activation(c)[0],
        "is_gated_act": activation(c)[1],
    },
    fixed={"tie_encoder_decoder": False},
    optional=("scale_decoder_outputs", "dense_act_fn", "is_gated_act"),
    ignored=("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",),
    paired=True,
)
