"""Transformer-XL (Dai et al., 2019): a decoder with memories, relative attention and an adaptive vocabulary.

The one family with a network of its own, in this folder; this file, its data, needs no torch.
"""

from __future__ import annotations

from typing import Any

from ...errors import ConfigError
from ...spec import BlockSpec, EmbeddingSpec, HeadSpec, StackSpec
from ..family import Config, Family, Task
from ..names import under
from .spec import AdaptiveVocabulary, SegmentSpec


def spec(c: Config) -> SegmentSpec:
    """The body; ConfigError for what no published checkpoint has."""
    check(c)
    block = BlockSpec(
        c["d_model"],
        c["n_head"],
        c["d_inner"],
        head_dim=c["d_head"],
        activation="relu",
        eps=c["layer_norm_epsilon"],
        order="pre-norm" if c["pre_lnorm"] else "post-norm",
        scale=c["d_head"] ** -0.5,
        dropout=c["dropout"],
        attention_dropout=c["dropatt"],
        activation_dropout=c["dropout"],
    )
    embedding = EmbeddingSpec(c["vocab_size"], c["d_model"], scale=c["d_model"] ** 0.5, dropout=c["dropout"])
    return SegmentSpec(
        decoder=StackSpec(embedding, block, c["n_layer"], final_dropout=c["dropout"], causal=True),
        vocabulary=vocabulary(c),
        memory_length=c["mem_len"],
        same_length=c["same_length"],
        farthest=c["clamp_len"] if c["clamp_len"] > 0 else None,
        own_biases=c["untie_r"],
        std=c["init_std"],
        reach=c["init_range"] if c["init"] == "uniform" else None,
        projection_std=c["proj_init_std"],
    )


def vocabulary(c: Config) -> AdaptiveVocabulary:
    """The clusters; a projection that `tie_projs` does not speak of is not tied."""
    edges = (0, *c["cutoffs"], c["vocab_size"])
    given = c.get("tie_projs")
    tied = [bool(answer) for answer in (derived(c)["tie_projs"] if given is None else given)]
    return AdaptiveVocabulary(
        edges,
        c["d_model"],
        c["d_embed"],
        c["div_val"],
        c["tie_word_embeddings"],
        tuple([*tied, *[False] * len(edges)][: len(edges) - 1]),
    )


def check(c: Config) -> None:
    """Refuse what the reference never had or no longer has, and clusters that cannot be."""
    edges = [0, *c["cutoffs"], c["vocab_size"]]
    if not all(type(edge) is int for edge in edges) or edges != sorted(set(edges)):
        raise ConfigError(
            f"cutoffs {c['cutoffs']} must be whole numbers that rise from 1 to below vocab_size {edges[-1]}"
        )
    if c["d_embed"] // c["div_val"] ** (len(edges) - 2) < 1:
        raise ConfigError(f"d_embed {c['d_embed']} cannot be divided by div_val {c['div_val']} for each of the cutoffs")
    if c["d_model"] % 2:
        raise ConfigError(f"d_model {c['d_model']} must be even: half of it holds sines, half cosines")
    if c["attn_type"] != 0:
        raise ConfigError(
            f"attn_type {c['attn_type']} is an experiment that no published checkpoint kept: only 0 is known"
        )
    if c["sample_softmax"] > 0:
        raise ConfigError("sample_softmax: training on sampled tokens is not supported; set it to -1")
    if c["init"] not in ("normal", "uniform"):
        raise ConfigError(f"init must be 'normal' or 'uniform', not {c['init']!r:.40}")


def derived(c: Config) -> dict[str, Any]:
    """`tie_projs` where the file does not say it: every projection but the first, or none."""
    return {"tie_projs": [False] + [c["proj_share_all_but_first"]] * len(c["cutoffs"])}


def build() -> Any:
    from .model import SegmentModel

    return SegmentModel


def lm(c: Config) -> HeadSpec:
    """Stands for the adaptive softmax, which the network makes from its vocabulary."""
    return HeadSpec(c["d_model"], c["vocab_size"], tied=c["tie_word_embeddings"])


def sentence(c: Config) -> HeadSpec:
    """A linear layer over the last real token."""
    return HeadSpec(c["d_model"], c["num_labels"], select="last", bias=False)


LAYERS = {
    "attn.qkv": "dec_attn.qkv_net",
    "attn.place": "dec_attn.r_net",
    "attn.out": "dec_attn.o_net",
    "attn.content": "dec_attn.r_w_bias",
    "attn.distance": "dec_attn.r_r_bias",
    "attn_norm": "dec_attn.layer_norm",
    "ffn.up": "pos_ff.CoreNet.0",
    "ffn.down": "pos_ff.CoreNet.3",
    "ffn_norm": "pos_ff.layer_norm",
}
NAMES = {
    "body.embeddings.tables.*": "word_emb.emb_layers.*",
    "body.embeddings.projections.*": "word_emb.emb_projs.*",
    "body.rates": "pos_emb.inv_freq",
    "body.content": "r_w_bias",
    "body.distance": "r_r_bias",
    **under("body.layers.*.", "layers.*.", LAYERS),
}
LM = {
    "softmax.cluster_weight": "crit.cluster_weight",
    "softmax.cluster_bias": "crit.cluster_bias",
    "softmax.weights.*": "crit.out_layers.*.weight",
    "softmax.biases.*": "crit.out_layers.*.bias",
    "softmax.projections.*": "crit.out_projs.*",
}
TASKS = (
    Task("TransfoXLModel", "body"),
    Task("TransfoXLLMHeadModel", "causal-lm", lm, LM),
    Task("TransfoXLForSequenceClassification", "sequence-classification", sentence, {"head.project": "score"}),
)
SIZES = {
    "vocab_size": 267735,
    "cutoffs": [20000, 40000, 200000],
    "d_model": 1024,
    "d_embed": 1024,
    "n_head": 16,
    "d_head": 64,
    "d_inner": 4096,
    "div_val": 4,
    "n_layer": 18,
    "mem_len": 1600,
    "clamp_len": 1000,
}
ALIASES = {
    "n_token": "vocab_size",
    "hidden_size": "d_model",
    "num_attention_heads": "n_head",
    "num_hidden_layers": "n_layer",
}
FAMILY = Family(
    "transfo-xl",
    "transformer.",
    spec,
    lambda c: NAMES,
    TASKS,
    {
        **SIZES,
        "pre_lnorm": False,
        "same_length": True,
        "proj_share_all_but_first": True,
        "attn_type": 0,
        "sample_softmax": -1,
        "adaptive": True,
        "dropout": 0.1,
        "dropatt": 0.0,
        "untie_r": True,
        "init": "normal",
        "init_range": 0.01,
        "proj_init_std": 0.01,
        "init_std": 0.02,
        "layer_norm_epsilon": 1e-5,
        "eos_token_id": 0,
    },
    tokenizer="transfo_xl",
    aliases=ALIASES,
    build=build,
    derived=derived,
)
