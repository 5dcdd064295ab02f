"""RoBERTa (Liu et al., 2019): BERT with positions counted from past the padding id, and its own heads."""

from __future__ import annotations

from dataclasses import replace

from ..spec import HeadSpec, ModelSpec, PaddingAwarePositions, Pooler
from . import bert
from .family import Config, Family, Task


def spec(c: Config) -> ModelSpec:
    positions = PaddingAwarePositions(c["max_position_embeddings"], c["pad_token_id"])
    return bert.single(c, bert.embedding(c, positions=positions), bert.block(c))


def masked_lm(c: Config) -> HeadSpec:
    """BERT's, always with gelu."""
    return replace(bert.masked_lm(c), dense="gelu")


def sentence(c: Config) -> HeadSpec:
    """A dense layer and tanh over <s>, in the head rather than the body."""
    rate = bert.classifier_dropout(c)
    return HeadSpec(c["hidden_size"], c["num_labels"], select="first", dense="tanh", dropout_before=rate, dropout=rate)


def choice(c: Config) -> HeadSpec:
    """One score per choice."""
    return HeadSpec(c["hidden_size"], 1, select="pooled", dropout=c["hidden_dropout_prob"])


LM = {
    "head.dense": "lm_head.dense",
    "head.norm": "lm_head.layer_norm",
    "head.project.bias": "lm_head.bias | lm_head.decoder.bias",
    "head.project": "lm_head.decoder",
}
TASKS = (
    Task("RobertaModel", "pooled-body", pooled=True),
    Task("RobertaForMaskedLM", "masked-lm", masked_lm, LM),
    Task("RobertaForCausalLM", "causal-lm", masked_lm, LM),
    Task(
        "RobertaForSequenceClassification",
        "sequence-classification",
        sentence,
        {"head.dense": "classifier.dense", "head.project": "classifier.out_proj"},
    ),
    Task(
        "RobertaForTokenClassification",
        "token-classification",
        lambda c: bert.classifier(c, None),
        bert.CLASSIFIER,
    ),
    Task("RobertaForQuestionAnswering", "question-answering", bert.spans, {"head.project": "qa_outputs"}),
    Task("RobertaForMultipleChoice", "multiple-choice", choice, bert.CLASSIFIER, pooled=True),
)
FAMILY = Family(
    "roberta",
    "roberta.",
    spec,
    bert.names,
    TASKS,
    {**bert.DEFAULTS, "vocab_size": 50265, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2},
    tokenizer="roberta",
    ignored=("embeddings.position_ids",),
    pooler=lambda c: Pooler(c["hidden_size"]),
)
