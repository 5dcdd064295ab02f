"""ELECTRA (Clark et al., 2020): BERT without a pooler, narrow token embeddings, a generator and a discriminator."""

from __future__ import annotations

from ..spec import HeadSpec, ModelSpec
from . import bert
from .family import Config, Family, Task, expect
from .names import under


def spec(c: Config) -> ModelSpec:
    """The body; embeddings are projected where their width differs."""
    width = c["embedding_size"]
    embedding = bert.embedding(c, projected_from=None if width == c["hidden_size"] else width)
    return bert.single(c, embedding, bert.block(c))


def names(c: Config) -> dict[str, str]:
    """BERT's, and the projection."""
    return under(bert.side(c), "", {**bert.BODY, "embeddings.projection": "embeddings_project"})


def generator(c: Config) -> HeadSpec:
    """Down to the embeddings' width, then the token table read backwards."""
    return HeadSpec(
        c["hidden_size"],
        c["vocab_size"],
        dense="gelu",
        dense_size=c["embedding_size"],
        norm="layer",
        eps=c["layer_norm_eps"],
        tied=c["tie_word_embeddings"],
    )


def sentence(c: Config) -> HeadSpec:
    """A dense layer and gelu over the first token."""
    rate = bert.classifier_dropout(c)
    return HeadSpec(c["hidden_size"], c["num_labels"], select="first", dense="gelu", dropout_before=rate, dropout=rate)


def choice(c: Config) -> HeadSpec:
    """The same with its own dropout rate, one score per choice."""
    expect(c, "multiple choice", summary_type="first", summary_use_proj=True, summary_activation="gelu")
    expect(c, "multiple choice", summary_proj_to_labels=False, summary_first_dropout=0.0)
    return HeadSpec(c["hidden_size"], 1, select="first", dense="gelu", dropout=c["summary_last_dropout"])


LM = {
    "head.dense": "generator_predictions.dense",
    "head.norm": "generator_predictions.LayerNorm",
    "head.project": "generator_lm_head",
}
TASKS = (
    Task("ElectraModel", "body"),
    Task(
        "ElectraForPreTraining",
        "replaced-token",
        lambda c: HeadSpec(c["hidden_size"], 1, dense=c["hidden_act"]),
        {"head.dense": "discriminator_predictions.dense", "head.project": "discriminator_predictions.dense_prediction"},
    ),
    Task("ElectraForMaskedLM", "masked-lm", generator, LM),
    Task("ElectraForCausalLM", "causal-lm", generator, LM),
    Task(
        "ElectraForSequenceClassification",
        "sequence-classification",
        sentence,
        {"head.dense": "classifier.dense", "head.project": "classifier.out_proj"},
    ),
    Task(
        "ElectraForTokenClassification",
        "token-classification",
        lambda c: bert.classifier(c, None),
        bert.CLASSIFIER,
    ),
    Task("ElectraForQuestionAnswering", "question-answering", bert.spans, {"head.project": "qa_outputs"}),
    Task(
        "ElectraForMultipleChoice",
        "multiple-choice",
        choice,
        {"head.dense": "sequence_summary.summary", "head.project": "classifier"},
    ),
)
FAMILY = Family(
    "electra",
    "electra.",
    spec,
    names,
    TASKS,
    {
        **bert.DEFAULTS,
        "embedding_size": 128,
        "hidden_size": 256,
        "num_attention_heads": 4,
        "intermediate_size": 1024,
        "summary_type": "first",
        "summary_use_proj": True,
        "summary_activation": "gelu",
        "summary_last_dropout": 0.1,
    },
    tokenizer="electra",
    optional=("summary_activation", "summary_proj_to_labels", "summary_first_dropout"),
    ignored=("embeddings.position_ids",),
)
