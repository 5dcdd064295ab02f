"""DeBERTa-v2 and -v3 (He et al., 2020, 2021): BERT whose scores tell content from distance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..errors import ConfigError
from ..files.shown import shown
from ..spec import Convolution, Disentangled, HeadSpec, LearnedPositions, ModelSpec
from . import bert
from .family import Config, Family, Task
from .names import under

KINDS = ("c2p", "p2c")


def kinds(c: Config) -> tuple[str, ...]:
    """Which sides meet distances, from `p2c|c2p` or a list of both."""
    said = c["pos_att_type"] or ()
    stated = [part.strip() for part in said.lower().split("|")] if isinstance(said, str) else list(said)
    if not all(kind in KINDS for kind in stated):
        raise ConfigError(f"pos_att_type is {shown(said)}: known are {' and '.join(KINDS)}, alone or together")
    return tuple(kind for kind in KINDS if kind in stated)


def check(c: Config) -> None:
    """ConfigError for what the reference itself cannot build, and for norms that it does not know."""
    for key, width in (("embedding_size", c["hidden_size"]), ("pooler_hidden_size", c["hidden_size"])):
        if c.get(key) not in (None, width):
            raise ConfigError(f"{key} is {shown(c[key])}: only that of hidden_size, {width}, is known")
    head = c["hidden_size"] // c["num_attention_heads"]
    if c.get("attention_head_size") not in (None, head):
        raise ConfigError(f"attention_head_size is {shown(c['attention_head_size'])}: only {head} fits the heads")
    if c["norm_rel_ebd"] != "none" and (c["norm_rel_ebd"] != "layer_norm" or not c["relative_attention"]):
        raise ConfigError(
            f"norm_rel_ebd is {shown(c['norm_rel_ebd'])}: known are none and, with relative_attention, layer_norm"
        )
    if c["conv_kernel_size"] > 0 and (c["conv_kernel_size"] % 2 == 0 or c["hidden_size"] % c["conv_groups"]):
        raise ConfigError(
            f"conv_kernel_size {c['conv_kernel_size']} must be odd, conv_groups {c['conv_groups']} divide hidden_size"
        )


def distances(c: Config) -> Disentangled:
    """One table, of buckets where the config has any."""
    farthest = c["max_relative_positions"] if c["max_relative_positions"] > 0 else c["max_position_embeddings"]
    buckets = c["position_buckets"]
    if buckets > 0 and not 2 <= buckets // 2 < farthest - 1:
        raise ConfigError(
            f"position_buckets {buckets} must be 4 or more, half of them below max_relative_positions, {farthest}"
        )
    return Disentangled(
        buckets if buckets > 0 else farthest,
        farthest if buckets > 0 else None,
        kinds(c),
        shared=c["share_att_key"],
        norm=c["norm_rel_ebd"] == "layer_norm",
        dropout=c["hidden_dropout_prob"],
    )


def spec(c: Config) -> ModelSpec:
    """The body; scores are scaled by how many parts they have, even where distances play no part."""
    check(c)
    positions = LearnedPositions(c["max_position_embeddings"]) if c["position_biased_input"] else None
    scale = (c["hidden_size"] // c["num_attention_heads"] * (1 + len(kinds(c)))) ** -0.5
    convolution = None
    if c["conv_kernel_size"] > 0:
        rate = c["hidden_dropout_prob"]
        convolution = Convolution(c["conv_kernel_size"], c["conv_groups"], c["conv_act"], rate)
    return bert.single(
        {**c, "is_decoder": False, "add_cross_attention": False},
        bert.embedding(c, positions=positions),
        bert.block(c, scale=scale),
        relative=distances(c) if c["relative_attention"] else None,
        convolution=convolution,
        blank_padding=True,
    )


BODY = bert.BODY | {
    "layers.*.attn.qkv": "encoder.layer.*.attention.self.{query_proj,key_proj,value_proj}",
    "layers.*.attn.far_key": "encoder.layer.*.attention.self.pos_key_proj",
    "layers.*.attn.far_query": "encoder.layer.*.attention.self.pos_query_proj",
    "relative.table": "encoder.rel_embeddings",
    "relative.norm": "encoder.LayerNorm",
    "neighbors.conv": "encoder.conv.conv",
    "neighbors.norm": "encoder.conv.LayerNorm",
}


def masked_lm(c: Config) -> HeadSpec:
    """BERT's; the newer one always reads the token table."""
    return replace(bert.masked_lm(c), tied=c["tie_word_embeddings"] or not c["legacy"])


def lm_names(c: Config) -> dict[str, str]:
    newer = {
        "head.dense": "lm_predictions.lm_head.dense",
        "head.norm": "lm_predictions.lm_head.LayerNorm",
        "head.project.bias": "lm_predictions.lm_head.bias",
        "head.project": "deberta.embeddings.word_embeddings",
    }
    return bert.LM if c["legacy"] else newer


def pooled(c: Config, outputs: int) -> HeadSpec:
    """A dense layer over the first token, in the head rather than the body."""
    own = c["cls_dropout"]
    more: dict[str, Any] = {"dense": c["pooler_hidden_act"], "dropout_before": c["pooler_dropout"]}
    rate = c["hidden_dropout_prob"] if own is None else own
    return HeadSpec(c["hidden_size"], outputs, select="first", dropout=rate, soft_labels=True, **more)


POOLED = {"head.dense": "pooler.dense", "head.project": "classifier"}
TASKS = (
    Task("DebertaV2Model", "body"),
    Task("DebertaV2ForMaskedLM", "masked-lm", masked_lm, lm_names),
    Task(
        "DebertaV2ForSequenceClassification",
        "sequence-classification",
        lambda c: pooled(c, c["num_labels"]),
        POOLED,
    ),
    Task(
        "DebertaV2ForTokenClassification",
        "token-classification",
        lambda c: HeadSpec(c["hidden_size"], c["num_labels"], dropout=c["hidden_dropout_prob"]),
        bert.CLASSIFIER,
    ),
    Task("DebertaV2ForQuestionAnswering", "question-answering", bert.spans, {"head.project": "qa_outputs"}),
    Task("DebertaV2ForMultipleChoice", "multiple-choice", lambda c: pooled(c, 1), POOLED),
)
FAMILY = Family(
    "deberta-v2",
    "deberta.",
    spec,
    lambda c: under("encoder.", "", BODY),
    TASKS,
    {
        "vocab_size": 128100,
        "hidden_size": 1536,
        "num_hidden_layers": 24,
        "num_attention_heads": 24,
        "intermediate_size": 6144,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "max_position_embeddings": 512,
        "type_vocab_size": 0,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-7,
        "relative_attention": False,
        "max_relative_positions": -1,
        "position_buckets": -1,
        "position_biased_input": True,
        "pos_att_type": None,
        "share_att_key": False,
        "norm_rel_ebd": "none",
        "conv_kernel_size": 0,
        "conv_groups": 1,
        "conv_act": "tanh",
        "pooler_dropout": 0,
        "pooler_hidden_act": "gelu",
        "cls_dropout": None,
        "legacy": True,
        "pad_token_id": 0,
        "tie_word_embeddings": True,
    },
    tokenizer="deberta_v2",
    derived=lambda c: {"pooler_hidden_size": c["hidden_size"]},
    optional=("attention_head_size", "embedding_size", "pooler_hidden_size"),
    ignored=("embeddings.position_ids", "embeddings.position_embeddings.weight"),
)
