"""RemBERT (Chung et al., 2020): BERT whose token table is narrow where texts enter and whose head is wide."""

from __future__ import annotations

from typing import Any

from ..spec import HeadSpec, ModelSpec, Pooler
from . import bert
from .family import Config, Family, Task


def spec(c: Config) -> ModelSpec:
    """The body; the token table is projected up."""
    return bert.single(c, bert.embedding(c, projected_from=c["input_embedding_size"]), bert.block(c))


def names(c: Config) -> dict[str, str]:
    projection = bert.side(c) + "embeddings.projection"
    return {**bert.names(c), projection: "encoder.embedding_hidden_mapping_in"}


def masked_lm(c: Config) -> HeadSpec:
    """Up to its own width, never tied."""
    width, act = c["output_embedding_size"], c["hidden_act"]
    return HeadSpec(
        c["hidden_size"], c["vocab_size"], dense=act, dense_size=width, norm="layer", eps=c["layer_norm_eps"]
    )


def classifier(c: Config, outputs: int, **more: Any) -> HeadSpec:
    """Dropout and one linear layer."""
    return HeadSpec(c["hidden_size"], outputs, dropout=c["classifier_dropout_prob"], **more)


LM = {
    "head.dense": "cls.predictions.dense",
    "head.norm": "cls.predictions.LayerNorm",
    "head.project": "cls.predictions.decoder",
}
TASKS = (
    Task("RemBertModel", "pooled-body", pooled=True),
    Task("RemBertForMaskedLM", "masked-lm", masked_lm, LM),
    Task("RemBertForCausalLM", "causal-lm", masked_lm, LM),
    Task(
        "RemBertForSequenceClassification",
        "sequence-classification",
        lambda c: classifier(c, c["num_labels"], select="pooled"),
        bert.CLASSIFIER,
        pooled=True,
    ),
    Task(
        "RemBertForTokenClassification",
        "token-classification",
        lambda c: classifier(c, c["num_labels"]),
        bert.CLASSIFIER,
    ),
    Task("RemBertForQuestionAnswering", "question-answering", bert.spans, {"head.project": "qa_outputs"}),
    Task(
        "RemBertForMultipleChoice",
        "multiple-choice",
        lambda c: classifier(c, 1, select="pooled"),
        bert.CLASSIFIER,
        pooled=True,
    ),
)
FAMILY = Family(
    "rembert",
    "rembert.",
    spec,
    names,
    TASKS,
    {
        "vocab_size": 250300,
        "hidden_size": 1152,
        "num_hidden_layers": 32,
        "num_attention_heads": 18,
        "input_embedding_size": 256,
        "output_embedding_size": 1664,
        "intermediate_size": 4608,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "classifier_dropout_prob": 0.1,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-12,
        "use_cache": True,
        "is_decoder": False,
        "add_cross_attention": False,
        "pad_token_id": 0,
        "bos_token_id": 312,
        "eos_token_id": 313,
        "tie_word_embeddings": False,
    },
    tokenizer="rembert",
    ignored=("embeddings.position_ids",),
    pooler=lambda c: Pooler(c["hidden_size"]),
)
