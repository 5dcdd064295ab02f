"""MPNet (Song et al., 2020): RoBERTa without token types, with T5's bucketed distances in the scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..spec import HeadSpec, ModelSpec, PaddingAwarePositions, Pooler, RelativeBuckets
from . import bert, roberta
from .family import Config, Family, Task
from .names import under

PADDING = 1  # the reference counts positions past this id, whatever pad_token_id says
BUCKETS, FARTHEST = 32, 128


def reading(c: Config) -> Config:
    """RoBERTa's config without what MPNet does not know: it only reads, and its heads have no dropout of their own."""
    return {**c, "is_decoder": False, "add_cross_attention": False, "classifier_dropout": None}


def spec(c: Config) -> ModelSpec:
    positions = PaddingAwarePositions(c["max_position_embeddings"], PADDING)
    embedding = bert.embedding({**c, "type_vocab_size": 0}, positions=positions, padding_id=PADDING)
    return bert.single(reading(c), embedding, bert.block(c), relative=RelativeBuckets(BUCKETS, FARTHEST))


def names(c: Config) -> dict[str, str]:
    attention = {
        "layers.*.attn.qkv": "encoder.layer.*.attention.attn.{q,k,v}",
        "layers.*.attn.out": "encoder.layer.*.attention.attn.o",
        "layers.*.attn_norm": "encoder.layer.*.attention.LayerNorm",
        "relative.tables.0": "encoder.relative_attention_bias",
    }
    return {**under("encoder.", "", bert.BODY | attention), "pooler.dense": "pooler.dense"}


def own(task: Task) -> Task:
    """One of RoBERTa's tasks under its name here."""
    head: Callable[[Config], HeadSpec] | None = task.head
    architecture = task.architecture.replace("Roberta", "MPNet", 1)
    return replace(task, architecture=architecture, head=head and (lambda c: head(reading(c))))


FAMILY = Family(
    "mpnet",
    "mpnet.",
    spec,
    names,
    tuple(own(task) for task in roberta.TASKS if task.kind != "causal-lm"),
    {
        "vocab_size": 30527,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "max_position_embeddings": 512,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-12,
        "relative_attention_num_buckets": BUCKETS,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
    },
    tokenizer="mpnet",
    fixed={"relative_attention_num_buckets": BUCKETS},
    ignored=("embeddings.position_ids",),
    pooler=lambda c: Pooler(c["hidden_size"]),
)
