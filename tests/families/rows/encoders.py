"""ALBERT, BERT, CamemBERT, DeBERTa, DistilBERT, ELECTRA, ModernBERT, MPNet, RoBERTa, XLM-RoBERTa."""

from __future__ import annotations

from dataclasses import replace

from ..inputs import (
    choices,
    embeds,
    positions,
    replaced,
    row_flags,
    row_label,
    source,
    span,
    text,
    token_labels,
    types,
)
from .row import Row, classifying, common_heads, named

CROSS = {"is_decoder": True, "add_cross_attention": True}

ALBERT = [
    *named(
        "albert",
        "AlbertModel",
        plain=(text(), "attentions"),
        right=(text("right"), types()),
        left=(text("left"),),
        holes=(text("holes"),),
        groups=(text("right"), {"num_hidden_layers": 4, "num_hidden_groups": 2, "inner_group_num": 2}),
        uneven=(text("right"), {"num_hidden_layers": 5, "num_hidden_groups": 3}),
        wide=(text(), {"embedding_size": 32}),
        gelu=(text(), types(3), {"hidden_act": "gelu", "type_vocab_size": 3}),
        positions=(text(), positions),
        embeds=(text("right"), embeds()),
    ),
    *named(
        "albert", "AlbertForPreTraining", labels=(text("right"), token_labels(), row_label(2, "sentence_order_label"))
    ),
    *named(
        "albert",
        "AlbertForMaskedLM",
        labels=(text("right"), token_labels()),
        untied=(text(), token_labels(), {"tie_word_embeddings": False, "hidden_act": "relu"}),
    ),
    *classifying("albert", "AlbertForSequenceClassification"),
    *common_heads("albert", "Albert", "TQM"),
]

BERT = [
    *named(
        "bert",
        "BertModel",
        plain=(text(), "attentions"),
        right=(text("right"), types()),
        left=(text("left"),),
        holes=(text("holes"),),
        three_types=(text("right"), types(3), {"type_vocab_size": 3}),
        positions=(text(), positions),
        embeds=(text("right"), embeds()),
        relu=(text(), {"hidden_act": "relu", "layer_norm_eps": 1e-5}),
        gelu_new=(text(), {"hidden_act": "gelu_new"}),
        silu=(text(), {"hidden_act": "silu", "num_hidden_layers": 3}),
        decoder=(text("right"), {"is_decoder": True}),
        cross=(text("right"), source, CROSS, "attentions"),
    ),
    *named("bert", "BertForPreTraining", labels=(text("right"), token_labels(), row_label(2, "next_sentence_label"))),
    *named(
        "bert",
        "BertForMaskedLM",
        labels=(text("right"), types(), token_labels()),
        untied=(text(), token_labels(), {"tie_word_embeddings": False, "hidden_act": "relu"}),
    ),
    *named(
        "bert",
        "BertLMHeadModel",
        labels=(text("right"), token_labels(), {"is_decoder": True}),
        cross=(text("right"), source, token_labels(), CROSS),
    ),
    *named("bert", "BertForNextSentencePrediction", labels=(text("right"), types(), row_label(2))),
    *classifying("bert", "BertForSequenceClassification"),
    *common_heads("bert", "Bert", "TQM"),
]

DISTILBERT = [
    *named(
        "distilbert",
        "DistilBertModel",
        plain=(text(), "attentions"),
        right=(text("right"),),
        left=(text("left"),),
        holes=(text("holes"),),
        sines=(text("right"), {"sinusoidal_pos_embds": True}),
        embeds=(text("right"), embeds()),
        relu=(text(), {"activation": "relu"}),
    ),
    *named(
        "distilbert",
        "DistilBertForMaskedLM",
        labels=(text("right"), token_labels()),
        untied=(text(), token_labels(), {"tie_word_embeddings": False, "activation": "relu"}),
    ),
    *classifying("distilbert", "DistilBertForSequenceClassification"),
    *common_heads("distilbert", "DistilBert", "TQM"),
]

ELECTRA = [
    *named(
        "electra",
        "ElectraModel",
        plain=(text(), "attentions"),
        right=(text("right"), types()),
        left=(text("left"),),
        holes=(text("holes"),),
        wide=(text("right"), {"embedding_size": 32, "hidden_act": "relu"}),
        positions=(text(), positions),
        embeds=(text("right"), embeds()),
        cross=(text("right"), source, CROSS),
    ),
    *named(
        "electra",
        "ElectraForPreTraining",
        labels=(text("right"), replaced),
        unmasked=(text(), replaced, {"hidden_act": "relu"}),
    ),
    *named(
        "electra",
        "ElectraForMaskedLM",
        labels=(text("right"), token_labels()),
        relu=(text(), token_labels(), {"hidden_act": "relu", "embedding_size": 32}),
    ),
    *named("electra", "ElectraForCausalLM", labels=(text("right"), token_labels(), {"is_decoder": True})),
    *classifying("electra", "ElectraForSequenceClassification"),
    *common_heads("electra", "Electra", "TQM"),
]


def roberta(family: str, stem: str) -> list[Row]:
    """RoBERTa, and those that are RoBERTa under another name."""
    return [
        *named(
            family,
            f"{stem}Model",
            plain=(text(), "attentions"),
            right=(text("right"),),
            left=(text("left"),),
            holes=(text("holes"),),
            one_type=(text("right"), {"type_vocab_size": 1, "layer_norm_eps": 1e-5}),
            positions=(text(), positions),
            embeds=(text("right"), embeds()),
            cross=(text("right"), source, CROSS),
        ),
        *named(
            family,
            f"{stem}ForMaskedLM",
            labels=(text("right"), token_labels()),
            untied=(text(), token_labels(), {"tie_word_embeddings": False, "hidden_act": "relu"}),
        ),
        *named(family, f"{stem}ForCausalLM", labels=(text("right"), token_labels(), {"is_decoder": True})),
        *classifying(family, f"{stem}ForSequenceClassification"),
        *common_heads(family, stem, "TQM"),
    ]


ROBERTA = roberta("roberta", "Roberta")
CAMEMBERT = roberta("camembert", "Camembert")
XLM_ROBERTA = roberta("xlm-roberta", "XLMRoberta")

MPNET = [
    *named(
        "mpnet",
        "MPNetModel",
        plain=(text(), "attentions"),
        far=(text("right", length=24),),
        left=(text("left"),),
        holes=(text("holes"),),
        relu=(text("right"), {"hidden_act": "relu", "layer_norm_eps": 1e-5}),
        padding=(text("right"), {"pad_token_id": 0}),
        positions=(text(), positions),
        embeds=(text("right"), embeds()),
    ),
    *named(
        "mpnet",
        "MPNetForMaskedLM",
        labels=(text("right"), token_labels()),
        untied=(text(), token_labels(), {"tie_word_embeddings": False, "hidden_act": "relu"}),
    ),
    *classifying("mpnet", "MPNetForSequenceClassification"),
    *common_heads("mpnet", "MPNet", "TQM"),
]

REMBERT = [
    *named(
        "rembert",
        "RemBertModel",
        plain=(text(), "attentions"),
        right=(text("right"), types()),
        left=(text("left"),),
        holes=(text("holes"),),
        relu=(text(), {"hidden_act": "relu", "type_vocab_size": 1, "layer_norm_eps": 1e-5}),
        positions=(text(), positions),
        embeds=(text("right"), embeds()),
        cross=(text("right"), source, CROSS),
    ),
    *named("rembert", "RemBertForMaskedLM", labels=(text("right"), types(), token_labels())),
    *named("rembert", "RemBertForCausalLM", labels=(text("right"), token_labels(), {"is_decoder": True})),
    *classifying("rembert", "RemBertForSequenceClassification"),
    *common_heads("rembert", "RemBert", "TQM"),
]

# As published: v3, v2, and what other options there are.
V3 = {
    "relative_attention": True,
    "position_buckets": 6,
    "max_relative_positions": -1,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
}
CONV = {"conv_kernel_size": 3, "conv_act": "gelu", "conv_groups": 2}
DEBERTA = [
    *named(
        "deberta-v2",
        "DebertaV2Model",
        plain=(text(), "attentions"),
        v3=(text(length=13), V3, "attentions"),
        right=(text("right", length=13), types(), {**V3, "type_vocab_size": 2}),
        left=(text("left", length=13), V3),
        holes=(text("holes", length=13), {**V3, "conv_kernel_size": 3}),
        apart=(text("right", length=13), {**V3, "share_att_key": False, "norm_rel_ebd": "none"}),
        content=(text("right", length=13), {**V3, "pos_att_type": ["c2p"]}),
        distance=(text("right", length=13), {**V3, "pos_att_type": ["p2c"], "share_att_key": False}),
        neither=(text(), {**V3, "pos_att_type": []}),
        exact=(text("right", length=13), {**V3, "position_buckets": -1, "max_relative_positions": 5}),
        convolution=(text("right", length=13), {**V3, **CONV}),
        convolution_alone=(text(), {"conv_kernel_size": 5, "pos_att_type": ["c2p"], "hidden_act": "relu"}),
        positions=(text(), positions, {**V3, "position_biased_input": True}),
        embeds=(text("right"), embeds(), V3),
    ),
    *named(
        "deberta-v2",
        "DebertaV2ForMaskedLM",
        labels=(text("right"), token_labels(), V3),
        untied=(text(), token_labels(), {"tie_word_embeddings": False, "hidden_act": "relu"}),
        newer=(text("right"), token_labels(), {**V3, "legacy": False, "tie_word_embeddings": False}),
    ),
    *(
        replace(row, changes={**row.changes, "problem_type": "regression"}) if row.name == "regression" else row
        for row in classifying("deberta-v2", "DebertaV2ForSequenceClassification", pooler_hidden_act="tanh", **V3)
    ),  # a single score comes without an axis of its own where only the labels say that it is one
    *named(
        "deberta-v2",
        "DebertaV2ForSequenceClassification",
        many=(text(), row_flags(), {"num_labels": 3, "problem_type": "multi_label_classification"}),
        apart=(text("right"), row_label(), {**V3, **CONV, "share_att_key": False, "num_labels": 3}),
    ),
    *common_heads("deberta-v2", "DebertaV2", "TQM"),
]

BIASED = {"attention_bias": True, "mlp_bias": True, "norm_bias": True, "classifier_bias": True, "decoder_bias": False}
MODERNBERT = [
    *named(
        "modernbert",
        "ModernBertModel",
        plain=(text(), "attentions"),
        right=(text("right", length=13),),
        left=(text("left"),),
        holes=(text("holes"),),
        biased=(text("right"), BIASED),
        one_base=(text("right"), {"local_rope_theta": None, "global_rope_theta": 50.0, "hidden_activation": "silu"}),
        every=(text("right"), {"global_attn_every_n_layers": 1, "norm_eps": 1e-3}),
        wide=(text(), {"local_attention": 64, "global_attn_every_n_layers": 2}),
        positions=(text(), positions),
        embeds=(text("right"), embeds()),
    ),
    *named(
        "modernbert",
        "ModernBertForMaskedLM",
        labels=(text("right"), token_labels()),
        untied=(text(), token_labels(), {**BIASED, "tie_word_embeddings": False}),
        sparse=(text("right"), token_labels(), {"sparse_prediction": True, "classifier_activation": "relu"}),
    ),
    *classifying("modernbert", "ModernBertForSequenceClassification", **BIASED),
    *named(
        "modernbert",
        "ModernBertForSequenceClassification",
        mean=(text("right"), row_label(), {"num_labels": 3, "classifier_pooling": "mean"}),
        left=(text("left"), row_label(), {"num_labels": 3, "classifier_pooling": "mean"}),
    ),
    *common_heads("modernbert", "ModernBert", "TM"),
    # Padding far from any text sees nothing: its share of a loss is as in the reference, that of gradients is not.
    *named("modernbert", "ModernBertForQuestionAnswering", span=(text(), span)),
    *named("modernbert", "ModernBertForMultipleChoice", mean=(choices(), row_label(3), {"classifier_pooling": "mean"})),
]
