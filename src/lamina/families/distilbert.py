"""DistilBERT (Sanh et al., 2019): BERT at half depth, without token types or pooler."""

from __future__ import annotations

from ..spec import BlockSpec, EmbeddingSpec, HeadSpec, LearnedPositions, ModelSpec, NormalInit, StackSpec
from .bert import CLASSIFIER
from .family import Config, Family, Task
from .names import under


def spec(c: Config) -> ModelSpec:
    """The body; its norms' epsilon is fixed, and nothing is dropped after attention."""
    embedding = EmbeddingSpec(
        c["vocab_size"],
        c["dim"],
        LearnedPositions(c["max_position_embeddings"]),
        norm="layer",
        dropout=c["dropout"],
        padding_id=c["pad_token_id"],
    )
    block = BlockSpec(
        c["dim"],
        c["n_heads"],
        c["hidden_dim"],
        activation=c["activation"],
        eps=1e-12,
        feedforward_dropout=c["dropout"],
        attention_dropout=c["attention_dropout"],
    )
    init = NormalInit(c["initializer_range"], sinusoidal_positions=c["sinusoidal_pos_embds"])
    return ModelSpec(encoder=StackSpec(embedding, block, c["n_layers"]), init=init)


def masked_lm(c: Config) -> HeadSpec:
    """Dense, activation, norm, then the token table read backwards."""
    tied = c["tie_word_embeddings"]
    return HeadSpec(c["dim"], c["vocab_size"], dense=c["activation"], norm="layer", tied=tied)


def sentence(c: Config, outputs: int | None = None) -> HeadSpec:
    """A dense layer and relu over the first token."""
    return HeadSpec(
        c["dim"], outputs or c["num_labels"], select="first", dense="relu", dropout=c["seq_classif_dropout"]
    )


LAYER = {
    "attn.qkv": "attention.{q_lin,k_lin,v_lin}",
    "attn.out": "attention.out_lin",
    "attn_norm": "sa_layer_norm",
    "ffn.up": "ffn.lin1",
    "ffn.down": "ffn.lin2",
    "ffn_norm": "output_layer_norm",
}
NAMES = {
    "encoder.embeddings.tokens": "embeddings.word_embeddings",
    "encoder.embeddings.positions": "embeddings.position_embeddings",
    "encoder.embeddings.norm": "embeddings.LayerNorm",
    **under("encoder.layers.*.", "transformer.layer.*.", LAYER),
}
LM = {"head.dense": "vocab_transform", "head.norm": "vocab_layer_norm", "head.project": "vocab_projector"}
SENTENCE = {"head.dense": "pre_classifier", "head.project": "classifier"}
TASKS = (
    Task("DistilBertModel", "body"),
    Task("DistilBertForMaskedLM", "masked-lm", masked_lm, LM),
    Task("DistilBertForSequenceClassification", "sequence-classification", sentence, SENTENCE),
    Task(
        "DistilBertForTokenClassification",
        "token-classification",
        lambda c: HeadSpec(c["dim"], c["num_labels"], dropout=c["dropout"]),
        CLASSIFIER,
    ),
    Task(
        "DistilBertForQuestionAnswering",
        "question-answering",
        lambda c: HeadSpec(c["dim"], c["num_labels"], dropout=c["qa_dropout"]),
        {"head.project": "qa_outputs"},
    ),
    Task("DistilBertForMultipleChoice", "multiple-choice", lambda c: sentence(c, 1), SENTENCE),
)
FAMILY = Family(
    "distilbert",
    "distilbert.",
    spec,
    lambda c: NAMES,
    TASKS,
    {
        "vocab_size": 30522,
        "max_position_embeddings": 512,
        "sinusoidal_pos_embds": False,
        "n_layers": 6,
        "n_heads": 12,
        "dim": 768,
        "hidden_dim": 3072,
        "dropout": 0.1,
        "attention_dropout": 0.1,
        "activation": "gelu",
        "initializer_range": 0.02,
        "qa_dropout": 0.1,
        "seq_classif_dropout": 0.2,
        "pad_token_id": 0,
        "tie_word_embeddings": True,
    },
    tokenizer="distilbert",
    aliases={
        "hidden_size": "dim",
        "num_attention_heads": "n_heads",
        "num_hidden_layers": "n_layers",
        "intermediate_size": "hidden_dim",
    },
    ignored=("embeddings.position_ids",),
)
