"""BART (Lewis et al., 2019): post-norm encoder-decoder, learned positions from row 2 on."""

from __future__ import annotations

from typing import Any

from ..spec import BlockSpec, EmbeddingSpec, HeadSpec, LearnedPositions, ModelSpec, NormalInit, Shift, StackSpec
from .family import Config, Family, Task, Weights, stored
from .names import under


def stack(c: Config, side: str, embedding: EmbeddingSpec, order: str, **more: Any) -> StackSpec:
    block = BlockSpec(
        c["d_model"],
        c[f"{side}_attention_heads"],
        c[f"{side}_ffn_dim"],
        activation=c["activation_function"],
        order=order,
        dropout=c["dropout"],
        attention_dropout=c["attention_dropout"],
        activation_dropout=c["activation_dropout"],
    )
    drop, final = c[f"{side}_layerdrop"], order == "pre-norm"
    return StackSpec(embedding, block, c[f"{side}_layers"], final_norm=final, layerdrop=drop, **more)


def meant(c: Config) -> Config:
    """Distilled files keep their teacher's number of layers under `num_hidden_layers`."""
    return {key: value for key, value in c.items() if key != "num_hidden_layers" or "encoder_layers" not in c}


def spec(c: Config, *, order: str = "post-norm", shift: Shift | None = None, **changes: Any) -> ModelSpec:
    """Both sides; mBART and Marian change the norms, the positions and the shift."""
    fields = {
        "positions": LearnedPositions(c["max_position_embeddings"] + 2, offset=2),
        "norm": "layer",
        "eps": 1e-5,
        "scale": c["d_model"] ** 0.5 if c["scale_embedding"] else 1.0,
        "dropout": c["dropout"],
        "padding_id": c["pad_token_id"],
    }
    embedding = EmbeddingSpec(c["vocab_size"], c["d_model"], **fields | changes)
    target = EmbeddingSpec(c.get("_decoder_rows") or c["vocab_size"], c["d_model"], **fields | changes)
    return ModelSpec(
        encoder=stack(c, "encoder", embedding, order),
        decoder=stack(c, "decoder", target, order, causal=True, cross=True),
        init=NormalInit(c["init_std"]),
        shared_tokens=not apart(c),
        shift=shift or Shift(c["pad_token_id"], c["decoder_start_token_id"], from_source=True),
    )


def apart(c: Config) -> bool:
    """Whether each side has a token table of its own: Marian's files say so, those of the others hold two."""
    return not c.get("share_encoder_decoder_embeddings", True) or bool(c.get("_apart"))


def fitted(c: Config, weights: Weights) -> dict[str, bool]:
    """Where the head is not tied, the two sides need not share a table: what the file holds decides."""
    sides = [stored(weights, f"{side}.embed_tokens.weight", "model.") for side in ("encoder", "decoder")]
    first, second = (weights[name] if name is not None else None for name in sides)
    own = first is not None and second is not None and not c["tie_word_embeddings"]
    return {"_apart": bool(own and first is not None and not first.equal(second))}


def lm(c: Config) -> HeadSpec:
    """The token table read backwards, and a bias that is kept but never trained."""
    return HeadSpec(c["d_model"], c["vocab_size"], tied=c["tie_word_embeddings"], frozen_bias=True)


def causal_lm(c: Config) -> HeadSpec:
    """The decoder alone has no bias."""
    return HeadSpec(c["d_model"], c["vocab_size"], tied=c["tie_word_embeddings"], bias=False)


def sentence(c: Config) -> HeadSpec:
    """A dense layer and tanh over the decoder's state at the last end of sentence."""
    rate = c["classifier_dropout"]
    return HeadSpec(c["d_model"], c["num_labels"], select="eos", dense="tanh", dropout_before=rate, dropout=rate)


def spans(c: Config) -> HeadSpec:
    """Two scores per token."""
    return HeadSpec(c["d_model"], c["num_labels"])


LAYER = {
    "attn.qkv": "self_attn.{q_proj,k_proj,v_proj}",
    "attn.out": "self_attn.out_proj",
    "attn_norm": "self_attn_layer_norm",
    "cross.q": "encoder_attn.q_proj",
    "cross.kv": "encoder_attn.{k_proj,v_proj}",
    "cross.out": "encoder_attn.out_proj",
    "cross_norm": "encoder_attn_layer_norm",
    "ffn.up": "fc1",
    "ffn.down": "fc2",
    "ffn_norm": "final_layer_norm",
}
SIDE = {
    "embeddings.positions": "embed_positions",
    "embeddings.waves": "embed_positions.weight",
    "embeddings.norm": "layernorm_embedding",
    **under("layers.*.", "layers.*.", LAYER),
    "norm": "layer_norm",
}


def names(c: Config) -> dict[str, str]:
    """One shared token table, or one for each side."""
    tokens = {"encoder.embeddings.tokens": "shared | encoder.embed_tokens | decoder.embed_tokens"}
    if apart(c):
        tokens = {f"{side}.embeddings.tokens": f"{side}.embed_tokens" for side in ("encoder", "decoder")}
    alone = {"decoder.embeddings.tokens": "decoder.embed_tokens | shared"}
    return {**alone, **tokens, **under("encoder.", "encoder.", SIDE), **under("decoder.", "decoder.", SIDE)}


LM = {"head.project.bias": "final_logits_bias^row", "head.project": "lm_head"}
SENTENCE = {"head.dense": "classification_head.dense", "head.project": "classification_head.out_proj"}


def tasks(prefix: str) -> tuple[Task, ...]:
    """The heads that BART and mBART share."""
    return (
        Task(f"{prefix}Model", "body"),
        Task(f"{prefix}ForConditionalGeneration", "seq2seq-lm", lm, LM),
        Task(
            f"{prefix}ForCausalLM",
            "aligned-lm",
            causal_lm,
            {"head.project": "lm_head"},
            body="decoder",
            config={"is_decoder": True, "is_encoder_decoder": False},
        ),
        Task(f"{prefix}ForSequenceClassification", "sequence-classification", sentence, SENTENCE),
        Task(
            f"{prefix}ForQuestionAnswering",
            "question-answering",
            spans,
            {"head.project": "qa_outputs"},
            config={"num_labels": 2},
        ),
    )


DEFAULTS = {
    "vocab_size": 50265,
    "max_position_embeddings": 1024,
    "encoder_layers": 12,
    "encoder_ffn_dim": 4096,
    "encoder_attention_heads": 16,
    "decoder_layers": 12,
    "decoder_ffn_dim": 4096,
    "decoder_attention_heads": 16,
    "encoder_layerdrop": 0.0,
    "decoder_layerdrop": 0.0,
    "activation_function": "gelu",
    "d_model": 1024,
    "dropout": 0.1,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "init_std": 0.02,
    "classifier_dropout": 0.0,
    "scale_embedding": False,
    "use_cache": True,
    "num_labels": 3,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "is_encoder_decoder": True,
    "decoder_start_token_id": 2,
    "forced_eos_token_id": 2,
    "tie_word_embeddings": True,
}
ALIASES = {
    "hidden_size": "d_model",
    "num_attention_heads": "encoder_attention_heads",
    "num_hidden_layers": "encoder_layers",
}
FIXED = {  # what files of early versions say of the family's own build
    "normalize_before": False,
    "normalize_embedding": True,
    "add_final_layer_norm": False,
    "static_position_embeddings": False,
    "tie_encoder_decoder": False,
}
PRE_NORM = {**FIXED, "normalize_before": True, "normalize_embedding": False, "add_final_layer_norm": True}
IGNORED = ("encoder.version", "decoder.version", "encoder.embed_positions.weight", "decoder.embed_positions.weight")
FAMILY = Family(
    "bart",
    "model.",
    spec,
    names,
    tasks("Bart"),
    DEFAULTS,
    tokenizer="bart",
    aliases=ALIASES,
    meant=meant,
    fixed=FIXED,
    optional=("force_bos_token_to_be_generated",),
    fitted=fitted,
    ignored=IGNORED[:2],
    paired=True,
)
