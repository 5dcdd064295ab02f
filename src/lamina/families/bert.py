"""BERT (Devlin et al., 2018): post-norm encoder, learned positions, two token types."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError
from ..spec import BlockSpec, EmbeddingSpec, HeadSpec, LearnedPositions, ModelSpec, NormalInit, Pooler, StackSpec
from .family import Config, Family, Task
from .names import under


def embedding(c: Config, **changes: Any) -> EmbeddingSpec:
    """Tokens, positions and types, normed, then dropped out."""
    fields = {
        "vocab_size": c["vocab_size"],
        "hidden_size": c["hidden_size"],
        "positions": LearnedPositions(c["max_position_embeddings"]),
        "token_types": c["type_vocab_size"],
        "norm": "layer",
        "eps": c["layer_norm_eps"],
        "dropout": c["hidden_dropout_prob"],
        "padding_id": c["pad_token_id"],
    }
    return EmbeddingSpec(**fields | changes)


def block(c: Config, **changes: Any) -> BlockSpec:
    """A post-norm layer."""
    fields = {
        "hidden_size": c["hidden_size"],
        "num_heads": c["num_attention_heads"],
        "intermediate_size": c["intermediate_size"],
        "activation": c["hidden_act"],
        "eps": c["layer_norm_eps"],
        "dropout": c["hidden_dropout_prob"],
        "attention_dropout": c["attention_probs_dropout_prob"],
    }
    return BlockSpec(**fields | changes)


def single(c: Config, embedding: EmbeddingSpec, block: BlockSpec, **stack: Any) -> ModelSpec:
    """One stack: an encoder, or a decoder where the config asks for one."""
    decoder = bool(c["is_decoder"])
    cross = bool(c["add_cross_attention"])
    if cross and not decoder:
        raise ConfigError("add_cross_attention=True is for a decoder: set is_decoder too")
    made = StackSpec(embedding, block, c["num_hidden_layers"], causal=decoder, cross=cross, **stack)
    init = NormalInit(c["initializer_range"])
    return ModelSpec(decoder=made, init=init) if decoder else ModelSpec(encoder=made, init=init)


def spec(c: Config) -> ModelSpec:
    return single(c, embedding(c), block(c))


def masked_lm(c: Config) -> HeadSpec:
    """Dense, activation, norm, then the token table read backwards."""
    return HeadSpec(
        c["hidden_size"],
        c["vocab_size"],
        dense=c["hidden_act"],
        norm="layer",
        eps=c["layer_norm_eps"],
        tied=c["tie_word_embeddings"],
    )


def classifier_dropout(c: Config) -> float:
    own = c["classifier_dropout"]
    return float(c["hidden_dropout_prob"] if own is None else own)


def classifier(c: Config, select: str | None = "pooled", outputs: int | None = None) -> HeadSpec:
    """Dropout and one linear layer."""
    return HeadSpec(c["hidden_size"], outputs or c["num_labels"], select=select, dropout=classifier_dropout(c))


def spans(c: Config) -> HeadSpec:
    """Two scores per token: an answer starts here, an answer ends here."""
    return HeadSpec(c["hidden_size"], c["num_labels"])


def relation(c: Config) -> HeadSpec:
    """Does the second sentence follow the first?"""
    return HeadSpec(c["hidden_size"], 2, select="pooled")


BODY = {
    "embeddings.tokens": "embeddings.word_embeddings",
    "embeddings.positions": "embeddings.position_embeddings",
    "embeddings.types": "embeddings.token_type_embeddings",
    "embeddings.norm": "embeddings.LayerNorm",
    "layers.*.attn.qkv": "encoder.layer.*.attention.self.{query,key,value}",
    "layers.*.attn.out": "encoder.layer.*.attention.output.dense",
    "layers.*.attn_norm": "encoder.layer.*.attention.output.LayerNorm",
    "layers.*.cross.q": "encoder.layer.*.crossattention.self.query",
    "layers.*.cross.kv": "encoder.layer.*.crossattention.self.{key,value}",
    "layers.*.cross.out": "encoder.layer.*.crossattention.output.dense",
    "layers.*.cross_norm": "encoder.layer.*.crossattention.output.LayerNorm",
    "layers.*.ffn.up": "encoder.layer.*.intermediate.dense",
    "layers.*.ffn.down": "encoder.layer.*.output.dense",
    "layers.*.ffn_norm": "encoder.layer.*.output.LayerNorm",
}


def side(c: Config) -> str:
    """Which of our two stacks the body is."""
    return "decoder." if c["is_decoder"] else "encoder."


def names(c: Config) -> dict[str, str]:
    return {**under(side(c), "", BODY), "pooler.dense": "pooler.dense"}


LM = {
    "head.dense": "cls.predictions.transform.dense",
    "head.norm": "cls.predictions.transform.LayerNorm",
    "head.project.bias": "cls.predictions.bias | cls.predictions.decoder.bias",
    "head.project": "cls.predictions.decoder",
}
CLASSIFIER = {"head.project": "classifier"}
TASKS = (
    Task("BertModel", "pooled-body", pooled=True),
    Task(
        "BertForPreTraining",
        "next-sentence-pretraining",
        masked_lm,
        {**LM, "second_head.project": "cls.seq_relationship"},
        relation,
        pooled=True,
    ),
    Task("BertForMaskedLM", "masked-lm", masked_lm, LM),
    Task("BertLMHeadModel", "causal-lm", masked_lm, LM),
    Task(
        "BertForNextSentencePrediction",
        "next-sentence",
        relation,
        {"head.project": "cls.seq_relationship"},
        pooled=True,
    ),
    Task("BertForSequenceClassification", "sequence-classification", classifier, CLASSIFIER, pooled=True),
    Task("BertForTokenClassification", "token-classification", lambda c: classifier(c, None), CLASSIFIER),
    Task("BertForQuestionAnswering", "question-answering", spans, {"head.project": "qa_outputs"}),
    Task("BertForMultipleChoice", "multiple-choice", lambda c: classifier(c, outputs=1), CLASSIFIER, pooled=True),
)
DEFAULTS = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
    "use_cache": True,
    "classifier_dropout": None,
    "is_decoder": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
}
FAMILY = Family(
    "bert",
    "bert.",
    spec,
    names,
    TASKS,
    DEFAULTS,
    tokenizer="bert",
    tokenizers={"XLNetTokenizer": "xlnet"},  # of KoBERT
    ignored=("embeddings.position_ids",),
    pooler=lambda c: Pooler(c["hidden_size"]),
)
