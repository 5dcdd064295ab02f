"""ALBERT (Lan et al., 2019): BERT with layers shared in groups and factorized embeddings."""

from __future__ import annotations

from ..spec import HeadSpec, ModelSpec, Pooler
from . import bert
from .family import Config, Family, Task


def spec(c: Config) -> ModelSpec:
    """The body: every layer runs the inner layers of its group in turn; the feed-forward has no dropout of its own."""
    embedding = bert.embedding(c, projected_from=c["embedding_size"])
    block = bert.block(c, feedforward_dropout=0.0)
    inner = c["inner_group_num"]
    per_group = c["num_hidden_layers"] / c["num_hidden_groups"]
    groups = (int(layer / per_group) for layer in range(c["num_hidden_layers"]))
    schedule = tuple(tuple(range(group * inner, (group + 1) * inner)) for group in groups)
    return bert.single({**c, "is_decoder": False, "add_cross_attention": False}, embedding, block, schedule=schedule)


def names(c: Config) -> dict[str, str]:
    """Blocks are numbered through on our side, by group and inner layer on theirs."""
    rows = {f"encoder.{k}": v for k, v in bert.BODY.items() if "layers" not in k}
    rows |= {"encoder.embeddings.projection": "encoder.embedding_hidden_mapping_in", "pooler.dense": "pooler"}
    inner = c["inner_group_num"]
    for block in range(c["num_hidden_groups"] * inner):
        theirs = f"encoder.albert_layer_groups.{block // inner}.albert_layers.{block % inner}."
        rows |= {f"encoder.layers.{block}.{left}": theirs + right for left, right in LAYER.items()}
    return rows


def dropout(c: Config) -> float:
    own = c["classifier_dropout_prob"]
    return float(c["hidden_dropout_prob"] if own is None else own)


def masked_lm(c: Config) -> HeadSpec:
    """Down to the embeddings' width, then the token table read backwards."""
    return HeadSpec(
        c["hidden_size"],
        c["vocab_size"],
        dense=c["hidden_act"],
        dense_size=c["embedding_size"],
        norm="layer",
        eps=c["layer_norm_eps"],
        tied=c["tie_word_embeddings"],
    )


def classifier(c: Config, select: str | None = "pooled", outputs: int | None = None) -> HeadSpec:
    """Dropout and one linear layer."""
    return HeadSpec(c["hidden_size"], outputs or c["num_labels"], select=select, dropout=dropout(c))


LAYER = {
    "attn.qkv": "attention.{query,key,value}",
    "attn.out": "attention.dense",
    "attn_norm": "attention.LayerNorm",
    "ffn.up": "ffn",
    "ffn.down": "ffn_output",
    "ffn_norm": "full_layer_layer_norm",
}
LM = {
    "head.dense": "predictions.dense",
    "head.norm": "predictions.LayerNorm",
    "head.project.bias": "predictions.bias | predictions.decoder.bias",
    "head.project": "predictions.decoder",
}
ORDER = {"second_head.project": "sop_classifier.classifier"}
TASKS = (
    Task("AlbertModel", "pooled-body", pooled=True),
    Task("AlbertForPreTraining", "sentence-order-pretraining", masked_lm, {**LM, **ORDER}, classifier, pooled=True),
    Task("AlbertForMaskedLM", "masked-lm", masked_lm, LM),
    Task("AlbertForSequenceClassification", "sequence-classification", classifier, bert.CLASSIFIER, pooled=True),
    Task("AlbertForTokenClassification", "token-classification", lambda c: classifier(c, None), bert.CLASSIFIER),
    Task("AlbertForQuestionAnswering", "question-answering", bert.spans, {"head.project": "qa_outputs"}),
    Task(
        "AlbertForMultipleChoice",
        "multiple-choice",
        lambda c: classifier(c, outputs=1),
        bert.CLASSIFIER,
        pooled=True,
    ),
)
FAMILY = Family(
    "albert",
    "albert.",
    spec,
    names,
    TASKS,
    {
        **bert.DEFAULTS,
        "vocab_size": 30000,
        "embedding_size": 128,
        "hidden_size": 4096,
        "num_hidden_groups": 1,
        "inner_group_num": 1,
        "num_attention_heads": 64,
        "intermediate_size": 16384,
        "hidden_act": "gelu_new",
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "classifier_dropout_prob": 0.1,
        "bos_token_id": 2,
        "eos_token_id": 3,
    },
    tokenizer="albert",
    ignored=("embeddings.position_ids",),
    pooler=lambda c: Pooler(c["hidden_size"]),
)
