"""BLOOM, CTRL, GPT, GPT-2, GPT-Neo, GPT-NeoX, OPT, Transformer-XL."""

from __future__ import annotations

from ..inputs import (
    choices,
    chosen_tokens,
    embeds,
    maskless,
    row_label,
    shifted_positions,
    source,
    span,
    text,
    token_labels,
    types,
)
from .row import Row, classifying, common_heads, named

BLOOM = [
    *named(
        "bloom",
        "BloomModel",
        plain=(text(), "attentions"),
        right=(text("right"),),
        left=(text("left"),),
        holes=(text("holes"),),
        embeds=(text("right"), embeds()),
        six_heads=(text("right"), {"n_head": 6, "hidden_size": 36, "layer_norm_epsilon": 1e-4}),
        one_head=(text(), {"n_head": 1}),
    ),
    *named(
        "bloom",
        "BloomForCausalLM",
        labels=(text("right"), token_labels()),
        untied=(text(), token_labels(), {"tie_word_embeddings": False}),
    ),
    *classifying("bloom", "BloomForSequenceClassification"),
    *named("bloom", "BloomForSequenceClassification", left=(text("left"), row_label(), {"num_labels": 3})),
    *common_heads("bloom", "Bloom", "TQ"),
]

CTRL = [
    *named(
        "ctrl",
        "CTRLModel",
        plain=(text(), "attentions"),
        right=(text("right"), types(90)),
        left=(text("left"),),
        holes=(text("holes"),),
        positions=(text(), shifted_positions, {"layer_norm_epsilon": 1e-5}),
        embeds=(text("right"), embeds()),
    ),
    *named(
        "ctrl",
        "CTRLLMHeadModel",
        labels=(text("right"), token_labels()),
        untied=(text(), token_labels(), {"tie_word_embeddings": False}),
    ),
    *classifying("ctrl", "CTRLForSequenceClassification"),
]

GPT = [
    *named(
        "openai-gpt",
        "OpenAIGPTModel",
        plain=(text(), "attentions"),
        right=(text("right"), types(90)),
        left=(text("left"),),
        holes=(text("holes"),),
        positions=(text(), shifted_positions, {"layer_norm_epsilon": 1e-4}),
        embeds=(text("right"), embeds()),
        relu=(text(), {"afn": "relu"}),
        silu=(text(), {"afn": "silu"}),
    ),
    *named("openai-gpt", "OpenAIGPTLMHeadModel", labels=(text("right"), token_labels())),
    *named(
        "openai-gpt",
        "OpenAIGPTDoubleHeadsModel",
        labels=(choices(), maskless, chosen_tokens, token_labels(), row_label(3, "mc_labels")),
        last=(choices(), maskless, row_label(3, "mc_labels")),
    ),
    *classifying("openai-gpt", "OpenAIGPTForSequenceClassification"),
]

GPT2 = [
    *named(
        "gpt2",
        "GPT2Model",
        plain=(text(), "attentions"),
        right=(text("right"), types(90)),
        left=(text("left"),),
        holes=(text("holes"),),
        positions=(text(), shifted_positions, {"layer_norm_epsilon": 1e-4}),
        embeds=(text("right"), embeds()),
        inner=(text(), {"n_inner": 45, "activation_function": "relu"}),
        inverse_layer=(text("right"), {"scale_attn_by_inverse_layer_idx": True}),
        unscaled=(text("right"), {"scale_attn_weights": False}),
        upcast=(text("right"), {"reorder_and_upcast_attn": True, "scale_attn_by_inverse_layer_idx": True}),
        cross=(text("right"), source, {"add_cross_attention": True}, "attentions"),
    ),
    *named(
        "gpt2",
        "GPT2LMHeadModel",
        labels=(text("right"), token_labels()),
        untied=(text(), token_labels(), {"tie_word_embeddings": False}),
    ),
    *named(
        "gpt2",
        "GPT2DoubleHeadsModel",
        labels=(choices(), chosen_tokens, token_labels(), row_label(3, "mc_labels")),
        last=(choices(), maskless, row_label(3, "mc_labels")),
    ),
    *classifying("gpt2", "GPT2ForSequenceClassification"),
    *named("gpt2", "GPT2ForSequenceClassification", left=(text("left"), row_label(), {"num_labels": 3})),
    *common_heads("gpt2", "GPT2", "TQ"),
]

GPT_NEO = [
    *named(
        "gpt_neo",
        "GPTNeoModel",
        plain=(text(), "attentions"),
        right=(text("right"), types(90)),
        left=(text("left"),),
        holes=(text("holes"),),
        positions=(text(), shifted_positions, {"layer_norm_epsilon": 1e-4}),
        embeds=(text("right"), embeds()),
        inner=(text(), {"intermediate_size": 45, "activation_function": "relu"}),
        windows=(text("right", length=14), {"attention_types": [[["local"], 2], [["global"], 1]], "window_size": 3}),
        single=(text("right"), {"attention_types": [[["local"], 3]], "window_size": 1}),
    ),
    *named(
        "gpt_neo",
        "GPTNeoForCausalLM",
        labels=(text("right", length=12), token_labels()),
        untied=(text(), token_labels(), {"tie_word_embeddings": False}),
    ),
    *classifying("gpt_neo", "GPTNeoForSequenceClassification"),
    *named("gpt_neo", "GPTNeoForSequenceClassification", left=(text("left"), row_label(), {"num_labels": 3})),
    *common_heads("gpt_neo", "GPTNeo", "T"),
    # unpadded: what padding itself sees through a window counts among the scores of a span
    *named("gpt_neo", "GPTNeoForQuestionAnswering", span=(text(), span)),
]

GPT_NEOX = [
    *named(
        "gpt_neox",
        "GPTNeoXModel",
        plain=(text(), "attentions"),
        right=(text("right"),),
        left=(text("left"),),
        holes=(text("holes"),),
        positions=(text(), shifted_positions, {"layer_norm_eps": 1e-4}),
        embeds=(text("right"), embeds()),
        whole=(text("right"), {"rotary_pct": 1.0, "rotary_emb_base": 500}),
        unturned=(text("right"), {"rotary_pct": 0.1}),
        in_turn=(text("right"), {"use_parallel_residual": False, "hidden_act": "gelu_new"}),
        unbiased=(text("right"), {"attention_bias": False, "rotary_pct": 0.5}),
    ),
    *named(
        "gpt_neox",
        "GPTNeoXForCausalLM",
        labels=(text("right"), token_labels()),
        in_turn=(text("right"), token_labels(), {"use_parallel_residual": False}),
        tied=(text(), token_labels(), {"tie_word_embeddings": True}),
    ),
    *classifying("gpt_neox", "GPTNeoXForSequenceClassification"),
    *named("gpt_neox", "GPTNeoXForSequenceClassification", left=(text("left"), row_label(), {"num_labels": 3})),
    *common_heads("gpt_neox", "GPTNeoX", "TQ"),
]

_350M = {"do_layer_norm_before": False, "word_embed_proj_dim": 16}

OPT = [
    *named(
        "opt",
        "OPTModel",
        plain=(text(), "attentions"),
        right=(text("right"),),
        left=(text("left"),),
        holes=(text("holes"),),
        positions=(text(), shifted_positions),
        embeds=(text("right"), embeds()),
        gelu=(text(), {"activation_function": "gelu"}),
        unbiased=(text("right"), {"enable_bias": False}),
        post_norm=(text("right"), {"do_layer_norm_before": False}),
        unfinished=(text("right"), {"_remove_final_layer_norm": True}),
        narrow=(text("left"), _350M),
        projected=(text("right"), {"word_embed_proj_dim": 48}),
    ),
    *named(
        "opt",
        "OPTForCausalLM",
        labels=(text("right"), token_labels()),
        narrow=(text("right"), token_labels(), _350M),
        untied=(text("right"), token_labels(), {"tie_word_embeddings": False}),
        narrow_untied=(text("right"), token_labels(), {**_350M, "tie_word_embeddings": False}),
    ),
    *classifying("opt", "OPTForSequenceClassification"),
    *named(
        "opt",
        "OPTForSequenceClassification",
        left=(text("left"), row_label(), {"num_labels": 3}),
        narrow=(text("right"), row_label(), {"num_labels": 3, **_350M}),
    ),
    *common_heads("opt", "OPT", "Q"),
]

_SEGMENTS = (text(batch=2, length=12),)

TRANSFO_XL = [
    Row("transfo-xl", "TransfoXLModel", "plain", (text(),), attentions=True),
    Row("transfo-xl", "TransfoXLModel", "embeds", (text(), embeds())),
    Row("transfo-xl", "TransfoXLModel", "segments", _SEGMENTS, segments=2),
    Row("transfo-xl", "TransfoXLModel", "three_segments", (text(batch=2, length=12),), {"mem_len": 10}, segments=3),
    Row("transfo-xl", "TransfoXLModel", "same_length", _SEGMENTS, {"same_length": False}, segments=2),
    Row("transfo-xl", "TransfoXLModel", "clamp_short", _SEGMENTS, {"clamp_len": 3}, segments=2),
    Row("transfo-xl", "TransfoXLModel", "unclamped", _SEGMENTS, {"clamp_len": -1}, segments=2),
    Row("transfo-xl", "TransfoXLModel", "pre_norm", _SEGMENTS, {"pre_lnorm": True}, segments=2),
    Row("transfo-xl", "TransfoXLModel", "shared_biases", _SEGMENTS, {"untie_r": False}, segments=2),
    Row("transfo-xl", "TransfoXLModel", "short_memory", _SEGMENTS, {"mem_len": 4}, segments=2),
    Row("transfo-xl", "TransfoXLModel", "no_memory", (text(),), {"mem_len": 0}),
    Row("transfo-xl", "TransfoXLModel", "projected", _SEGMENTS, {"d_embed": 16, "div_val": 1}, segments=2),
    Row("transfo-xl", "TransfoXLLMHeadModel", "scores", _SEGMENTS, segments=2),
    Row("transfo-xl", "TransfoXLLMHeadModel", "labels", (*_SEGMENTS, token_labels()), segments=2),
    *named(
        "transfo-xl",
        "TransfoXLLMHeadModel",
        undivided=(text(), token_labels(), {"div_val": 1}),
        undivided_scores=(text(), {"div_val": 1}),
        projected=(text(), token_labels(), {"div_val": 1, "d_embed": 16}),
        narrow=(text(), token_labels(), {"d_embed": 16}),
        untied_projections=(text(), token_labels(), {"proj_share_all_but_first": False}),
        untied=(text(), token_labels(), {"tie_word_embeddings": False}),
        one_cluster=(text(), token_labels(), {"cutoffs": [], "div_val": 1}),
        one_cluster_scores=(text(), {"cutoffs": [], "div_val": 1}),
    ),
    *classifying("transfo-xl", "TransfoXLForSequenceClassification", text("right"), maskless),
]
